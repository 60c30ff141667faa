// SPDX-License-Identifier: Apache-2.0
//
// Who gets how much when there is not enough: progressive filling between bounds.
//
//   e = clamp(min + λ · weight, keep, max(want, keep)),   λ as large as the pool allows
//
// so nobody has less than he must keep or more than he wants, and those between have parts above
// their minimum in the ratio of their weights.  Before the filling, of what is left when everybody
// has what he must keep, all get what they need first, and then those that suffer what relieves
// them, each in proportion to what they lack of it.  A weight is shares × idle tax: Waldspurger,
// "Memory Resource Management in VMware ESX Server", OSDI 2002, section 5.2: S ÷ (f + k (1 − f))
// with k = 1 ÷ (1 − τ), where f is the share of its memory that a guest uses.
//
// Pure functions.  Thread-safety: values.
#pragma once

#include <cstdint>
#include <vector>

namespace fairlead::manage {

// Sizes in bytes, signed, so that differences are safe; at most 2^50 each.
struct MemoryClaim {
  std::int64_t min = 0;
  std::int64_t keep = 0;  // cannot be taken without hurting it
  std::int64_t want = 0;
  std::int64_t first = 0;   // needed before anybody gets more; of this and the next,
  std::int64_t relief = 0;  // needed then; at most `want` counts
  double weight = 1;        // > 0
};

struct MemoryDivision {
  std::vector<std::int64_t> bytes;  // as the claims
  bool scarce = false;              // not everybody has what he wants
  bool overdrawn = false;           // what must be kept is more than the pool
};

double share_weight(double shares, double idle_tax, std::int64_t used, std::int64_t want) noexcept;

// `critical`: where what must be kept is more than the pool, take it all the same, down to the
// minimum.  Otherwise it is left, and the sum is more than the pool.
MemoryDivision divide(std::int64_t pool, const std::vector<MemoryClaim>& claims, bool critical);

}  // namespace fairlead::manage
