// SPDX-License-Identifier: Apache-2.0
#include "sim/cpu_trial.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "manage/cpu_meter.h"
#include "manage/placement.h"

namespace fairlead::sim {
namespace {

using manage::CpuPlan;
using manage::CpuSet;
using manage::Sample;

// What the simple policies see: each vCPU's own time, and which processor it is pinned to.
struct Simple {
  struct Vcpu {
    const manage::GuestSample* guest;
    const manage::VcpuSample* vcpu;
    double used;
    std::size_t at;     // index of its processor, or the number of processors
    std::size_t order;  // as sampled
  };
  std::vector<Vcpu> vcpus;
  std::vector<double> loads;

  Simple(const Sample& sample, const manage::CpuLoads& measured) {
    loads.resize(sample.pcpus.size());
    std::size_t i = 0;
    for (const auto& guest : sample.guests) {
      for (const auto& vcpu : guest.vcpus) {
        std::size_t at = loads.size();
        for (std::size_t p = 0; p < loads.size() && vcpu.allowed.count() == 1; ++p) {
          if (vcpu.allowed.contains(sample.pcpus[p].cpu)) at = p;
        }
        const double used = measured.vcpus[i++].used;
        if (at < loads.size()) loads[at] += used;
        vcpus.push_back({&guest, &vcpu, used, at, vcpus.size()});
      }
    }
  }
};

void pin(const Simple::Vcpu& vcpu, std::uint32_t cpu, CpuPlan& plan) {
  plan.pins.push_back({.uuid = vcpu.guest->uuid,
                       .name = vcpu.guest->name,
                       .vcpu = vcpu.vcpu->index,
                       .before = vcpu.vcpu->allowed,
                       .pcpu = cpu,
                       .why = {}});
}

CpuPlan plan_longest_first(const Sample& sample, const manage::CpuLoads& measured) {
  constexpr double kPoints = 0.05;
  CpuPlan plan;
  Simple simple(sample, measured);
  if (manage::spread(simple.loads).deviation <= kPoints) return plan;
  std::ranges::sort(simple.vcpus, {}, [](const auto& v) { return std::pair(-v.used, v.order); });
  std::vector<double> loads(sample.pcpus.size());
  for (const auto& vcpu : simple.vcpus) {
    const auto least = static_cast<std::size_t>(std::ranges::min_element(loads) - loads.begin());
    loads[least] += vcpu.used;
    if (least != vcpu.at) pin(vcpu, sample.pcpus[least].cpu, plan);
  }
  return plan;
}

CpuPlan plan_one_move(const Sample& sample, const manage::CpuLoads& measured) {
  constexpr double kGap = 0.10;
  CpuPlan plan;
  const Simple simple(sample, measured);
  const auto [least, most] = std::ranges::minmax_element(simple.loads);
  if (*most - *least <= kGap) return plan;
  const auto hottest = static_cast<std::size_t>(most - simple.loads.begin());
  const Simple::Vcpu* smallest = nullptr;
  for (const auto& vcpu : simple.vcpus) {
    if (vcpu.at != hottest) continue;
    if (smallest == nullptr || vcpu.used < smallest->used) smallest = &vcpu;
  }
  const auto coolest = static_cast<std::size_t>(least - simple.loads.begin());
  if (smallest != nullptr) pin(*smallest, sample.pcpus[coolest].cpu, plan);
  return plan;
}

template <typename Plan>
CpuPolicy measured(Plan plan) {
  auto meter = std::make_shared<manage::CpuMeter>();
  return [meter, plan](const Sample& sample) { return plan(sample, meter->measure(sample)); };
}

}  // namespace

CpuPolicy managed(manage::CpuSettings settings) {
  auto manager = std::make_shared<manage::CpuManager>(std::move(settings));
  return [manager](const Sample& sample) { return manager->decide(sample); };
}

CpuPolicy longest_first() { return measured(plan_longest_first); }
CpuPolicy one_smallest_move() { return measured(plan_one_move); }

CpuTrial::CpuTrial(CpuWorld& world, CpuPolicy policy, std::int64_t interval_ns)
    : world_(world), policy_(std::move(policy)), interval_ns_(interval_ns) {
  plan_ = policy_(*world_.sample());
}

void CpuTrial::run(std::uint32_t intervals) {
  constexpr double kOfMean = 0.05;
  constexpr double kPoints = 0.015;
  for (std::uint32_t i = 0; i < intervals; ++i) {
    world_.advance(interval_ns_);
    CpuInterval seen;
    seen.utilisation = world_.utilisation();
    const manage::Spread spread = manage::spread(seen.utilisation);
    seen.mean = spread.mean;
    seen.deviation = spread.deviation;
    seen.waiting = world_.waiting();
    seen.balanced = spread.deviation <= std::max(kOfMean * spread.mean, kPoints);
    const auto sample = world_.sample();
    plan_ = policy_(*sample);
    for (const manage::Pin& pin : plan_.pins) {
      const auto done = world_.pin(pin.uuid, pin.vcpu, CpuSet::of({pin.pcpu}));
      FL_CHECK(done.has_value());
      if (pin.before != CpuSet::of({pin.pcpu})) ++seen.pins;
    }
    intervals_.push_back(std::move(seen));
  }
}

std::uint32_t CpuTrial::pins_since(std::size_t first) const {
  std::uint32_t pins = 0;
  for (std::size_t i = first; i < intervals_.size(); ++i) pins += intervals_[i].pins;
  return pins;
}

std::uint32_t CpuTrial::converged(std::size_t first) const {
  constexpr std::size_t kInARow = 5;
  for (std::size_t i = first; i + kInARow <= intervals_.size(); ++i) {
    bool all = true;
    for (std::size_t k = i; k < i + kInARow; ++k) all = all && intervals_[k].balanced;
    if (all) return static_cast<std::uint32_t>(i - first + 1);
  }
  return 0;
}

}  // namespace fairlead::sim
