// SPDX-License-Identifier: Apache-2.0
#include "sim/memory_trial.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

namespace fairlead::sim {
namespace {

using manage::kMiB;
using manage::MemoryPlan;
using manage::Sample;

constexpr double kFloor = 100;  // MiB

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / kMiB; }

void add(const manage::GuestSample& guest, double to_mib, MemoryPlan& plan) {
  const double most = mib(guest.memory->maximum_bytes);
  const double to = std::clamp(to_mib, std::min(200.0, most), most);
  plan.targets.push_back({.uuid = guest.uuid,
                          .name = guest.name,
                          .from_bytes = guest.memory->current_bytes,
                          .to_bytes = static_cast<std::uint64_t>(to * kMiB),
                          .why = {}});
}

void want_all_stats(const Sample& sample, MemoryPlan& plan) {
  for (const auto& guest : sample.guests) plan.want_stats.push_back(guest.uuid);
}

MemoryPlan plan_fixed(const Sample& sample) {
  constexpr double kMuch = 200;
  MemoryPlan plan;
  want_all_stats(sample, plan);
  double free = mib(sample.memory.available_bytes);
  for (const auto& guest : sample.guests) {
    if (!guest.memory || !guest.memory->unused_bytes) continue;
    const double size = mib(guest.memory->current_bytes);
    const double unused = mib(*guest.memory->unused_bytes);
    if (unused < kFloor && free > kMuch) {
      add(guest, size + kFloor - unused, plan);
      free -= kFloor - unused;
    } else if (unused > kMuch) {
      add(guest, size - std::min((unused - kFloor) / 2, kFloor), plan);
    }
  }
  return plan;
}

MemoryPlan plan_proportional(const Sample& sample) {
  constexpr double kGoal = 0.8;
  constexpr double kMost = 100;
  constexpr double kDead = 10;
  MemoryPlan plan;
  want_all_stats(sample, plan);
  const double total = mib(sample.memory.total_bytes);
  double goal = kGoal * total - (total - mib(sample.memory.available_bytes));
  if (std::abs(goal) < kDead) return plan;
  std::vector<const manage::GuestSample*> order;
  for (const auto& guest : sample.guests) {
    if (guest.memory && guest.memory->unused_bytes) order.push_back(&guest);
  }
  const auto pressed = [](const manage::GuestSample* guest) {
    return mib(*guest->memory->unused_bytes) < 0.25 * 200;
  };
  std::ranges::sort(order, {}, [&](const manage::GuestSample* guest) {
    return std::pair(pressed(guest) != (goal > 0), guest->uuid);
  });
  for (const auto* guest : order) {
    const double size = mib(guest->memory->current_bytes);
    const double change = std::clamp(goal, -kMost, kMost);
    if (std::abs(change) < kDead) break;
    const double to = std::clamp(size + change, 200.0, mib(guest->memory->maximum_bytes));
    if (std::abs(to - size) < 1) continue;
    add(*guest, to, plan);
    goal -= to - size;
  }
  return plan;
}

}  // namespace

MemoryPolicy managed_memory(manage::MemorySettings settings) {
  auto manager = std::make_shared<manage::MemoryManager>(std::move(settings));
  return [manager](const Sample& sample) { return manager->decide(sample); };
}

MemoryPolicy fixed_deficit() { return plan_fixed; }
MemoryPolicy proportional() { return plan_proportional; }

MemoryTrial::MemoryTrial(MemoryWorld& world, MemoryPolicy policy, std::int64_t interval_ns)
    : world_(world), policy_(std::move(policy)), interval_ns_(interval_ns) {
  look();
}

void MemoryTrial::look() {
  plan_ = policy_(*world_.sample());
  for (const auto& uuid : plan_.want_stats) (void)world_.set_stats_period(uuid, 1);
  for (const auto& target : plan_.targets) (void)world_.set_memory(target.uuid, target.to_bytes);
}

void MemoryTrial::run(std::uint32_t intervals) {
  for (std::uint32_t i = 0; i < intervals; ++i) {
    const std::size_t kills = world_.kills().size();
    world_.forget_least();
    world_.advance(interval_ns_);
    MemoryInterval seen;
    for (std::uint32_t g = 0; g < world_.guests(); ++g) {
      const auto truth = world_.truth(g);
      seen.guests.push_back({.size_mib = truth.size_mib,
                             .used_mib = truth.used_mib,
                             .usable_mib = truth.usable_mib,
                             .target_mib = truth.target_mib});
    }
    seen.least_available_mib = world_.least_available_mib();
    seen.kills = world_.kills().size() - kills;
    look();
    for (std::uint32_t g = 0; g < world_.guests(); ++g) {
      const double target = world_.truth(g).target_mib;
      seen.guests[g].change_mib = target - seen.guests[g].target_mib;
      seen.guests[g].target_mib = target;
    }
    seen.calls = static_cast<std::uint32_t>(plan_.targets.size());
    seen.scarce = plan_.scarce;
    seen.free_mib = mib(plan_.pool_bytes) - mib(plan_.promised_bytes);
    intervals_.push_back(std::move(seen));
  }
}

std::uint32_t MemoryTrial::reversals(std::uint32_t guest, std::size_t first) const {
  std::uint32_t count = 0;
  double last = 0;
  for (std::size_t i = first; i < intervals_.size(); ++i) {
    const double change = intervals_[i].guests[guest].change_mib;
    if (change == 0) continue;
    if (last != 0 && (change > 0) != (last > 0)) ++count;
    last = change;
  }
  return count;
}

double MemoryTrial::moved_mib(std::uint32_t guest, std::size_t first) const {
  double sum = 0;
  for (std::size_t i = first; i < intervals_.size(); ++i) {
    sum += std::abs(intervals_[i].guests[guest].change_mib);
  }
  return sum;
}

std::uint32_t MemoryTrial::calls(std::size_t first) const {
  std::uint32_t sum = 0;
  for (std::size_t i = first; i < intervals_.size(); ++i) sum += intervals_[i].calls;
  return sum;
}

double MemoryTrial::least_available_mib(std::size_t first) const {
  double least = intervals_[first].least_available_mib;
  for (std::size_t i = first; i < intervals_.size(); ++i) {
    least = std::min(least, intervals_[i].least_available_mib);
  }
  return least;
}

double MemoryTrial::comfortable(std::uint32_t guest, std::size_t first) const {
  std::size_t counted = 0;
  std::size_t good = 0;
  const manage::Sample sample = *world_.sample();
  const auto& found = sample.guests;
  const std::string name = "g" + std::to_string(guest);
  const auto at = std::ranges::find(found, name, &manage::GuestSample::name);
  const double maximum = at == found.end() ? 0 : mib(at->memory->maximum_bytes);
  for (std::size_t i = first; i < intervals_.size(); ++i) {
    const auto& seen = intervals_[i].guests[guest];
    if (maximum - seen.used_mib < kFloor || intervals_[i].scarce) continue;
    ++counted;
    if (seen.usable_mib >= kFloor) ++good;
  }
  return counted == 0 ? 1 : static_cast<double>(good) / static_cast<double>(counted);
}

}  // namespace fairlead::sim
