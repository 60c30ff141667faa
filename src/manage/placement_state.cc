// SPDX-License-Identifier: Apache-2.0
#include "manage/placement_state.h"

#include <algorithm>
#include <map>
#include <utility>

namespace fairlead::manage {

PlacementState::PlacementState(const PlacementProblem& problem)
    : problem_(problem),
      loads_(loads_of(problem)),
      on_(problem.cpus.size()),
      siblings_(problem.cpus.size()) {
  std::map<std::uint32_t, std::vector<std::uint32_t>> cores;
  for (std::uint32_t cpu = 0; cpu < problem.cpus.size(); ++cpu) {
    cores[problem.cpus[cpu].core].push_back(cpu);
  }
  for (const auto& [core, threads] : cores) {
    for (const std::uint32_t cpu : threads) {
      for (const std::uint32_t other : threads) {
        if (other != cpu) siblings_[cpu].push_back(other);
      }
    }
  }
  std::uint32_t guests = 0;
  for (const PlacementItem& item : problem.items) guests = std::max(guests, item.guest + 1);
  peers_.resize(guests);
  at_.reserve(problem.items.size());
  for (std::uint32_t i = 0; i < problem.items.size(); ++i) {
    const PlacementItem& item = problem.items[i];
    at_.push_back(item.at);
    if (item.at != kNowhere) on_[item.at].push_back(i);
    peers_[item.guest].push_back(i);
  }
  const auto cpus = static_cast<std::uint32_t>(std::max<std::size_t>(problem.cpus.size(), 1));
  for (const auto& peers : peers_) {
    std::uint32_t room = cpus;  // of the most restricted one
    for (const std::uint32_t i : peers) {
      const auto& allowed = problem.items[i].allowed;
      if (allowed.empty()) continue;
      const auto count = static_cast<std::uint32_t>(std::ranges::count(allowed, true));
      room = std::min(room, std::max(count, 1U));
    }
    most_on_one_.push_back((static_cast<std::uint32_t>(peers.size()) + room - 1) / room);
  }
  rows_.resize(guests);
  for (std::uint32_t guest = 0; guest < guests; ++guest) {
    if (peers_[guest].size() <= kFewPeers) continue;
    rows_[guest] = {std::vector<double>(problem.cpus.size()),
                    std::vector<std::uint32_t>(problem.cpus.size())};
    for (const std::uint32_t i : peers_[guest]) put_in_row(i, at_[i], true);
  }
  smt_ = std::ranges::any_of(siblings_, [](const auto& others) { return !others.empty(); });
  stacked_.resize(problem.items.size());
  misplaced_.resize(problem.items.size());
  most_stacked_.resize(problem.cpus.size());
  most_misplaced_.resize(problem.cpus.size());
  lightest_.resize(problem.cpus.size());
  heaviest_.resize(problem.cpus.size());
  for (std::uint32_t cpu = 0; cpu < problem.cpus.size(); ++cpu) judge(cpu);
}

// By the loads a move or swap gains most if it evens them out: max over l of 2 l (X - (1 - κ) l),
// with X the difference of the pulls; by stacking and distance what they cost where items are.  On
// one cache and node all are equally far.
PlacementState::Bound PlacementState::bound(std::uint32_t p, std::uint32_t q) const {
  const double k = smt_ ? problem_.sibling_interference : 0;
  const PlacementCpu& from = problem_.cpus[p];
  const PlacementCpu& to = problem_.cpus[q];
  const bool near = from.node == to.node && from.cache == to.cache;
  const auto& most = near ? most_stacked_ : most_misplaced_;
  return {.pull = loads_[p] - loads_[q] + k * (sibling_load(p) - sibling_load(q)),
          .evening = 1 - k,
          .other = 2 * (most[p] + most[q]),
          .costs = near ? stacked_.data() : misplaced_.data(),
          .most_cost_there = most[q]};
}

void PlacementState::judge(std::uint32_t cpu) {
  most_stacked_[cpu] = most_misplaced_[cpu] = 0;
  lightest_[cpu] = heaviest_[cpu] = on_[cpu].empty() ? 0 : problem_.items[on_[cpu][0]].demand;
  for (const std::uint32_t item : on_[cpu]) {
    const double demand = problem_.items[item].demand;
    stacked_[item] = demand * problem_.stack_weight * stacked_demand(item, cpu, item);
    misplaced_[item] = stacked_[item] + demand * distance(item, cpu);
    lightest_[cpu] = std::min(lightest_[cpu], demand);
    heaviest_[cpu] = std::max(heaviest_[cpu], demand);
    most_stacked_[cpu] = std::max(most_stacked_[cpu], stacked_[item]);
    most_misplaced_[cpu] = std::max(most_misplaced_[cpu], misplaced_[item]);
  }
}

bool PlacementState::may(std::uint32_t item, std::uint32_t cpu, std::uint32_t leaving) const {
  const PlacementItem& it = problem_.items[item];
  if (!it.allowed.empty() && !it.allowed[cpu]) return false;
  return peers_on(item, cpu, leaving) < most_on_one_[it.guest];
}

PlacementState::Room PlacementState::room(std::uint32_t item, std::uint32_t cpu) const {
  const PlacementItem& it = problem_.items[item];
  if (!it.allowed.empty() && !it.allowed[cpu]) return Room::kNone;
  const std::uint32_t peers = peers_on(item, cpu, kNowhere);
  if (peers < most_on_one_[it.guest]) return Room::kForAny;
  return peers == most_on_one_[it.guest] ? Room::kForPeer : Room::kNone;
}

double PlacementState::gain_of_move(std::uint32_t item, std::uint32_t to) const {
  const std::uint32_t from = at_[item];
  const double d = problem_.items[item].demand;
  if (from == kNowhere) {
    return -d * (2 * loads_[to] + d + 2 * problem_.sibling_interference * sibling_load(to) +
                 2 * problem_.stack_weight * stacked_demand(item, to, kNowhere) +
                 2 * distance(item, to));
  }
  double siblings = sibling_load(from) - sibling_load(to);
  // Where the two are siblings, the load moves from one factor of a product to the other.
  if (are_siblings(from, to)) siblings += d;
  const double stacked = stacked_demand(item, from, item) - stacked_demand(item, to, item);
  return 2 * d *
         (loads_[from] - loads_[to] - d + problem_.sibling_interference * siblings +
          problem_.stack_weight * stacked + distance(item, from) - distance(item, to));
}

double PlacementState::gain_of_swap(std::uint32_t a, std::uint32_t b) const {
  const std::uint32_t p = at_[a];
  const std::uint32_t q = at_[b];
  const double da = problem_.items[a].demand;
  const double db = problem_.items[b].demand;
  const double l = da - db;  // what p loses
  double siblings = sibling_load(p) - sibling_load(q);
  if (are_siblings(p, q)) siblings += l;
  double gain = 2 * l * (loads_[p] - loads_[q] - l + problem_.sibling_interference * siblings);
  gain += 2 * problem_.stack_weight * da * (stacked_demand(a, p, a) - stacked_demand(a, q, b));
  gain += 2 * problem_.stack_weight * db * (stacked_demand(b, q, b) - stacked_demand(b, p, a));
  gain += 2 * da * (distance(a, p) - distance(a, q)) + 2 * db * (distance(b, q) - distance(b, p));
  return gain;
}

double PlacementState::cost() const {
  double sum = 0;
  for (std::uint32_t cpu = 0; cpu < loads_.size(); ++cpu) {
    sum += loads_[cpu] * (loads_[cpu] + problem_.sibling_interference * sibling_load(cpu));
  }
  for (std::uint32_t item = 0; item < at_.size(); ++item) {
    if (at_[item] == kNowhere) continue;
    const double stacked = problem_.stack_weight * stacked_demand(item, at_[item], item);
    sum += problem_.items[item].demand * (stacked + 2 * distance(item, at_[item]));
  }
  return sum;
}

void PlacementState::place(std::uint32_t item, std::uint32_t cpu) {
  const double d = problem_.items[item].demand;
  if (at_[item] != kNowhere) {
    loads_[at_[item]] -= d;
    std::erase(on_[at_[item]], item);
  }
  if (has_row(problem_.items[item].guest)) {
    put_in_row(item, at_[item], false);
    put_in_row(item, cpu, true);
  }
  const std::uint32_t from = std::exchange(at_[item], cpu);
  if (from != kNowhere) judge(from);
  if (cpu == kNowhere) return;
  loads_[cpu] += d;
  on_[cpu].push_back(item);
  judge(cpu);
}

std::vector<Move> PlacementState::moves() const {
  std::vector<Move> moves;
  for (const bool placing : {true, false}) {
    for (std::uint32_t i = 0; i < at_.size(); ++i) {
      const std::uint32_t from = problem_.items[i].at;
      if (from != at_[i] && (from == kNowhere) == placing) moves.push_back({i, from, at_[i]});
    }
  }
  return moves;
}

void PlacementState::put_in_row(std::uint32_t item, std::uint32_t cpu, bool there) {
  if (cpu == kNowhere) return;
  Row& row = rows_[problem_.items[item].guest];
  const double demand = problem_.items[item].demand;
  row.count[cpu] += there ? 1 : UINT32_MAX;  // one more, or one less
  // None leaves nothing behind, whatever was rounded on the way.
  row.demand[cpu] = row.count[cpu] == 0 ? 0 : row.demand[cpu] + (there ? demand : -demand);
}

bool PlacementState::is_peer(std::uint32_t item, std::uint32_t other) const noexcept {
  return other != kNowhere && other != item &&
         problem_.items[other].guest == problem_.items[item].guest;
}

std::uint32_t PlacementState::peers_on(std::uint32_t item, std::uint32_t cpu,
                                       std::uint32_t but) const {
  if (const std::uint32_t guest = problem_.items[item].guest; has_row(guest)) {
    return rows_[guest].count[cpu] - (at_[item] == cpu ? 1 : 0) -
           (is_peer(item, but) && at_[but] == cpu ? 1 : 0);
  }
  std::uint32_t count = 0;
  for (const std::uint32_t peer : peers_[problem_.items[item].guest]) {
    if (peer != item && peer != but && at_[peer] == cpu) ++count;
  }
  return count;
}

double PlacementState::stacked_demand(std::uint32_t item, std::uint32_t cpu,
                                      std::uint32_t but) const {
  if (const std::uint32_t guest = problem_.items[item].guest; has_row(guest)) {
    if (peers_on(item, cpu, but) == 0) return 0;
    return rows_[guest].demand[cpu] - (at_[item] == cpu ? problem_.items[item].demand : 0) -
           (is_peer(item, but) && at_[but] == cpu ? problem_.items[but].demand : 0);
  }
  double demand = 0;
  for (const std::uint32_t peer : peers_[problem_.items[item].guest]) {
    if (peer != item && peer != but && at_[peer] == cpu) demand += problem_.items[peer].demand;
  }
  return demand;
}

double PlacementState::sibling_load(std::uint32_t cpu) const {
  double load = 0;
  for (const std::uint32_t other : siblings_[cpu]) load += loads_[other];
  return load;
}

bool PlacementState::are_siblings(std::uint32_t a, std::uint32_t b) const {
  return std::ranges::find(siblings_[a], b) != siblings_[a].end();
}

double PlacementState::distance(std::uint32_t item, std::uint32_t cpu) const {
  const PlacementItem& it = problem_.items[item];
  const PlacementCpu& there = problem_.cpus[cpu];
  if (it.home_node != kNowhere && there.node != it.home_node) return problem_.remote_weight;
  if (it.at == kNowhere) return 0;
  const PlacementCpu& warm = problem_.cpus[it.at];
  if (it.home_node == kNowhere && there.node != warm.node) return problem_.cold_node_weight;
  return there.cache == warm.cache ? 0 : problem_.cold_cache_weight;
}

}  // namespace fairlead::manage
