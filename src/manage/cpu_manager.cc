// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_manager.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "manage/cpu_problem.h"
#include "manage/fewest_moves.h"

namespace fairlead::manage {
namespace {

constexpr double kFull = 0.95;
constexpr double kIdleLoad = 0.10;       // where vCPUs want less on every processor, all stay
constexpr double kLeastGain = 0.10;      // of the deviation, for a plan to be worth its pins
constexpr double kSettledGain = 0.50;    // the same, while nothing has changed since the last look
constexpr double kHiddenTrigger = 0.20;  // of the mean demand, while what is used is even
constexpr std::uint32_t kHiddenPatience = 2;   // intervals more, likewise
constexpr std::uint32_t kSettledPatience = 6;  // likewise, while nothing has changed
constexpr std::uint32_t kCorrection = 2;       // intervals after a plan made with hidden demands
constexpr std::uint32_t kMemory = 20;  // intervals for which a move lengthens the next cooldown
constexpr std::size_t kExactSteps = 20'000;

bool differs(double before, double now) {
  constexpr double kAbsolute = 0.05;
  constexpr double kRelative = 0.20;
  return std::abs(now - before) > std::max(kAbsolute, kRelative * before);
}

// Of any placement where there are few enough to try; else of the best one that the search finds.
double least_known_deviation(const PlacementProblem& problem) {
  constexpr std::size_t kFewItems = 12;
  constexpr std::size_t kFewCpus = 8;
  if (problem.items.size() <= kFewItems && problem.cpus.size() <= kFewCpus) {
    if (const auto least = least_deviation(problem, kExactSteps)) return *least;
  }
  PlacementGoal best;
  best.relative = best.absolute = 0;
  best.search_steps = 0;
  return spread(loads_after(problem, improve(problem, best))).deviation;
}

double percent(double share) { return share * 100; }

// No processor has a load from vCPUs that is worth a pin, whatever else runs there.
bool is_idle(const PlacementProblem& problem) {
  std::vector<double> wanted(problem.cpus.size());
  for (const PlacementItem& item : problem.items) {
    if (item.at != kNowhere) wanted[item.at] += item.demand;
  }
  return std::ranges::all_of(wanted, [](double load) { return load < kIdleLoad; });
}

struct VcpuState {
  std::uint32_t pcpu = kNowhere;  // where we pinned it
  std::uint64_t cool_until = 0;   // interval
  std::uint64_t moved_at = 0;     // interval of its last move
  std::uint32_t moves = 0;        // lately
  double used = -1;               // smoothed; below 0: not seen yet
  double reference = -1;          // the same when we last looked for a plan; below 0: look again
  double reference_demand = 0;    // and its demand then
  double average = 0;             // of its demand since then
  std::uint32_t averaged = 0;     // intervals in it
};

}  // namespace

struct CpuManager::State {
  explicit State(CpuSettings s) : settings(std::move(s)) {
    goal.relative = settings.target;
    goal.absolute = settings.idle_points;
  }

  CpuPlan decide(const Sample& sample);
  void notice_foreign_pins(const CpuProblem& problem, CpuPlan& plan);
  bool has_changed(const CpuProblem& problem);
  void remember(const CpuProblem& problem);
  void average(CpuProblem& problem);
  // Loads that met on one processor hid some of their demand: after a plan they are seen better,
  // and it may be corrected once.
  bool correcting() const { return may_correct && interval - planned_at <= kCorrection; }
  bool even_use(const CpuPlan& plan) const;
  bool is_uneven(const Spread& demand, const CpuPlan& plan) const;
  bool is_misplaced(const PlacementProblem& problem, const Spread& demand) const;
  std::uint32_t patience(const CpuPlan& plan, bool settled) const;
  bool gross(const CpuProblem& problem) const;
  void freeze(CpuProblem& problem, bool only_homeless) const;
  void consider(CpuProblem problem, CpuPlan& plan);
  bool worth_it(const PlacementProblem& problem, const std::vector<Move>& moves, bool settled,
                CpuPlan& plan) const;
  bool is_balanced(const CpuProblem& problem, const CpuPlan& plan);
  void adopt(const CpuProblem& problem, const std::vector<Move>& moves, CpuPlan& plan);

  CpuSettings settings;
  PlacementGoal goal;
  CpuMeter meter;
  Wishes wishes;
  std::uint64_t interval = 0;
  std::uint32_t imbalanced_for = 0;      // intervals in a row
  std::uint32_t misplaced_for = 0;       // likewise, since the last look for a plan
  std::uint64_t planned_at = 0;          // interval of the last plan
  bool may_correct = false;              // it was not itself a correction
  std::optional<double> best_deviation;  // of any placement, for the demands last looked at
  std::map<VcpuKey, VcpuState> vcpus;
};

CpuManager::CpuManager(CpuSettings settings)
    : state_(std::make_unique<State>(std::move(settings))) {}
CpuManager::CpuManager(CpuManager&&) noexcept = default;
CpuManager& CpuManager::operator=(CpuManager&&) noexcept = default;
CpuManager::~CpuManager() = default;

CpuPlan CpuManager::decide(const Sample& sample) { return state_->decide(sample); }

CpuPlan CpuManager::State::decide(const Sample& sample) {
  CpuPlan plan;
  const CpuLoads loads = meter.measure(sample);
  learn_wishes(sample, wishes);
  plan.elapsed_ns = loads.elapsed_ns;
  ++interval;
  if (loads.elapsed_ns == 0) {
    plan.notes.emplace_back("first look: loads are known from the next one on");
    return plan;
  }
  CpuProblem problem = make_problem(sample, loads, settings, wishes);
  plan.notes = problem.notes;
  for (const PcpuLoad& load : loads.pcpus) {
    if (std::ranges::find(problem.cpus, load.cpu) != problem.cpus.end()) plan.loads.push_back(load);
  }
  const Spread seen = spread(problem.utilisation);
  plan.mean = seen.mean;
  plan.deviation = seen.deviation;
  notice_foreign_pins(problem, plan);
  if (problem.cpus.empty()) {
    plan.notes.emplace_back("none of the processors to manage is online");
    return plan;
  }
  consider(std::move(problem), plan);
  return plan;
}

// What is not where we put it was moved by somebody else, or the call failed; either way it stays
// there for a while.
void CpuManager::State::notice_foreign_pins(const CpuProblem& problem, CpuPlan& plan) {
  std::map<VcpuKey, VcpuState> now;
  for (std::size_t i = 0; i < problem.keys.size(); ++i) {
    VcpuState state;
    if (const auto known = vcpus.find(problem.keys[i]); known != vcpus.end()) {
      state = known->second;
      if (interval - state.moved_at > kMemory) state.moves = 0;
      const std::uint32_t at = problem.placement.items[i].at;
      if (state.pcpu != kNowhere && (at == kNowhere || problem.cpus[at] != state.pcpu)) {
        plan.notes.push_back(
            fmt::format("{} vCPU {}: was pinned to {} by us and is on {} now: somebody else's "
                        "wish, kept for {} "
                        "intervals",
                        problem.names[i], problem.keys[i].vcpu, state.pcpu, problem.masks[i].text(),
                        settings.cooldown));
        state.pcpu = kNowhere;
        state.cool_until = interval + settings.cooldown;
        state.reference = -1;  // look again
      }
    }
    state.used = state.used < 0 ? problem.used[i] : smooth(state.used, problem.used[i]);
    now.emplace(problem.keys[i], state);
  }
  vcpus = std::move(now);
}

// A vCPU has changed if both what it used and what it seems to want have: the one alone changes
// with its neighbours, the other with the error of an estimate.
bool CpuManager::State::has_changed(const CpuProblem& problem) {
  for (std::size_t i = 0; i < problem.keys.size(); ++i) {
    const VcpuState& state = vcpus[problem.keys[i]];
    if (state.reference < 0) return true;
    if (differs(state.reference, state.used) &&
        differs(state.reference_demand, problem.placement.items[i].demand)) {
      return true;
    }
  }
  return false;
}

void CpuManager::State::remember(const CpuProblem& problem) {
  for (std::size_t i = 0; i < problem.keys.size(); ++i) {
    VcpuState& state = vcpus[problem.keys[i]];
    state.reference = state.used;
    state.reference_demand = problem.placement.items[i].demand;
    state.averaged = 0;
  }
  best_deviation.reset();
}

// While nothing changes, what is seen of a demand is the demand and noise: the longer, the less
// noise is left to act upon.
void CpuManager::State::average(CpuProblem& problem) {
  constexpr std::uint32_t kLongest = 50;
  for (std::size_t i = 0; i < problem.keys.size(); ++i) {
    VcpuState& state = vcpus[problem.keys[i]];
    state.averaged = std::min(state.averaged + 1, kLongest);
    double& demand = problem.placement.items[i].demand;
    state.average += (demand - state.average) / state.averaged;
    demand = state.average;
  }
}

bool CpuManager::State::even_use(const CpuPlan& plan) const {
  return plan.deviation <= std::max(settings.trigger * plan.mean, settings.idle_points);
}

// Where what is used is even, only demand that waits can be uneven, and that is an estimate.
bool CpuManager::State::is_uneven(const Spread& demand, const CpuPlan& plan) const {
  const double relative = even_use(plan) ? kHiddenTrigger : settings.trigger;
  return demand.deviation > std::max(relative * demand.mean, settings.idle_points);
}

// Siblings, stacked vCPUs or distance cost what a deviation beyond the trigger would, whether or
// not it could be otherwise.
bool CpuManager::State::is_misplaced(const PlacementProblem& problem, const Spread& demand) const {
  if (is_flat(problem)) return false;
  const double all = effective_deviation(problem, {});
  const double even = demand.deviation;
  const double topology = std::sqrt(std::max((all - even) * (all + even), 0.0));
  return topology > std::max(settings.trigger * demand.mean, settings.idle_points);
}

std::uint32_t CpuManager::State::patience(const CpuPlan& plan, bool settled) const {
  return settings.persistence + (even_use(plan) ? kHiddenPatience : 0) +
         (settled ? kSettledPatience : 0);
}

// So wrong that it needs no second look: one processor has no time left, another has plenty.
bool CpuManager::State::gross(const CpuProblem& problem) const {
  constexpr double kNearlyFull = 0.85;
  const auto [least, most] = std::ranges::minmax(problem.utilisation);
  return (most >= kFull && least < most / 2) || (most >= kNearlyFull && least < most / 4);
}

void CpuManager::State::freeze(CpuProblem& problem, bool only_homeless) const {
  for (std::size_t i = 0; i < problem.keys.size(); ++i) {
    PlacementItem& item = problem.placement.items[i];
    if (item.at == kNowhere) continue;
    const VcpuState& state = vcpus.at(problem.keys[i]);
    if (only_homeless ||
        (state.cool_until > interval && !(correcting() && state.pcpu != kNowhere))) {
      item.movable = false;
    }
  }
}

void CpuManager::State::consider(CpuProblem problem, CpuPlan& plan) {
  const bool settled = !has_changed(problem) && !correcting();
  if (settled) average(problem);
  const std::vector<double> loads = loads_of(problem.placement);
  const Spread before = spread(loads);
  plan.predicted_deviation = before.deviation;
  const auto& items = problem.placement.items;
  const bool homeless = std::ranges::any_of(items, [](const auto& i) { return i.at == kNowhere; });
  const bool idle = is_idle(problem.placement);
  const bool uneven = is_uneven(before, plan);
  const bool misplaced = is_misplaced(problem.placement, before);
  imbalanced_for = uneven && !idle ? imbalanced_for + 1 : 0;
  misplaced_for = misplaced && !idle ? misplaced_for + 1 : 0;
  if (idle && !homeless) {
    plan.balanced = true;
    plan.notes.push_back(
        fmt::format("idle: on no processor do vCPUs want more than {:.0f} %", percent(kIdleLoad)));
    return;
  }
  if (idle && std::ranges::all_of(items, [](const auto& i) { return i.demand < kIdleLoad / 10; })) {
    plan.balanced = true;
    plan.notes.emplace_back("idle: vCPUs without a load are not worth a pin");
    return;
  }
  const std::uint32_t needed = patience(plan, settled);
  const bool now = uneven && (gross(problem) || correcting() || imbalanced_for >= needed);
  const bool tidy = misplaced && misplaced_for >= needed;
  if (!homeless && !now && !tidy) {
    plan.balanced = is_balanced(problem, plan);
    if (uneven) {
      plan.notes.push_back(
          fmt::format("uneven for {} of {} intervals: waits", imbalanced_for, needed));
    } else if (!even_use(plan)) {
      plan.notes.push_back(fmt::format(
          "stays: what processors did is uneven, what they have to do is not (deviation {:.1f} %)",
          percent(before.deviation / before.mean)));
    }
    return;
  }
  if (now || tidy) misplaced_for = 0;
  freeze(problem, homeless && !now && !tidy);
  const std::vector<Move> moves = improve(problem.placement, goal);
  if (!settled) remember(problem);
  if (!homeless && !worth_it(problem.placement, moves, settled, plan)) {
    plan.balanced = is_balanced(problem, plan);
    return;
  }
  plan.predicted_deviation = spread(loads_after(problem.placement, moves)).deviation;
  adopt(problem, moves, plan);
}

bool CpuManager::State::worth_it(const PlacementProblem& problem, const std::vector<Move>& moves,
                                 bool settled, CpuPlan& plan) const {
  const double before = effective_deviation(problem, {});
  const double after = effective_deviation(problem, moves);
  const double gain = before - after;
  if (gain > 0 && gain >= (settled ? kSettledGain : kLeastGain) * before) return true;
  const Spread now = spread(loads_of(problem));
  const Spread then = spread(loads_after(problem, moves));
  plan.notes.push_back(
      fmt::format("stays: deviation {:.1f} % of the mean, the best plan would reach {:.1f} %{}",
                  percent(now.deviation / now.mean), percent(then.deviation / then.mean),
                  settled ? ", and nothing has changed since that was found too little" : ""));
  return false;
}

bool CpuManager::State::is_balanced(const CpuProblem& problem, const CpuPlan& plan) {
  if (even_use(plan)) return true;
  if (!best_deviation) best_deviation = least_known_deviation(problem.placement);
  return spread(loads_of(problem.placement)).deviation <= settings.best_factor * *best_deviation;
}

void CpuManager::State::adopt(const CpuProblem& problem, const std::vector<Move>& moves,
                              CpuPlan& plan) {
  const std::vector<double> before = loads_of(problem.placement);
  for (const Move& move : moves) {
    Pin pin;
    pin.uuid = problem.keys[move.item].uuid;
    pin.name = problem.names[move.item];
    pin.vcpu = problem.keys[move.item].vcpu;
    pin.before = problem.masks[move.item];
    pin.pcpu = problem.cpus[move.to];
    const double demand = percent(problem.placement.items[move.item].demand);
    pin.why = move.from == kNowhere
                  ? fmt::format("wants {:.0f} % and had no place of its own; {} had {:.0f} % to do",
                                demand, pin.pcpu, percent(before[move.to]))
                  : fmt::format("wants {:.0f} %; {} had {:.0f} % to do, {} had {:.0f} %", demand,
                                problem.cpus[move.from], percent(before[move.from]), pin.pcpu,
                                percent(before[move.to]));
    VcpuState& state = vcpus[problem.keys[move.item]];
    state.pcpu = pin.pcpu;
    state.moves = std::min(state.moves + 1, 5U);
    state.moved_at = interval;
    state.cool_until = interval + (std::uint64_t{settings.cooldown} << (state.moves - 1));
    plan.pins.push_back(std::move(pin));
  }
  if (moves.empty()) return;
  // One correction a plan: what was planned as one is taken as it is.
  may_correct = !correcting();
  planned_at = interval;
}

}  // namespace fairlead::manage
