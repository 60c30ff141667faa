// SPDX-License-Identifier: Apache-2.0
#include "manage/placement.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "manage/fewest_moves.h"
#include "manage/placement_state.h"

namespace fairlead::manage {
namespace {

PlacementProblem flat(std::uint32_t cpus) {
  PlacementProblem problem;
  for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) problem.cpus.push_back({0, cpu, 0, 0});
  return problem;
}

PlacementItem item(double demand, std::uint32_t guest, std::uint32_t at) {
  return {.demand = demand, .guest = guest, .at = at};
}

// The cost as placement.h states it, from scratch.
double cost(const PlacementProblem& problem, const std::vector<std::uint32_t>& at) {
  std::vector<double> loads;
  for (const auto& cpu : problem.cpus) loads.push_back(cpu.foreign);
  for (std::size_t i = 0; i < at.size(); ++i) loads[at[i]] += problem.items[i].demand;
  double sum = 0;
  for (std::size_t p = 0; p < loads.size(); ++p) {
    sum += loads[p] * loads[p];
    for (std::size_t q = 0; q < p; ++q) {
      if (problem.cpus[p].core == problem.cpus[q].core) {
        sum += 2 * problem.sibling_interference * loads[p] * loads[q];
      }
    }
  }
  for (std::size_t i = 0; i < at.size(); ++i) {
    const PlacementItem& a = problem.items[i];
    for (std::size_t k = 0; k < i; ++k) {
      const PlacementItem& b = problem.items[k];
      if (a.guest == b.guest && at[i] == at[k]) {
        sum += 2 * problem.stack_weight * a.demand * b.demand;
      }
    }
    const PlacementCpu& there = problem.cpus[at[i]];
    const PlacementCpu& warm = problem.cpus[a.at];
    if (a.home_node != kNowhere) {
      if (there.node != a.home_node) {
        sum += 2 * problem.remote_weight * a.demand;
      } else if (there.cache != warm.cache) {
        sum += 2 * problem.cold_cache_weight * a.demand;
      }
    } else if (there.node != warm.node) {
      sum += 2 * problem.cold_node_weight * a.demand;
    } else if (there.cache != warm.cache) {
      sum += 2 * problem.cold_cache_weight * a.demand;
    }
  }
  return sum;
}

PlacementProblem random_problem(base::Random& random, std::uint32_t cpus, std::uint32_t items,
                                bool with_topology) {
  PlacementProblem problem;
  for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
    const double foreign = random.below(3) == 0 ? random.unit() / 2 : 0;
    problem.cpus.push_back({foreign, with_topology ? cpu / 2 : cpu, with_topology ? cpu / 2 : 0,
                            with_topology ? cpu / 4 : 0});
  }
  const std::uint32_t peers = random.below(3) == 0 ? 6 : 2;  // of one guest
  for (std::uint32_t i = 0; i < items; ++i) {
    PlacementItem one = item(random.unit(), with_topology ? i / peers : i,
                             static_cast<std::uint32_t>(random.below(cpus)));
    if (with_topology && random.below(3) == 0) {
      one.home_node = static_cast<std::uint32_t>(random.below(2));
    }
    problem.items.push_back(one);
  }
  return problem;
}

TEST(PlacementState, GainsAreDifferencesOfTheCost) {
  base::Random random(7);
  for (int round = 0; round < 2000; ++round) {
    const PlacementProblem problem = random_problem(random, 8, 7, true);
    PlacementState state(problem);
    std::vector<std::uint32_t> at;
    for (const auto& one : problem.items) at.push_back(one.at);
    const auto a = static_cast<std::uint32_t>(random.below(7));
    const auto b = static_cast<std::uint32_t>(random.below(7));
    const auto to = static_cast<std::uint32_t>(random.below(8));
    const double before = cost(problem, at);
    if (to != at[a]) {
      auto moved = at;
      moved[a] = to;
      const auto bound = state.bound(at[a], to);
      const double most = bound.of(problem.items[a].demand, bound.costs[a]);
      ASSERT_LE(state.gain_of_move(a, to), most + 1e-9) << round;
      ASSERT_LE(most, bound.most() + 1e-9) << round;
      ASSERT_NEAR(state.gain_of_move(a, to), before - cost(problem, moved), 1e-9) << round;
    }
    if (at[a] != at[b]) {
      auto swapped = at;
      std::swap(swapped[a], swapped[b]);
      const auto bound = state.bound(at[a], at[b]);
      const double load = problem.items[a].demand - problem.items[b].demand;
      const double most = bound.of(load, bound.costs[a] + bound.costs[b]);
      ASSERT_LE(state.gain_of_swap(a, b), most + 1e-9);
      ASSERT_LE(most, bound.of_swap(problem.items[a].demand, bound.costs[a], state.lightest(at[b]),
                                    state.heaviest(at[b])) +
                          1e-9);
      ASSERT_LE(most, std::max(bound.most(), state.bound(at[b], at[a]).most()) + 1e-9);
      ASSERT_NEAR(state.gain_of_swap(a, b), before - cost(problem, swapped), 1e-9) << round;
      const auto room = state.room(a, at[b]);
      const bool peers = problem.items[a].guest == problem.items[b].guest;
      using Room = PlacementState::Room;
      ASSERT_EQ(state.may(a, at[b], b), room == Room::kForAny || (room == Room::kForPeer && peers));
      ASSERT_EQ(state.may(a, at[b]), room == Room::kForAny);
    }
  }
}

// By trying everything.
double brute_least(const PlacementProblem& problem) {
  const auto cpus = problem.cpus.size();
  std::vector<std::uint32_t> at(problem.items.size(), 0);
  double best = 1e9;
  for (;;) {
    std::vector<double> loads;
    for (const auto& cpu : problem.cpus) loads.push_back(cpu.foreign);
    for (std::size_t i = 0; i < at.size(); ++i) loads[at[i]] += problem.items[i].demand;
    best = std::min(best, spread(loads).deviation);
    std::size_t digit = 0;
    while (digit < at.size() && ++at[digit] == cpus) at[digit++] = 0;
    if (digit == at.size()) return best;
  }
}

TEST(LeastDeviation, IsWhatTryingEverythingFinds) {
  base::Random random(11);
  for (int round = 0; round < 100; ++round) {
    const PlacementProblem problem = random_problem(random, 3, 6, false);
    const auto found = least_deviation(problem, 1'000'000);
    ASSERT_TRUE(found);
    ASSERT_NEAR(*found, brute_least(problem), 1e-9) << round;
  }
  EXPECT_FALSE(least_deviation(random_problem(random, 3, 6, false), 5)) << "said more than it knew";
}

TEST(Improve, NeverMakesItWorseAndNeverMovesInVain) {
  base::Random random(13);
  const PlacementGoal goal;
  for (int round = 0; round < 2000; ++round) {
    const bool topology = round % 2 == 0;
    const PlacementProblem problem =
        random_problem(random, 2 + static_cast<std::uint32_t>(random.below(7)),
                       static_cast<std::uint32_t>(random.below(12)), topology);
    const auto moves = improve(problem, goal);
    std::vector<bool> moved(problem.items.size());
    for (const Move& move : moves) {
      ASSERT_FALSE(moved[move.item]) << "moved twice";
      moved[move.item] = true;
      ASSERT_EQ(move.from, problem.items[move.item].at);
      ASSERT_NE(move.from, move.to);
    }
    const Spread before = spread(loads_of(problem));
    const Spread after = spread(loads_after(problem, moves));
    ASSERT_LE(effective_deviation(problem, moves), effective_deviation(problem, {}) + 1e-9);
    if (good_enough(before, goal) && !topology) {
      ASSERT_TRUE(moves.empty()) << round;
    }
    if (!topology) {
      ASSERT_LE(after.deviation, before.deviation + 1e-9) << round;
    }
  }
}

TEST(Improve, EqualLoadsOnOneProcessorNeedSixMoves) {
  PlacementProblem problem = flat(4);
  for (std::uint32_t i = 0; i < 8; ++i) problem.items.push_back(item(0.45, i, 0));
  const auto moves = improve(problem, {});
  EXPECT_EQ(moves.size(), 6U);
  EXPECT_NEAR(spread(loads_after(problem, moves)).deviation, 0, 1e-9);
}

TEST(Improve, SwapsWhereMovesDoNotHelp) {
  PlacementProblem problem = flat(2);
  problem.items = {item(0.5, 0, 0), item(0.4, 1, 0), item(0.3, 2, 1), item(0.4, 3, 1)};
  const auto moves = improve(problem, {});
  EXPECT_EQ(moves.size(), 2U);
  EXPECT_NEAR(spread(loads_after(problem, moves)).deviation, 0, 1e-9);
}

TEST(Improve, TakesAMoveBeforeASwapThatGainsHardlyMore) {
  PlacementProblem problem =
      flat(2);  // two vCPUs of one guest: no plan of fewer moves is looked for
  problem.items = {item(0.39, 1, 0), item(0.21, 0, 0), item(0.19, 1, 1), item(0.01, 2, 1)};
  const auto moves = improve(problem, {});
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_EQ(moves[0].item, 1U);
}

TEST(Improve, MakesNoMoveThatCouldAsWellBeLeftOut) {
  base::Random random(17);
  const PlacementGoal goal;
  for (int round = 0; round < 2000; ++round) {
    const PlacementProblem problem = random_problem(random, 6, 10, true);
    const auto moves = improve(problem, goal);
    PlacementState state(problem);
    for (const Move& move : moves) state.place(move.item, move.to);
    const double reached = spread(state.loads()).deviation;
    for (const Move& move : moves) {
      if (!state.may(move.item, move.from)) continue;
      const double gain = state.gain_of_move(move.item, move.from);
      state.place(move.item, move.from);
      const Spread without = spread(state.loads());
      EXPECT_TRUE(gain < -goal.least_gain ||
                  (without.deviation > reached && !good_enough(without, goal)))
          << "round " << round << ": item " << move.item;
      state.place(move.item, move.to);
    }
  }
}

TEST(Improve, PlacesTheHomelessFirst) {
  PlacementProblem problem = flat(3);
  problem.items = {item(0.9, 0, 0), item(0.5, 1, kNowhere), item(0.4, 2, kNowhere)};
  const auto moves = improve(problem, {});
  ASSERT_EQ(moves.size(), 2U);
  EXPECT_NE(moves[0].to, 0U);
  EXPECT_NE(moves[1].to, 0U);
  EXPECT_NE(moves[0].to, moves[1].to);
}

TEST(Improve, KeepsMasksAndWhatMayNotMove) {
  PlacementProblem problem = flat(3);
  problem.items = {item(0.9, 0, 0), item(0.8, 1, 0), item(0.7, 2, 0)};
  problem.items[0].movable = false;
  problem.items[1].allowed = {true, true, false};
  const auto moves = improve(problem, {});
  ASSERT_EQ(moves.size(), 2U);
  for (const Move& move : moves) {
    if (move.item == 1) {
      EXPECT_EQ(move.to, 1U);
    }
    if (move.item == 2) {
      EXPECT_EQ(move.to, 2U);
    }
  }
}

TEST(Improve, DoesNotStackOneGuestsVcpus) {
  // The emptiest place for guest 0's second vCPU is where its first one runs.
  PlacementProblem problem = flat(3);
  problem.items = {item(0.3, 0, 0), item(0.3, 0, 1), item(0.9, 1, 1), item(0.6, 2, 2)};
  for (const Move& move : improve(problem, {})) {
    if (problem.items[move.item].guest == 0) {
      EXPECT_NE(move.to, 0U);
    }
  }
  // More vCPUs than processors: as evenly as can be.
  problem = flat(2);
  for (std::uint32_t i = 0; i < 4; ++i) problem.items.push_back(item(0.4, 0, 0));
  const auto moves = improve(problem, {});
  EXPECT_EQ(moves.size(), 2U);
}

TEST(Improve, TakesAFreeCoreBeforeASibling) {
  PlacementProblem problem;
  problem.cpus = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}};
  problem.items = {item(0.9, 0, 0), item(0.9, 1, 0)};
  const auto moves = improve(problem, {});
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_GE(moves[0].to, 2U) << "beside its sibling";
}

TEST(Improve, PartsSiblingsThoughTheLoadsGetNoMoreEven) {
  PlacementProblem problem;
  problem.cpus = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}};
  problem.items = {item(0.8, 0, 0), item(0.8, 1, 1)};
  const auto moves = improve(problem, {});
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_GE(moves[0].to, 2U);
  EXPECT_LT(effective_deviation(problem, moves), effective_deviation(problem, {}));
}

TEST(Improve, BringsLoadsToTheirMemoryThoughTheyAreEven) {
  PlacementProblem problem;
  problem.cpus = {{0, 0, 0, 0}, {0, 1, 1, 1}};
  problem.items = {item(0.5, 0, 0), item(0.5, 1, 1)};
  problem.items[0].home_node = 1;
  problem.items[1].home_node = 0;
  EXPECT_EQ(improve(problem, {}).size(), 2U);
  for (auto& one : problem.items) one.demand = 0.05;
  EXPECT_TRUE(improve(problem, {}).empty()) << "two pins for next to nothing";
}

TEST(EffectiveDeviation, IsTheDeviationWhereNothingElseCosts) {
  base::Random random(19);
  for (int round = 0; round < 100; ++round) {
    const PlacementProblem problem = random_problem(random, 4, 6, false);
    const auto moves = improve(problem, {});
    ASSERT_NEAR(effective_deviation(problem, moves), spread(loads_after(problem, moves)).deviation,
                1e-9);
  }
}

// Only an exchange of three would help, which neither moves nor swaps reach one by one.
TEST(Improve, LeavesADeadEndOnSmallProblems) {
  base::Random random(23);
  int left = 0;
  for (int round = 0; round < 300; ++round) {
    const PlacementProblem problem = random_problem(random, 3, 7, false);
    PlacementGoal descent;
    descent.search_steps = 0;
    const double caught = spread(loads_after(problem, improve(problem, descent))).deviation;
    PlacementGoal goal;
    goal.search_steps = 100'000;
    const Spread now = spread(loads_after(problem, improve(problem, goal)));
    const double least = *least_deviation(problem, 1'000'000);
    ASSERT_TRUE(good_enough(now, goal) ||
                now.deviation <= std::max(goal.slack * least, 0.5 * goal.slack * caught) + 1e-9)
        << round;
    if (now.deviation < 0.9 * caught) ++left;
  }
  EXPECT_GT(left, 0);
}

TEST(Improve, LeavesTheMemorysNodeOnlyForMuch) {
  PlacementProblem problem;
  problem.cpus = {{0, 0, 0, 0}, {0, 1, 1, 1}};
  problem.items = {item(0.3, 0, 0), item(0.3, 1, 0)};
  problem.items[0].home_node = problem.items[1].home_node = 0;
  problem.items[0].demand = problem.items[1].demand = 0.2;
  EXPECT_TRUE(improve(problem, {}).empty()) << "0.2 less load is not worth the distance";
  problem.items[0].demand = problem.items[1].demand = 0.5;
  EXPECT_EQ(improve(problem, {}).size(), 1U);
}

TEST(FewestMoves, FindsAPlanThatTheDescentMisses) {
  base::Random random(17);
  int fewer = 0;
  for (int round = 0; round < 300; ++round) {
    const PlacementProblem problem = random_problem(random, 3, 7, false);
    PlacementGoal quick;
    quick.search_steps = 0;
    const auto descent = improve(problem, quick);
    const double reached = spread(loads_after(problem, descent)).deviation;
    const auto found = fewest_moves(problem, quick, reached, descent.size(), 1'000'000);
    if (!found) continue;
    ++fewer;
    ASSERT_LT(found->size(), descent.size());
    const Spread after = spread(loads_after(problem, *found));
    ASSERT_TRUE(good_enough(after, quick) || after.deviation <= reached * 1.000001);
  }
  EXPECT_GT(fewer, 0);
}

}  // namespace
}  // namespace fairlead::manage
