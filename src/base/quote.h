// SPDX-License-Identifier: Apache-2.0
//
// What a user or a guest gave, for a message or a line of text: on one line whatever it holds, and
// without what would steer a terminal.
//
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace fairlead::base {

// 'text'; a ? for each byte that is no printable ASCII; at most 40 of them, then ….
std::string quoted(std::string_view text);

// All of it, without quotes; a ? for each control character: those of ASCII, and U+0080 to U+009F.
// Whatever else is written in UTF-8 stays, as names are.
std::string printable(std::string_view text);

}  // namespace fairlead::base
