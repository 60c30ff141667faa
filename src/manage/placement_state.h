// SPDX-License-Identifier: Apache-2.0
//
// PlacementState: a placement under change, with the cost of every change in O(SMT siblings).  For
// manage alone; placement.h says what the cost means.
//
// Thread-safety: none.  The problem must outlive it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "manage/placement.h"

namespace fairlead::manage {

class PlacementState {
 public:
  explicit PlacementState(const PlacementProblem& problem);

  const PlacementProblem& problem() const noexcept { return problem_; }
  const std::vector<double>& loads() const noexcept { return loads_; }
  std::uint32_t at(std::uint32_t item) const noexcept { return at_[item]; }
  const std::vector<std::uint32_t>& on(std::uint32_t cpu) const noexcept { return on_[cpu]; }

  // May the item be on that processor: allowed, and without stacking vCPUs of one guest more than
  // their number demands.  `leaving` (an item, or kNowhere) is thought gone from there.
  bool may(std::uint32_t item, std::uint32_t cpu, std::uint32_t leaving = kNowhere) const;

  // Might it be there if somebody left: never, if one of its own guest, or whoever it is.
  enum class Room : std::uint8_t { kNone, kForPeer, kForAny };
  Room room(std::uint32_t item, std::uint32_t cpu) const;

  // What the cost would fall by; negative if it would rise.
  double gain_of_move(std::uint32_t item, std::uint32_t to) const;
  double gain_of_swap(std::uint32_t a, std::uint32_t b) const;

  // No move from p to q, or swap between them, gains more; cheap.
  struct Bound {
    double pull = 0;     // difference of the loads, siblings' included
    double evening = 1;  // 1 - κ
    double other = 0;    // by stacking and distance, of any two items there
    // By item, half of what stacking costs where it is, and distance if p and q differ in it; and
    // the most of any item on q.
    const double* costs = nullptr;
    double most_cost_there = 0;

    // Of those that move this load in sum, of items that cost so much together.
    double of(double load, double cost) const {
      return 2 * (load * (pull - evening * load) + cost);
    }
    // The most that a swap of an item of that load gains, for loads on q within these bounds.
    double of_swap(double load, double cost, double lightest, double heaviest) const {
      const double best = evening > 0 ? pull / (2 * evening) : load;
      return of(std::clamp(best, load - heaviest, load - lightest), cost + most_cost_there);
    }
    double most() const { return (pull <= 0 ? 0 : pull * pull / (2 * evening)) + other; }
  };
  Bound bound(std::uint32_t p, std::uint32_t q) const;

  // Of the items there; 0 if there are none.
  double lightest(std::uint32_t cpu) const noexcept { return lightest_[cpu]; }
  double heaviest(std::uint32_t cpu) const noexcept { return heaviest_[cpu]; }

  double cost() const;  // from scratch, as placement.h has it

  void place(std::uint32_t item, std::uint32_t cpu);
  std::vector<Move> moves() const;  // against where the problem has them

 private:
  std::uint32_t peers_on(std::uint32_t item, std::uint32_t cpu, std::uint32_t but) const;
  double stacked_demand(std::uint32_t item, std::uint32_t cpu, std::uint32_t but) const;
  double sibling_load(std::uint32_t cpu) const;
  void judge(std::uint32_t cpu);
  bool are_siblings(std::uint32_t a, std::uint32_t b) const;
  double distance(std::uint32_t item, std::uint32_t cpu) const;

  // What a guest has on each processor; kept for those with too many vCPUs to look at each.
  struct Row {
    std::vector<double> demand;
    std::vector<std::uint32_t> count;
  };
  static constexpr std::size_t kFewPeers = 4;
  bool has_row(std::uint32_t guest) const noexcept { return !rows_[guest].count.empty(); }
  void put_in_row(std::uint32_t item, std::uint32_t cpu, bool there);
  bool is_peer(std::uint32_t item, std::uint32_t other) const noexcept;

  const PlacementProblem& problem_;
  std::vector<double> loads_;
  std::vector<std::uint32_t> at_;
  std::vector<std::vector<std::uint32_t>> on_;        // items, by processor
  std::vector<std::vector<std::uint32_t>> siblings_;  // other threads of the core, by processor
  std::vector<std::vector<std::uint32_t>> peers_;     // items, by guest
  // By item d σ Σ d_j and d (σ Σ d_j + ρ), half of what its place costs; by processor the most of
  // any item there.
  std::vector<double> stacked_, misplaced_;
  std::vector<double> most_stacked_, most_misplaced_;
  std::vector<double> lightest_, heaviest_;  // by processor: demands
  std::vector<Row> rows_;                    // by guest; empty for those with few vCPUs
  bool smt_ = false;
  std::vector<std::uint32_t> most_on_one_;  // by guest: that fit one processor
};

}  // namespace fairlead::manage
