// SPDX-License-Identifier: Apache-2.0
//
// NameBook: says of each process's name once that it is news; of one that changes it, again.
//
// It remembers at most kPlaces processes; where two share a place, each that comes after the other
// is news again.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "fairlead/abi/trace.h"

namespace fairlead::trace {

class NameBook {
 public:
  static constexpr std::size_t kPlaces = 1024;

  NameBook() : known_(kPlaces) {}

  // Process 0 is whatever was interrupted, and has no name.
  std::optional<abi::TraceName> news(std::uint32_t pid, std::string_view name) noexcept {
    if (pid == 0 || name.empty()) return std::nullopt;
    abi::TraceName now{};
    now.pid = pid;
    std::copy_n(name.data(), std::min(name.size(), sizeof now.name), now.name);
    abi::TraceName& known = known_[pid % kPlaces];
    if (std::memcmp(&known, &now, sizeof now) == 0) return std::nullopt;
    known = now;
    return now;
  }

 private:
  std::vector<abi::TraceName> known_;
};

}  // namespace fairlead::trace
