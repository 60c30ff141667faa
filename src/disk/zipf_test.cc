// SPDX-License-Identifier: Apache-2.0
#include "disk/zipf.h"

#include <vector>

#include <gtest/gtest.h>

namespace fairlead::disk {
namespace {

// Each rank's count within five standard deviations, and Pearson's chi-square of all ranks within
// five of its own.
void expect_exact(std::uint64_t n, double s) {
  constexpr int kDraws = 1'000'000;
  base::Random random(17);
  const Zipf zipf(n, s);
  std::vector<double> seen(n);
  for (int i = 0; i < kDraws; ++i) ++seen[zipf.rank(random)];
  double sum = 0;
  for (std::uint64_t k = 1; k <= n; ++k) sum += std::pow(static_cast<double>(k), -s);
  double chi_square = 0;
  for (std::uint64_t k = 1; k <= n; ++k) {
    const double expected = kDraws * std::pow(static_cast<double>(k), -s) / sum;
    EXPECT_NEAR(seen[k - 1], expected, 5 * std::sqrt(expected) + 1) << "rank " << k << " s " << s;
    chi_square += (seen[k - 1] - expected) * (seen[k - 1] - expected) / expected;
  }
  const auto freedom = static_cast<double>(n - 1);
  EXPECT_NEAR(chi_square, freedom, 5 * std::sqrt(2 * freedom) + 0.01) << "n " << n << " s " << s;
}

TEST(Zipf, DrawsEveryRankAsOftenAsItShould) {
  for (const double s : {0.0, 0.6, 0.99, 1.0, 1.0 + 1e-12, 1.5, 3.0}) {
    expect_exact(s < 2 ? 500 : 20, s);
    expect_exact(2, s);
  }
}

TEST(Zipf, OneRankIsAlwaysDrawn) {
  base::Random random(1);
  for (const double s : {0.0, 1.0, 2.0}) EXPECT_EQ(Zipf(1, s).rank(random), 0u);
}

TEST(Zipf, StaysInRangeOverHugeRanges) {
  base::Random random(1);
  const std::uint64_t n = std::uint64_t{1} << 40;
  for (const double s : {0.0, 0.99, 1.0, 1.2, 3.0, 40.0}) {
    const Zipf zipf(n, s);
    for (int i = 0; i < 100'000; ++i) ASSERT_LT(zipf.rank(random), n);
  }
}

TEST(Scatter, IsABijection) {
  for (const std::uint64_t n : {1, 2, 3, 7, 64, 1000, 65537}) {
    std::vector<bool> taken(n);
    const Scatter scatter(n, 5);
    for (std::uint64_t rank = 0; rank < n; ++rank) {
      ASSERT_LT(scatter(rank), n);
      ASSERT_FALSE(taken[scatter(rank)]);
      taken[scatter(rank)] = true;
    }
  }
}

// The 1 % most popular of 2^19: uniform chance makes about 1 % of them neighbours of another.
TEST(Scatter, PopularSectorsAreNotAdjacent) {
  constexpr std::uint64_t kSectors = 524'288;
  const Scatter scatter(kSectors);
  std::vector<bool> popular(kSectors);
  for (std::uint64_t rank = 0; rank < kSectors / 100; ++rank) popular[scatter(rank)] = true;
  int odd_moves = 0;
  for (std::uint64_t rank = 0; rank < 10'000; ++rank) odd_moves += (scatter(rank) ^ rank) % 2 == 1;
  EXPECT_NEAR(odd_moves, 5000, 250) << "the lowest bit is scattered too";
  int adjacent = 0;
  for (std::uint64_t i = 1; i < kSectors; ++i) adjacent += popular[i] && popular[i - 1];
  EXPECT_LT(adjacent, 2 * 5243 / 100);
}

}  // namespace
}  // namespace fairlead::disk
