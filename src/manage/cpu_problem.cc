// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_problem.h"

#include <algorithm>

#include <fmt/format.h>

namespace fairlead::manage {
namespace {

CpuSet online(const Sample& sample) {
  CpuSet set;
  for (const PcpuSample& pcpu : sample.pcpus) set.add(pcpu.cpu);
  return set;
}

class Builder {
 public:
  Builder(const Sample& sample, const CpuLoads& loads, const CpuSettings& settings,
          const Wishes& wishes)
      : sample_(sample), loads_(loads), settings_(settings), wishes_(wishes) {
    problem_.placement.sibling_interference = 1 - settings.sibling_capacity;
    problem_.placement.remote_weight = settings.remote_gain;
  }

  CpuProblem build() && {
    add_cpus();
    std::size_t load = 0;
    for (std::uint32_t guest = 0; guest < sample_.guests.size(); ++guest) {
      for (const VcpuSample& vcpu : sample_.guests[guest].vcpus) {
        add_item(guest, vcpu, loads_.vcpus[load++]);
      }
    }
    return std::move(problem_);
  }

 private:
  void add_cpus() {
    for (std::size_t i = 0; i < sample_.pcpus.size(); ++i) {
      const PcpuSample& pcpu = sample_.pcpus[i];
      if (!settings_.pcpus.empty() && !settings_.pcpus.contains(pcpu.cpu)) continue;
      index_[pcpu.cpu] = static_cast<std::uint32_t>(problem_.cpus.size());
      problem_.cpus.push_back(pcpu.cpu);
      managed_.add(pcpu.cpu);
      const PcpuLoad& load = loads_.pcpus[i];
      problem_.utilisation.push_back(std::min(load.used + load.foreign, 1.0));
      problem_.placement.cpus.push_back({load.fixed, pcpu.core, pcpu.cache, pcpu.node});
    }
    online_ = online(sample_);
  }

  // A load that we do not place counts where it runs.
  void add_fixed(const VcpuSample& vcpu, const VcpuLoad& load) {
    const CpuSet homes = vcpu.allowed & online_;
    if (homes.empty()) return;
    for (const std::uint32_t cpu : (homes & managed_).members()) {
      problem_.placement.cpus[index_[cpu]].foreign += load.demand / homes.count();
    }
  }

  void add_item(std::uint32_t index, const VcpuSample& vcpu, const VcpuLoad& load) {
    const GuestSample& guest = sample_.guests[index];
    const auto rule = settings_.rules.find(guest.name);
    const bool ruled = rule != settings_.rules.end();
    if (ruled && rule->second.leave_alone) {
      if (vcpu.index == 0) problem_.notes.push_back(guest.name + ": left alone by rule");
      return add_fixed(vcpu, load);
    }
    const CpuSet homes = vcpu.allowed & online_;
    if (!vcpu.online || (!homes.empty() && (homes & managed_).empty())) {
      return add_fixed(vcpu, load);  // unplugged, or pinned to where we do not manage
    }
    PlacementItem item{.demand = load.demand, .guest = index};
    if (guest.memory_node) item.home_node = *guest.memory_node;
    if (homes.count() == 1) item.at = index_[homes.lowest()];
    item.movable = load.known && guest.state == GuestState::kRunning;
    // Without a measurement there is nothing to place it by.
    if (item.at == kNowhere && !item.movable) return add_fixed(vcpu, load);

    CpuSet may = managed_;
    if (ruled && !rule->second.allowed.empty()) may = may & rule->second.allowed;
    if (const auto wish = wishes_.find(load.key); wish != wishes_.end()) may = may & wish->second;
    if (may.empty()) {
      problem_.notes.push_back(fmt::format(
          "{} vCPU {}: none of its processors is managed and online", guest.name, vcpu.index));
      return add_fixed(vcpu, load);
    }
    if (may != managed_) {
      for (const std::uint32_t cpu : problem_.cpus) item.allowed.push_back(may.contains(cpu));
    }
    problem_.placement.items.push_back(std::move(item));
    problem_.keys.push_back(load.key);
    problem_.names.push_back(guest.name);
    problem_.used.push_back(load.used);
    problem_.masks.push_back(vcpu.allowed);
  }

  const Sample& sample_;
  const CpuLoads& loads_;
  const CpuSettings& settings_;
  const Wishes& wishes_;
  CpuSet managed_;
  CpuSet online_;
  std::map<std::uint32_t, std::uint32_t> index_;  // by number of the processor
  CpuProblem problem_;
};

}  // namespace

void learn_wishes(const Sample& sample, Wishes& wishes) {
  const CpuSet all = online(sample);
  Wishes now;
  for (const GuestSample& guest : sample.guests) {
    for (const VcpuSample& vcpu : guest.vcpus) {
      const VcpuKey key{guest.uuid, vcpu.index};
      const CpuSet mask = vcpu.allowed & all;
      if (mask.count() > 1 && mask != all) {
        now[key] = vcpu.allowed;
      } else if (const auto known = wishes.find(key); known != wishes.end() && mask != all) {
        now[key] = known->second;
      }
    }
  }
  wishes = std::move(now);
}

CpuProblem make_problem(const Sample& sample, const CpuLoads& loads, const CpuSettings& settings,
                        const Wishes& wishes) {
  return Builder(sample, loads, settings, wishes).build();
}

}  // namespace fairlead::manage
