// SPDX-License-Identifier: Apache-2.0
#include "manage/placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "manage/fewest_moves.h"
#include "manage/placement_state.h"

namespace fairlead::manage {
namespace {

struct Step {
  double gain = 0;
  std::uint32_t item = kNowhere;
  std::uint32_t to = kNowhere;
  std::uint32_t partner = kNowhere;  // goes the other way

  // A swap changes two pins: it has to gain more than twice as much as it costs more.
  double worth() const { return partner == kNowhere ? gain : gain / 2; }
};

bool may_move(const PlacementState& state, std::uint32_t item) {
  return state.problem().items[item].movable;
}

void consider(const Step& step, Step& best) {
  if (step.worth() > best.worth()) best = step;
}

// The best single move from p to q, or swap between them.
void consider_pair(const PlacementState& state, std::uint32_t p, std::uint32_t q, Step& best) {
  using Room = PlacementState::Room;
  const PlacementState::Bound bound = state.bound(p, q);
  if (bound.most() <= best.worth()) return;
  const auto& items = state.problem().items;
  for (const std::uint32_t a : state.on(p)) {
    if (!may_move(state, a)) continue;
    const double load = items[a].demand;
    const double cost = bound.costs[a];
    if (bound.of(load, cost) > best.worth() && state.may(a, q)) {
      consider({state.gain_of_move(a, q), a, q, kNowhere}, best);
    }
    if (bound.of_swap(load, cost, state.lightest(q), state.heaviest(q)) <= 2 * best.worth()) {
      continue;
    }
    const Room room = state.room(a, q);
    if (room == Room::kNone) continue;
    for (const std::uint32_t b : state.on(q)) {
      const double most = bound.of(load - items[b].demand, cost + bound.costs[b]);
      if (most <= 2 * best.worth() || !may_move(state, b)) continue;
      if (room == Room::kForPeer && items[b].guest != items[a].guest) continue;
      if (!state.may(b, p, a)) continue;
      consider({state.gain_of_swap(a, b), a, q, b}, best);
    }
  }
}

void take(PlacementState& state, const Step& step) {
  const std::uint32_t from = state.at(step.item);
  state.place(step.item, step.to);
  if (step.partner != kNowhere) state.place(step.partner, from);
}

// The fullest and the emptiest processors first: the best step nearly always has one of them at an
// end, and looking at all pairs would be quadratic in the processors.
std::vector<std::uint32_t> by_distance_from_mean(const PlacementState& state) {
  std::vector<std::uint32_t> order(state.loads().size());
  std::iota(order.begin(), order.end(), 0U);
  const double mean = spread(state.loads()).mean;
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const double x = std::abs(state.loads()[a] - mean);
    const double y = std::abs(state.loads()[b] - mean);
    return x != y ? x > y : a < b;
  });
  return order;
}

Step best_step(const PlacementState& state, double least_gain) {
  constexpr std::size_t kLeastEnds = 2;
  Step best;
  best.gain = least_gain;
  best.partner = kNowhere;
  const auto order = by_distance_from_mean(state);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i >= kLeastEnds && best.item != kNowhere) break;
    for (const std::uint32_t other : order) {
      if (other == order[i]) continue;
      consider_pair(state, order[i], other, best);
      consider_pair(state, other, order[i], best);
    }
  }
  return best;
}

// Those without a place, the largest first, each where it costs least.
void place_the_homeless(PlacementState& state) {
  std::vector<std::uint32_t> homeless;
  const auto& items = state.problem().items;
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    if (items[i].at == kNowhere) homeless.push_back(i);
  }
  std::ranges::sort(homeless, {}, [&](auto i) { return std::pair(-items[i].demand, i); });
  for (const std::uint32_t i : homeless) {
    std::uint32_t best = kNowhere;
    double gain = 0;
    std::size_t crowd = 0;
    for (std::uint32_t cpu = 0; cpu < state.loads().size(); ++cpu) {
      if (!state.may(i, cpu)) continue;
      const double here = state.gain_of_move(i, cpu);
      const std::size_t on = state.on(cpu).size();
      if (best == kNowhere || here > gain || (here == gain && on < crowd)) {
        best = cpu;
        gain = here;
        crowd = on;
      }
    }
    if (best != kNowhere) state.place(i, best);
  }
}

bool all_differ(std::vector<std::uint32_t> numbers) {
  std::ranges::sort(numbers);
  return std::ranges::adjacent_find(numbers) == numbers.end();
}

void descend(PlacementState& state, const PlacementGoal& goal, bool flat) {
  const std::size_t most = 4 * state.problem().items.size() + 4;
  for (std::size_t steps = 0; steps < most; ++steps) {
    const bool even = good_enough(spread(state.loads()), goal);
    if (even && flat) return;
    const Step step = best_step(state, even ? goal.topology_gain : goal.least_gain);
    if (step.item == kNowhere) return;
    take(state, step);
  }
}

// Takes back each move without which the result is as good, or good enough.
void take_back(PlacementState& state, const PlacementGoal& goal) {
  const double reached = spread(state.loads()).deviation;
  for (const Move& move : state.moves()) {
    if (move.from == kNowhere || !state.may(move.item, move.from)) continue;
    const std::uint32_t to = state.at(move.item);
    const double gain = state.gain_of_move(move.item, move.from);
    state.place(move.item, move.from);
    const Spread now = spread(state.loads());
    const bool fine = good_enough(now, goal) || now.deviation <= reached;
    if (!fine || gain < -goal.least_gain) state.place(move.item, to);
  }
}

// A plan of fewer moves that is hardly worse than the descent's; where the descent was caught far
// above what is possible, the plan of fewest moves that is near it or half as uneven.
std::vector<Move> search(const PlacementProblem& problem, const PlacementGoal& goal,
                         std::vector<Move> moves, double reached) {
  constexpr std::size_t kFewItems = 12;
  const auto fewer = fewest_moves(problem, goal, reached, moves.size(), goal.search_steps);
  if (fewer) {
    moves = *fewer;
    reached = spread(loads_after(problem, moves)).deviation;
  }
  const Spread now = spread(loads_after(problem, moves));
  if (good_enough(now, goal) || problem.items.size() > kFewItems) return moves;
  const auto least = least_deviation(problem, goal.search_steps);
  if (!least || reached <= goal.slack * *least) return moves;
  const double aim = std::max(goal.slack * *least, reached / 2);
  auto better = fewest_moves(problem, goal, aim, problem.items.size() + 1, goal.search_steps);
  return better ? std::move(*better) : moves;
}

}  // namespace

bool is_flat(const PlacementProblem& problem) {
  std::vector<std::uint32_t> cores;
  for (const PlacementCpu& cpu : problem.cpus) {
    if (cpu.cache != problem.cpus[0].cache || cpu.node != problem.cpus[0].node) return false;
    cores.push_back(cpu.core);
  }
  std::vector<std::uint32_t> guests;
  guests.reserve(problem.items.size());
  for (const PlacementItem& item : problem.items) guests.push_back(item.guest);
  return all_differ(std::move(cores)) && all_differ(std::move(guests));
}

double effective_deviation(const PlacementProblem& problem, const std::vector<Move>& moves) {
  PlacementState state(problem);
  for (const Move& move : moves) state.place(move.item, move.to);
  const Spread now = spread(state.loads());
  const auto cpus = static_cast<double>(problem.cpus.size());
  return std::sqrt(std::max(state.cost() / cpus - now.mean * now.mean, 0.0));
}

Spread spread(const std::vector<double>& loads) noexcept {
  if (loads.empty()) return {};
  double sum = 0;
  for (const double load : loads) sum += load;
  const double mean = sum / static_cast<double>(loads.size());
  double squares = 0;
  for (const double load : loads) squares += (load - mean) * (load - mean);
  return {mean, std::sqrt(squares / static_cast<double>(loads.size()))};
}

std::vector<double> loads_of(const PlacementProblem& problem) {
  std::vector<double> loads;
  loads.reserve(problem.cpus.size());
  for (const PlacementCpu& cpu : problem.cpus) loads.push_back(cpu.foreign);
  for (const PlacementItem& item : problem.items) {
    if (item.at != kNowhere) loads[item.at] += item.demand;
  }
  return loads;
}

std::vector<double> loads_after(const PlacementProblem& problem, const std::vector<Move>& moves) {
  std::vector<double> loads = loads_of(problem);
  for (const Move& move : moves) {
    if (move.from != kNowhere) loads[move.from] -= problem.items[move.item].demand;
    loads[move.to] += problem.items[move.item].demand;
  }
  return loads;
}

bool good_enough(const Spread& spread, const PlacementGoal& goal) noexcept {
  return spread.deviation <= std::max(goal.absolute, goal.relative * spread.mean);
}

std::vector<Move> improve(const PlacementProblem& problem, const PlacementGoal& goal) {
  if (problem.cpus.empty()) return {};
  PlacementState state(problem);
  const bool flat = is_flat(problem);
  place_the_homeless(state);
  descend(state, goal, flat);
  take_back(state, goal);
  if (!flat) return state.moves();
  return search(problem, goal, state.moves(), spread(state.loads()).deviation);
}

}  // namespace fairlead::manage
