// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_share.h"

#include <algorithm>

namespace fairlead::manage {
namespace {

struct Bounds {
  std::int64_t least = 0;
  std::int64_t most = 0;
};

std::int64_t filled(const MemoryClaim& claim, const Bounds& bounds, double level) {
  const double aim = static_cast<double>(claim.min) + level * claim.weight;
  if (aim >= static_cast<double>(bounds.most)) return bounds.most;
  return std::max(bounds.least, static_cast<std::int64_t>(aim));
}

std::int64_t total(const std::vector<MemoryClaim>& claims, const std::vector<Bounds>& bounds,
                   double level) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < claims.size(); ++i) sum += filled(claims[i], bounds[i], level);
  return sum;
}

// The highest level whose total the pool holds; 0 if none does.
double highest_level(std::int64_t pool, const std::vector<MemoryClaim>& claims,
                     const std::vector<Bounds>& bounds) {
  constexpr int kHalvings = 80;
  double least_weight = claims.front().weight;
  std::int64_t most = 0;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    least_weight = std::min(least_weight, claims[i].weight);
    most = std::max(most, bounds[i].most);
  }
  double low = 0;
  double high = static_cast<double>(most) / least_weight;
  if (total(claims, bounds, high) <= pool) return high;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (total(claims, bounds, middle) <= pool ? low : high) = middle;
  }
  return low;
}

// Raises each of `least` to what `wanted` says of its claim, in parts if `left` does not hold it
// all.
void raise(const std::vector<MemoryClaim>& claims, std::int64_t MemoryClaim::* wanted,
           std::vector<std::int64_t>& least, std::int64_t& left) {
  std::vector<double> lacking;
  double sum = 0;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const std::int64_t wish = std::min(claims[i].*wanted, claims[i].want);
    lacking.push_back(static_cast<double>(std::max(wish - least[i], std::int64_t{0})));
    sum += lacking.back();
  }
  if (sum <= 0 || left <= 0) return;
  const double part = std::min(static_cast<double>(left) / sum, 1.0);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const auto more = static_cast<std::int64_t>(lacking[i] * part);
    least[i] += more;
    left -= more;
  }
}

// What everybody has before the filling begins.
std::vector<std::int64_t> floors(std::int64_t left, const std::vector<MemoryClaim>& claims) {
  std::vector<std::int64_t> least;
  least.reserve(claims.size());
  for (const MemoryClaim& claim : claims) least.push_back(claim.keep);
  raise(claims, &MemoryClaim::first, least, left);
  raise(claims, &MemoryClaim::relief, least, left);
  return least;
}

}  // namespace

double share_weight(double shares, double idle_tax, std::int64_t used, std::int64_t want) noexcept {
  constexpr double kLeastShares = 1e-3;
  constexpr double kMostTax = 0.99;
  const double idle_cost = 1 / (1 - std::clamp(idle_tax, 0.0, kMostTax));
  const double active =
      want <= 0 ? 1 : std::clamp(static_cast<double>(used) / static_cast<double>(want), 0.0, 1.0);
  return std::max(shares, kLeastShares) / (active + idle_cost * (1 - active));
}

MemoryDivision divide(std::int64_t pool, const std::vector<MemoryClaim>& claims, bool critical) {
  MemoryDivision division;
  if (claims.empty()) return division;
  std::int64_t wanted = 0;
  std::int64_t kept = 0;
  for (const MemoryClaim& claim : claims) {
    wanted += std::max(claim.want, claim.keep);
    kept += claim.keep;
  }
  division.scarce = wanted > pool;
  division.overdrawn = kept > pool;
  const bool take = division.overdrawn && critical;
  const std::vector<std::int64_t> least = floors(pool - kept, claims);
  std::vector<Bounds> bounds;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const MemoryClaim& claim = claims[i];
    if (take) {
      bounds.push_back({std::min(claim.min, claim.keep), claim.keep});
    } else {
      bounds.push_back({least[i], std::max(claim.want, claim.keep)});
    }
  }
  const double level = highest_level(pool, claims, bounds);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    division.bytes.push_back(filled(claims[i], bounds[i], level));
  }
  return division;
}

}  // namespace fairlead::manage
