// SPDX-License-Identifier: Apache-2.0
#include "manage/fewest_moves.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "manage/placement_state.h"

namespace fairlead::manage {
namespace {

// Iterative deepening: all sets of `moves` items, each to all other processors.
class FewestMoves {
 public:
  FewestMoves(const PlacementProblem& problem, const PlacementGoal& goal, double reached,
              std::size_t steps)
      : state_(problem), goal_(goal), reached_(reached), steps_(steps) {
    for (std::uint32_t i = 0; i < problem.items.size(); ++i) {
      // What has no load changes nothing, unless it has to be placed.
      const PlacementItem& item = problem.items[i];
      if (item.at == kNowhere) homeless_.push_back(i);
      if (item.at != kNowhere && item.movable && item.demand > 0) candidates_.push_back(i);
    }
  }

  std::optional<std::vector<Move>> search(std::size_t below) {
    if (!homeless_.empty()) return {};  // each of them moves in any case
    for (std::size_t moves = 0; moves < below; ++moves) {
      best_deviation_ = std::numeric_limits<double>::infinity();
      if (!extend(0, moves)) return {};
      if (!std::isinf(best_deviation_)) return best_;
    }
    return {};
  }

 private:
  // False: out of steps.
  bool extend(std::size_t first, std::size_t left) {
    if (left == 0) return judge();
    for (std::size_t c = first; c + left <= candidates_.size(); ++c) {
      const std::uint32_t item = candidates_[c];
      const std::uint32_t home = state_.at(item);
      for (std::uint32_t cpu = 0; cpu < state_.loads().size(); ++cpu) {
        // A move may need room that a later one makes, so stacking is judged at the end.
        if (cpu == home || !allowed(item, cpu)) continue;
        state_.place(item, cpu);
        const bool in_time = extend(c + 1, left - 1);
        state_.place(item, home);
        if (!in_time) return false;
      }
    }
    return true;
  }

  bool judge() {
    if (steps_ == 0) return false;
    --steps_;
    const Spread now = spread(state_.loads());
    if (now.deviation >= best_deviation_) return true;
    if (!good_enough(now, goal_) && now.deviation > reached_ * (1 + 1e-9)) return true;
    const std::vector<Move> moves = state_.moves();
    for (const Move& move : moves) {
      if (!state_.may(move.item, move.to)) return true;
    }
    best_deviation_ = now.deviation;
    best_ = moves;
    return true;
  }

  bool allowed(std::uint32_t item, std::uint32_t cpu) const {
    const auto& mask = state_.problem().items[item].allowed;
    return mask.empty() || mask[cpu];
  }

  PlacementState state_;
  const PlacementGoal goal_;
  const double reached_;
  std::size_t steps_;
  std::vector<std::uint32_t> candidates_;
  std::vector<std::uint32_t> homeless_;
  double best_deviation_ = 0;
  std::vector<Move> best_;
};

// Branch and bound, the largest demand first, equal empty processors once.
class LeastDeviation {
 public:
  LeastDeviation(const PlacementProblem& problem, std::size_t steps)
      : start_(cleared(problem)), state_(start_), steps_(steps) {
    const auto& items = problem.items;
    for (std::uint32_t i = 0; i < items.size(); ++i) {
      if (items[i].movable || items[i].at == kNowhere) order_.push_back(i);
    }
    std::ranges::sort(order_, {}, [&](auto i) { return std::pair(-items[i].demand, i); });
    double sum = 0;
    for (const double load : state_.loads()) sum += load;
    for (const std::uint32_t i : order_) sum += items[i].demand;
    mean_ = sum / static_cast<double>(problem.cpus.size());
  }

  std::optional<double> search() {
    if (!extend(0) || std::isinf(best_)) return {};
    return std::sqrt(best_ / static_cast<double>(state_.loads().size()));
  }

 private:
  static PlacementProblem cleared(PlacementProblem problem) {
    for (PlacementItem& item : problem.items) {
      if (item.movable) item.at = kNowhere;
    }
    return problem;
  }

  // No placement of the rest can take what already stands above the mean away.
  double bound() const {
    double squares = 0;
    for (const double load : state_.loads()) {
      if (load > mean_) squares += (load - mean_) * (load - mean_);
    }
    return squares;
  }

  bool extend(std::size_t next) {
    if (steps_ == 0) return false;
    --steps_;
    if (bound() >= best_) return true;
    if (next == order_.size()) {
      double squares = 0;
      for (const double load : state_.loads()) squares += (load - mean_) * (load - mean_);
      best_ = std::min(best_, squares);
      return true;
    }
    const std::uint32_t item = order_[next];
    std::vector<std::uint32_t> cpus(state_.loads().size());
    std::iota(cpus.begin(), cpus.end(), 0U);
    std::ranges::sort(cpus, {}, [&](auto cpu) { return std::pair(state_.loads()[cpu], cpu); });
    for (std::size_t i = 0; i < cpus.size(); ++i) {
      if (!state_.may(item, cpus[i]) || same_as_before(cpus, i)) continue;
      state_.place(item, cpus[i]);
      const bool in_time = extend(next + 1);
      state_.place(item, kNowhere);
      if (!in_time) return false;
    }
    return true;
  }

  // Two processors with nothing of ours on them and the same load are one for the search, unless
  // masks or guests tell them apart.
  bool same_as_before(const std::vector<std::uint32_t>& cpus, std::size_t i) const {
    if (i == 0 || !state_.on(cpus[i]).empty() || !state_.on(cpus[i - 1]).empty()) return false;
    if (state_.loads()[cpus[i]] != state_.loads()[cpus[i - 1]]) return false;
    return std::ranges::all_of(start_.items, [&](const PlacementItem& item) {
      return item.allowed.empty() || item.allowed[cpus[i]] == item.allowed[cpus[i - 1]];
    });
  }

  const PlacementProblem start_;
  PlacementState state_;
  std::size_t steps_;
  std::vector<std::uint32_t> order_;
  double mean_ = 0;
  double best_ = std::numeric_limits<double>::infinity();
};

}  // namespace

std::optional<std::vector<Move>> fewest_moves(const PlacementProblem& problem,
                                              const PlacementGoal& goal, double reached,
                                              std::size_t below, std::size_t steps) {
  return FewestMoves(problem, goal, reached, steps).search(below);
}

std::optional<double> least_deviation(const PlacementProblem& problem, std::size_t steps) {
  if (problem.cpus.empty()) return 0.0;
  return LeastDeviation(problem, steps).search();
}

}  // namespace fairlead::manage
