// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_meter.h"

#include <algorithm>
#include <cmath>

namespace fairlead::manage {
namespace {

constexpr double kSaturated = 0.95;     // no time left, but for the measurement's own error
constexpr double kMostWaiting = 0.995;  // keeps r / (1 - w) finite
constexpr double kSame = 0.10;          // a demand that fits the measurement but for jitter
constexpr double kForeignNoise = 0.03;  // /proc/stat counts ticks of 10 ms

// What a closed load that ran and waited as long would want.
double closed_demand(const VcpuLoad& load) {
  return std::min(load.used / (1 - std::min(load.waiting, kMostWaiting)), 1.0);
}

double rate(std::uint64_t before, std::uint64_t after, std::int64_t elapsed_ns) {
  if (after < before) return 0;
  return std::min(static_cast<double>(after - before) / static_cast<double>(elapsed_ns), 1.0);
}

// Which of the online processors the mask allows, by their place in the sample.
std::vector<std::size_t> homes(const Sample& sample, const CpuSet& allowed) {
  std::vector<std::size_t> homes;
  for (std::size_t i = 0; i < sample.pcpus.size(); ++i) {
    if (allowed.contains(sample.pcpus[i].cpu)) homes.push_back(i);
  }
  return homes;
}

// The sample's vCPUs, in order.
template <typename Visit>
void for_each_vcpu(const Sample& sample, Visit&& visit) {
  std::size_t i = 0;
  for (const GuestSample& guest : sample.guests) {
    for (const VcpuSample& vcpu : guest.vcpus) visit(guest, vcpu, i++);
  }
}

}  // namespace

double smooth(double before, double now) noexcept {
  constexpr double kStepAbsolute = 0.05;
  constexpr double kStepRelative = 0.15;
  constexpr double kWeight = 0.3;
  if (std::abs(now - before) > std::max(kStepAbsolute, kStepRelative * before)) return now;
  return before + kWeight * (now - before);
}

// When the waiting of a load changes, a closed one changes what it uses, and an open one what a
// closed one like it would want.  Where both have changed, the load is another one.
void CpuMeter::Seen::learn(const VcpuLoad& load) {
  constexpr double kOtherWaiting = 0.08;
  constexpr double kNoise = 0.02;
  constexpr double kClear = 3;
  // One that is always runnable shows nothing: both are, where too much is asked.
  const bool sleeps = std::max(closed_demand(load), closed_demand(last)) < kSaturated;
  if (known && sleeps && std::abs(load.waiting - last.waiting) > kOtherWaiting) {
    const double as_open = std::abs(load.used - last.used);
    const double as_closed = std::abs(closed_demand(load) - closed_demand(last));
    const auto [less, more] = std::minmax(as_open, as_closed);
    if (more > kNoise && more > kClear * less) {
      const double shown = as_open / (as_open + as_closed);
      closed = closed ? (*closed + shown) / 2 : shown;
    }
  }
  last = load;
}

void CpuMeter::Seen::estimate(const VcpuLoad& load, bool hidden) {
  constexpr double kUnknown = 1;
  const double most = std::max(closed_demand(load), load.used);
  const double share = closed.value_or(hidden ? 1 : kUnknown);
  const double guess = load.used + share * (most - load.used);
  if (!known) {
    demand = guess;
  } else if (hidden && demand >= load.used * (1 - kSame) && demand <= most * (1 + kSame)) {
    demand = std::clamp(demand, load.used, most);  // as likely as any in that range
  } else {
    demand = smooth(demand, guess);
  }
  known = true;
}

CpuLoads CpuMeter::measure(const Sample& sample) {
  CpuLoads loads;
  if (!first_ && sample.at_ns > at_ns_) loads.elapsed_ns = sample.at_ns - at_ns_;
  std::vector<double> busy;
  measure_vcpus(sample, loads);
  measure_pcpus(sample, loads, busy);
  measure_helpers(sample, loads);
  if (loads.elapsed_ns > 0) estimate_demand(sample, busy, loads);
  first_ = false;
  at_ns_ = sample.at_ns;
  return loads;
}

void CpuMeter::measure_vcpus(const Sample& sample, CpuLoads& loads) {
  std::map<VcpuKey, Seen> now;
  for_each_vcpu(sample, [&](const GuestSample& guest, const VcpuSample& vcpu, std::size_t) {
    VcpuLoad load{.key = {guest.uuid, vcpu.index}};
    Seen seen{.run_id = guest.run_id,
              .run_ns = vcpu.run_ns,
              .delay_ns = vcpu.delay_ns,
              .closed = {},
              .last = {}};
    const auto before = vcpus_.find(load.key);
    if (before != vcpus_.end() && before->second.run_id == guest.run_id) {
      seen.demand = before->second.demand;
      seen.known = before->second.known;
      seen.closed = before->second.closed;
      seen.last = before->second.last;
      if (loads.elapsed_ns > 0 && vcpu.run_ns >= before->second.run_ns) {
        load.known = true;
        load.used = rate(before->second.run_ns, vcpu.run_ns, loads.elapsed_ns);
        if (vcpu.delay_ns && before->second.delay_ns) {
          load.waiting = rate(*before->second.delay_ns, *vcpu.delay_ns, loads.elapsed_ns);
        }
      }
    }
    now.emplace(load.key, seen);
    loads.vcpus.push_back(std::move(load));
  });
  vcpus_ = std::move(now);
}

void CpuMeter::measure_pcpus(const Sample& sample, CpuLoads& loads, std::vector<double>& busy) {
  std::map<std::uint32_t, SeenPcpu> now;
  for (const PcpuSample& pcpu : sample.pcpus) {
    SeenPcpu seen{.busy_ns = pcpu.busy_ns};
    double share = 0;
    if (const auto before = pcpus_.find(pcpu.cpu); before != pcpus_.end()) {
      seen.foreign = before->second.foreign;
      seen.known = before->second.known;
      if (loads.elapsed_ns > 0) {
        share = rate(before->second.busy_ns, pcpu.busy_ns, loads.elapsed_ns);
      }
    }
    busy.push_back(share);
    loads.pcpus.push_back({.cpu = pcpu.cpu});
    now.emplace(pcpu.cpu, seen);
  }
  pcpus_ = std::move(now);
}

std::optional<std::uint64_t> CpuMeter::SeenHelpers::since(const SeenHelpers& before) const {
  if (process_ns < before.process_ns || vcpus_ns.size() != before.vcpus_ns.size()) return {};
  std::uint64_t vcpus = 0;
  for (const auto& [index, run_ns] : vcpus_ns) {
    const auto old = before.vcpus_ns.find(index);
    if (old == before.vcpus_ns.end() || run_ns < old->second) return {};
    vcpus += run_ns - old->second;
  }
  const std::uint64_t process = process_ns - before.process_ns;
  return process - std::min(process, vcpus);
}

void CpuMeter::measure_helpers(const Sample& sample, const CpuLoads& loads) {
  std::map<std::string, SeenHelpers> now;
  for (const GuestSample& guest : sample.guests) {
    if (!guest.process_ns) continue;
    SeenHelpers seen{.run_id = guest.run_id, .process_ns = *guest.process_ns, .vcpus_ns = {}};
    for (const VcpuSample& vcpu : guest.vcpus) seen.vcpus_ns[vcpu.index] = vcpu.run_ns;
    const auto before = helpers_.find(guest.uuid);
    if (before != helpers_.end() && before->second.run_id == guest.run_id) {
      seen.used = before->second.used;
      seen.known = before->second.known;
      const auto time = seen.since(before->second);
      if (time && loads.elapsed_ns > 0) {
        // Of one processor; they may use several.
        const double used = static_cast<double>(*time) / static_cast<double>(loads.elapsed_ns);
        seen.used = seen.known ? smooth(seen.used, used) : used;
        seen.known = true;
      }
    }
    now.emplace(guest.uuid, std::move(seen));
  }
  helpers_ = std::move(now);
}

void CpuMeter::estimate_foreign(const std::vector<double>& busy, CpuLoads& loads) {
  for (std::size_t p = 0; p < busy.size(); ++p) {
    PcpuLoad& load = loads.pcpus[p];
    double foreign = std::max(busy[p] - load.used, 0.0);
    if (foreign < kForeignNoise) foreign = 0;
    SeenPcpu& seen = pcpus_[load.cpu];
    seen.foreign = seen.known ? smooth(seen.foreign, foreign) : foreign;
    seen.known = true;
    load.foreign = load.fixed = seen.foreign;
  }
}

// Each guest's helpers were where anything foreign was seen, in proportion.
void CpuMeter::spread_helpers(const Sample& sample, CpuLoads& loads) const {
  std::vector<double> leaving(loads.pcpus.size());
  std::vector<double> coming(loads.pcpus.size());
  for (const GuestSample& guest : sample.guests) {
    const auto seen = helpers_.find(guest.uuid);
    if (seen == helpers_.end() || seen->second.used <= 0) continue;
    const auto where = homes(sample, guest.helpers_allowed);
    double foreign = 0;
    for (const std::size_t p : where) foreign += loads.pcpus[p].foreign;
    if (foreign <= 0) continue;
    const double used = std::min(seen->second.used, foreign);
    for (const std::size_t p : where) {
      leaving[p] += used * loads.pcpus[p].foreign / foreign;
      coming[p] += used / static_cast<double>(where.size());
    }
  }
  // Together they cannot have been more than was seen: what comes is what left.
  double claimed = 0;
  double left = 0;
  for (std::size_t p = 0; p < loads.pcpus.size(); ++p) {
    claimed += leaving[p];
    leaving[p] = std::min(leaving[p], loads.pcpus[p].foreign);
    left += leaving[p];
  }
  const double share = claimed > 0 ? left / claimed : 0;
  for (std::size_t p = 0; p < loads.pcpus.size(); ++p) {
    PcpuLoad& load = loads.pcpus[p];
    load.fixed = load.foreign - leaving[p] + share * coming[p];
    load.demand = load.fixed;
  }
}

void CpuMeter::estimate_demand(const Sample& sample, const std::vector<double>& busy,
                               CpuLoads& loads) {
  std::vector<std::vector<std::size_t>> where(loads.vcpus.size());
  for_each_vcpu(sample, [&](const GuestSample&, const VcpuSample& vcpu, std::size_t i) {
    where[i] = homes(sample, vcpu.allowed);
    for (const std::size_t p : where[i]) {
      loads.pcpus[p].used += loads.vcpus[i].used / static_cast<double>(where[i].size());
    }
  });
  estimate_foreign(busy, loads);
  spread_helpers(sample, loads);
  for (std::size_t i = 0; i < loads.vcpus.size(); ++i) {
    VcpuLoad& load = loads.vcpus[i];
    Seen& seen = vcpus_[load.key];
    if (load.known) {
      // Room is left where one of its processors has any.
      const bool hidden = !where[i].empty() && std::ranges::all_of(where[i], [&](std::size_t p) {
        return std::max(busy[p], loads.pcpus[p].used) >= kSaturated;
      });
      seen.learn(load);
      seen.estimate(load, hidden);
    }
    load.demand = seen.demand;
    for (const std::size_t p : where[i]) {
      loads.pcpus[p].demand += load.demand / static_cast<double>(where[i].size());
    }
  }
}

}  // namespace fairlead::manage
