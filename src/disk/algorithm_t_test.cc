// SPDX-License-Identifier: Apache-2.0
#include "disk/algorithm_t.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/sanitizers.h"
#include "disk/head_turns.h"
#include "disk/io_request.h"
#include "disk/neighbourhoods.h"
#include "disk/weights_left.h"

namespace fairlead::disk {
namespace {

using testing::ElementsAre;

struct Case {
  std::uint64_t head;
  std::vector<std::uint64_t> sectors;
  std::vector<std::uint32_t> weights;
};

// Small distances, so that ties and equal sectors come often.
Case random_case(base::Random& random, std::uint32_t most) {
  const std::uint64_t n = 1 + random.below(most);
  const std::uint64_t range = random.below(2) == 0 ? 12 : 143'374'738;
  Case one{.head = random.below(range), .sectors = {}, .weights = {}};
  for (std::uint64_t i = 0; i < n; ++i) {
    one.sectors.push_back(random.below(range));
    one.weights.push_back(1 + static_cast<std::uint32_t>(random.below(9)));
  }
  std::ranges::sort(one.sectors);
  return one;
}

// The least cost of all orders that begin with each request: tried one by one.
std::vector<std::uint64_t> least_costs(const Case& one) {
  std::vector<std::uint64_t> least(one.sectors.size(), UINT64_MAX);
  std::vector<std::uint32_t> order(one.sectors.size());
  std::iota(order.begin(), order.end(), 0U);
  do {
    std::uint64_t head = one.head;
    std::uint64_t time = 0;
    std::uint64_t cost = 0;
    for (const std::uint32_t i : order) {
      const std::uint64_t to = one.sectors[i];
      time += sectors_apart(to, head);
      cost += time * one.weights[i];
      head = to;
    }
    least[order[0]] = std::min(least[order[0]], cost);
  } while (std::ranges::next_permutation(order).found);
  return least;
}

constexpr int kCases = base::kSanitized ? 10'000 : 100'000;

TEST(AlgorithmT, BeginsWithTheBestOfAllOrders) {
  base::Random random(1);
  AlgorithmT algorithm(6);
  for (int i = 0; i < kCases; ++i) {
    Case one = random_case(random, 6);
    std::ranges::fill(one.weights, 1);
    const auto least = least_costs(one);
    ASSERT_EQ(least[algorithm.first(one.head, one.sectors)], std::ranges::min(least))
        << "head " << one.head << ", sectors " << testing::PrintToString(one.sectors);
  }
}

TEST(AlgorithmT, BeginsWithTheBestOfAllWeightedOrders) {
  base::Random random(2);
  AlgorithmT algorithm(6);
  for (int i = 0; i < kCases; ++i) {
    const Case one = random_case(random, 6);
    const auto least = least_costs(one);
    ASSERT_EQ(least[algorithm.first(one.head, one.sectors, one.weights)], std::ranges::min(least))
        << "head " << one.head << ", sectors " << testing::PrintToString(one.sectors)
        << ", weights " << testing::PrintToString(one.weights);
  }
}

// The head's turns whatever the number of requests, and the recurrence likewise.
struct Ways {
  explicit Ways(const Case& one)
      : below(static_cast<std::size_t>(std::ranges::upper_bound(one.sectors, one.head) -
                                       one.sectors.begin())),
        before(one.sectors.size() + 1) {
    std::partial_sum(one.weights.begin(), one.weights.end(), before.begin() + 1);
    if (below == 0 || below == one.sectors.size()) return;
    const UnequalWeights weights{before.data(), below, one.sectors.size()};
    std::vector<std::int64_t> costs(one.sectors.size() + 1);
    by_turns = HeadTurns(one.sectors.size()).up_first(one.head, one.sectors, below, weights);
    by_rows = Neighbourhoods(one.head, one.sectors, below, weights).up_first(costs.data());
  }
  std::size_t below;
  std::vector<std::int64_t> before;
  std::optional<bool> by_turns{};  // up; none: requests on one side only
  std::optional<bool> by_rows{};
};

TEST(AlgorithmT, ByTurnsBeginsWithTheBestOfAllWeightedOrders) {
  base::Random random(4);
  for (int i = 0; i < kCases; ++i) {
    const Case one = random_case(random, 6);
    const Ways ways(one);
    if (!ways.by_turns) continue;
    const auto least = least_costs(one);
    ASSERT_EQ(least[*ways.by_turns ? ways.below : ways.below - 1], std::ranges::min(least))
        << "head " << one.head << ", sectors " << testing::PrintToString(one.sectors)
        << ", weights " << testing::PrintToString(one.weights);
  }
}

TEST(AlgorithmT, BothWaysChooseTheSame) {
  base::Random random(5);
  AlgorithmT algorithm(300);
  for (int i = 0; i < 2000; ++i) {
    Case one = random_case(random, 300);
    if (i % 2 == 0) std::ranges::fill(one.weights, 1);
    const Ways ways(one);
    ASSERT_EQ(ways.by_turns, ways.by_rows) << i;
    if (!ways.by_turns) continue;
    const std::size_t first = *ways.by_turns ? ways.below : ways.below - 1;
    ASSERT_EQ(algorithm.first(one.head, one.sectors, one.weights), first);
    if (i % 2 != 0) continue;
    ASSERT_EQ(algorithm.first(one.head, one.sectors), first);
  }
}

TEST(AlgorithmT, EqualWeightsChooseAsNone) {
  base::Random random(3);
  AlgorithmT algorithm(100);
  for (int i = 0; i < 1000; ++i) {
    Case one = random_case(random, 100);
    std::ranges::fill(one.weights, 7);
    ASSERT_EQ(algorithm.first(one.head, one.sectors, one.weights),
              algorithm.first(one.head, one.sectors));
  }
}

TEST(AlgorithmT, OrdersTheDocumentsExample) {
  AlgorithmT algorithm(4);
  EXPECT_THAT(algorithm.order(50, std::vector<std::uint64_t>{10, 41, 60, 95}),
              ElementsAre(2, 1, 0, 3));
}

TEST(AlgorithmT, GoesUpOnATie) {
  AlgorithmT algorithm(2);
  EXPECT_EQ(algorithm.first(50, std::vector<std::uint64_t>{40, 60}), 1U);
}

TEST(AlgorithmT, ServesWhatIsUnderTheHeadFirst) {
  AlgorithmT algorithm(3);
  EXPECT_EQ(algorithm.first(50, std::vector<std::uint64_t>{49, 50, 51}), 1U);
}

TEST(AlgorithmT, AHeavyRequestIsWorthAWay) {
  AlgorithmT algorithm(3);
  const std::vector<std::uint64_t> sectors{0, 60, 61};
  EXPECT_EQ(algorithm.first(50, sectors), 1U);
  EXPECT_EQ(algorithm.first(50, sectors, std::vector<std::uint32_t>{100, 1, 1}), 0U);
}

}  // namespace
}  // namespace fairlead::disk
