// SPDX-License-Identifier: Apache-2.0
//
// Algorithm T: of requests on a line, the one to serve first so that the sum of all completion
// times (and so of all response times) is the least, if a seek takes time in proportion to its
// distance; with weights, the weighted sum.  It is the travelling repairman's problem on a path.
// On a tie the head goes up.
//
// Equations in docs/design/disk.md.  O(n) time and memory.  Sums are exact: twice the distance
// times the sum of weights times n has to fit 63 bits, as it does for 2^36 sectors, 1024 requests
// and weights up to 63.
//
// Thread-safety: none.  The constructor allocates; order() does too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "disk/head_turns.h"

namespace fairlead::disk {

class AlgorithmT {
 public:
  explicit AlgorithmT(std::uint32_t most)
      : costs_(most + 1), weights_before_(most + 1), turns_(most) {}

  // The index of the first to serve.  `sectors` ascend; 1 to `most` of them.
  std::uint32_t first(std::uint64_t head, std::span<const std::uint64_t> sectors);
  // The same with weights, one for each, at least 1.
  std::uint32_t first(std::uint64_t head, std::span<const std::uint64_t> sectors,
                      std::span<const std::uint32_t> weights);

  // All of them, in the order of service.
  std::vector<std::uint32_t> order(std::uint64_t head, std::span<const std::uint64_t> sectors);

 private:
  template <typename Weights>
  std::uint32_t first_of(std::uint64_t head, std::span<const std::uint64_t> sectors,
                         std::size_t below, const Weights& weights);

  std::vector<std::int64_t> costs_;
  std::vector<std::int64_t> weights_before_;
  HeadTurns turns_;
};

}  // namespace fairlead::disk
