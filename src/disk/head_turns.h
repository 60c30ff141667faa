// SPDX-License-Identifier: Apache-2.0
//
// Algorithm T by the turns of the head: O(n) time and memory (docs/design/disk.md).
//
// Thread-safety: none.  Nothing allocates after construction.  Weights: disk/weights_left.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "disk/lower_envelope.h"

namespace fairlead::disk {

class HeadTurns {
 public:
  explicit HeadTurns(std::size_t most) : ups_(most), downs_(most) {}

  // Whether the head has to go up; with requests on both sides.
  //
  // Costs are halves of what turns add to the sum of all ways from the head: a turn delays whatever
  // is left, on both sides, by twice its distance.  Nearest to the end first: what a turn leaves to
  // pay grows towards the head on either side, so of the two next ones the cheaper one is known.
  template <typename Weights>
  bool up_first(std::uint64_t head, std::span<const std::uint64_t> sectors, std::size_t below,
                const Weights& weights) {
    std::size_t down = below;
    std::size_t up = sectors.size() - below;
    ups_.clear();
    downs_.clear();
    std::int64_t from_below = 0;  // what is to pay after the next turn below, and above
    std::int64_t from_above = 0;
    const auto turn_below = [&] {
      const std::int64_t way = distance(sectors[below - down], head);
      downs_.add(way, way * weights.left_below(down--) + from_below);
    };
    const auto turn_above = [&] {
      const std::int64_t way = distance(head, sectors[below + up - 1]);
      ups_.add(way, way * weights.left_above(up--) + from_above);
    };
    turn_below();
    turn_above();
    from_below = ups_.at(weights.left_below(down));
    from_above = downs_.at(weights.left_above(up));
    while (down > 0 || up > 0) {
      if (up == 0 || (down > 0 && from_below <= from_above)) {
        turn_below();
        from_above = std::min(from_above, downs_.last_at(weights.left_above(up)));
        from_below = ups_.at(weights.left_below(down));
      } else {
        turn_above();
        from_below = std::min(from_below, ups_.last_at(weights.left_below(down)));
        from_above = downs_.at(weights.left_above(up));
      }
    }
    return from_below <= from_above;
  }

 private:
  static std::int64_t distance(std::uint64_t from, std::uint64_t to) noexcept {
    return static_cast<std::int64_t>(to - from);
  }

  LowerEnvelope ups_;    // turns above the head, over the weight left below
  LowerEnvelope downs_;  // and the other way round
};

}  // namespace fairlead::disk
