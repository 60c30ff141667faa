// SPDX-License-Identifier: Apache-2.0
//
// OneWay: which of two requests the anticipatory scheduler and CFQ send first.  Upwards from the
// head; but back too if that is short, at a multiple of the distance.  What lies further back is
// for the next round, the lowest first.
//
//     head 1000, back_max 300, penalty 2      900: 200   1150: 150   600: next round
//
// Source: Linux 2.6.29, block/as-iosched.c and cfq-iosched.c.  Thread-safety: a value.
#pragma once

#include <cstdint>
#include <optional>

#include "disk/backlog.h"

namespace fairlead::disk {

struct OneWay {
  std::uint64_t back_max;
  std::uint64_t penalty;

  // Of two at the same sector, the first.
  bool prefers(std::uint64_t one, std::uint64_t other, std::uint64_t head) const noexcept {
    const auto cost = cost_of(one, head);
    const auto other_cost = cost_of(other, head);
    if (cost.has_value() != other_cost.has_value()) return cost.has_value();
    if (!cost) return one <= other;
    return *cost != *other_cost ? *cost < *other_cost : one >= other;
  }

  Slot better(const Backlog& backlog, Slot one, Slot other, std::uint64_t head) const noexcept {
    return prefers(backlog.sector(one), backlog.sector(other), head) ? one : other;
  }

  // What a request leaves behind that stood at `index` of the backlog's first..last.
  std::optional<Slot> follower(const Backlog& backlog, std::uint32_t first, std::uint32_t index,
                               std::uint32_t last, std::uint64_t head) const noexcept {
    if (first == last) return {};
    const Slot up = backlog.at(index < last ? index : first);
    return index == first ? up : better(backlog, up, backlog.at(index - 1), head);
  }

 private:
  std::optional<std::uint64_t> cost_of(std::uint64_t sector, std::uint64_t head) const noexcept {
    if (sector >= head) return sector - head;
    if (head - sector <= back_max) return (head - sector) * penalty;
    return {};
  }
};

}  // namespace fairlead::disk
