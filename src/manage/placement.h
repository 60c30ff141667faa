// SPDX-License-Identifier: Apache-2.0
//
// Placement: which item (a vCPU with a demand) runs on which processor, what that costs, and how to
// make it better with few moves.
//
// The cost is quadratic.  With L_p the load of processor p, foreign load included,
//
//     cost = Σ L_p²                                balance: Σ L_p is constant, so this is variance
//          + 2 κ Σ L_a L_b     over SMT siblings   a free core before a busy one's other thread
//          + 2 σ Σ d_i d_j     over stacked pairs  vCPUs of one guest that share a processor
//          + 2 ρ Σ d_i         over remote items   away from the memory's node, or moved off the
//                                                  cache or node where they are warm
//
// Moving a load l from s to d gains 2 l (L_s − L_d − l) of the first term: worth it only if
// l < L_s − L_d, and ρ is the difference of loads that outweighs being remote.
//
// improve() descends by the best move or swap that takes from the fullest processor or gives to
// the emptiest, until the target is met or nothing gains, beyond the target only for what siblings,
// stacking or distance cost; then it takes back moves that turned out unnecessary.  On small
// problems it looks for a plan of fewer moves, and where the descent ended far above the least
// deviation there is, for one that comes near it.  Aggarwal, Motwani and Zhu (2006), "The load
// rebalancing problem", bound what few moves can reach.
//
// Pure: no clock, no chance.  Thread-safety: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fairlead::manage {

inline constexpr std::uint32_t kNowhere = UINT32_MAX;

struct PlacementCpu {
  double foreign = 0;  // load that does not move
  std::uint32_t core = 0;
  std::uint32_t cache = 0;
  std::uint32_t node = 0;
};

struct PlacementItem {
  double demand = 0;
  std::uint32_t guest = 0;
  std::uint32_t home_node = kNowhere;  // of its memory, if known
  std::uint32_t at = kNowhere;         // index of its processor; kNowhere: must be placed
  bool movable = true;
  std::vector<bool> allowed{};  // by index of processor; empty: all
};

struct PlacementProblem {
  std::vector<PlacementCpu> cpus;
  std::vector<PlacementItem> items;
  double sibling_interference = 0.4;  // κ
  double stack_weight = 4;            // σ
  double remote_weight = 0.25;        // ρ: away from the memory's node
  double cold_node_weight = 0.05;     // ρ: moved off its node, memory's place unknown
  double cold_cache_weight = 0.02;    // ρ: moved off its cache
};

struct PlacementGoal {
  double relative = 0.03;       // standard deviation ÷ mean that is good enough
  double absolute = 0.015;      // or this, in processors
  double least_gain = 0.0008;   // of the cost, for a move to be worth making
  double topology_gain = 0.05;  // likewise, where the loads are even enough
  double slack = 1.1;           // deviation that a plan of fewer moves may have, ÷ the descent's
  std::size_t search_steps = 10'000;  // for a plan of fewer moves, or none
};

struct Move {
  std::uint32_t item = 0;
  std::uint32_t from = kNowhere;
  std::uint32_t to = 0;
};

struct Spread {
  double mean = 0;
  double deviation = 0;  // standard deviation, as a population
};
Spread spread(const std::vector<double>& loads) noexcept;

std::vector<double> loads_of(const PlacementProblem& problem);
std::vector<double> loads_after(const PlacementProblem& problem, const std::vector<Move>& moves);

// √((cost − m·mean²) ÷ m) over the m processors after these moves: the standard deviation, with
// what siblings, stacking and distance cost added.
double effective_deviation(const PlacementProblem& problem, const std::vector<Move>& moves);

bool good_enough(const Spread& spread, const PlacementGoal& goal) noexcept;

// One cache, one node, no SMT, one vCPU a guest: nothing but the spread tells placements apart.
bool is_flat(const PlacementProblem& problem);

// At most one move an item, those that must be placed first.  Never worse than no move at all.
std::vector<Move> improve(const PlacementProblem& problem, const PlacementGoal& goal);

}  // namespace fairlead::manage
