// SPDX-License-Identifier: Apache-2.0
//
// What a user gave, for a message: in quotes, on one line whatever it holds, cut where it is long.
//
// Thread-safety: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::base {

// 'text'; a ? for each byte that is no printable ASCII; at most 40 of them, then ….
std::string quoted(std::string_view text);

}  // namespace fairlead::base
