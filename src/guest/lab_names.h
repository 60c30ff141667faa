// SPDX-License-Identifier: Apache-2.0
//
// What lab guests and their cards' memories are called, and whose pCPU is whose.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::guest {

// 1 to 40 of A-Z a-z 0-9 _ . -, not starting with a dot or a dash: names become files.
base::Status check_prefix(std::string_view prefix);

// "0", "0,1,0,1": processors below `online`, one for all or one for each of `count` guests.
base::Result<std::vector<std::uint32_t>> parse_pins(std::string_view text, std::uint32_t count,
                                                    std::uint32_t online);
std::optional<std::uint32_t> pin_of(const std::vector<std::uint32_t>& pins, std::uint32_t guest);

// Of the memory of a guest's card: names of such memory are the whole host's, so it also says whose
// lab it is, by a digest of the lab's folder.
std::string relay_name(std::string_view folder, std::string_view guest);

}  // namespace fairlead::guest
