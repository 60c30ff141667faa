// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_watch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "manage/cpu_manager.h"

namespace fairlead::manage {
namespace {

std::vector<WatchedVcpu> vcpus_of(const Sample& sample, const CpuLoads& loads) {
  std::vector<WatchedVcpu> vcpus;
  vcpus.reserve(loads.vcpus.size());
  CpuSet watched;
  for (const PcpuSample& pcpu : sample.pcpus) watched.add(pcpu.cpu);
  std::size_t i = 0;
  for (const GuestSample& guest : sample.guests) {
    for (const VcpuSample& vcpu : guest.vcpus) {
      const VcpuLoad& load = loads.vcpus[i++];
      vcpus.push_back({.guest = guest.name,
                       .vcpu = vcpu.index,
                       .alone = guest.vcpus.size() == 1,
                       .allowed = vcpu.allowed & watched,
                       .used = load.used,
                       .waiting = load.waiting});
    }
  }
  // By name, shorter ones first: aos_2 before aos_10.
  std::ranges::sort(vcpus, [](const WatchedVcpu& a, const WatchedVcpu& b) {
    const auto key = [](const WatchedVcpu& one) {
      return std::tuple(one.guest.size(), std::string_view(one.guest), one.vcpu);
    };
    return key(a) < key(b);
  });
  return vcpus;
}

void add_spread(CpuRound& round) {
  if (round.pcpus.empty()) return;
  const auto count = static_cast<double>(round.pcpus.size());
  for (const WatchedPcpu& pcpu : round.pcpus) round.mean += pcpu.usage / count;
  double squares = 0;
  for (const WatchedPcpu& pcpu : round.pcpus) {
    squares += (pcpu.usage - round.mean) * (pcpu.usage - round.mean);
  }
  round.deviation = std::sqrt(squares / count);
  const CpuSettings numbers;
  round.balanced = round.deviation <= std::max(numbers.trigger * round.mean, numbers.idle_points);
}

}  // namespace

std::string WatchedVcpu::label() const {
  return alone ? guest : guest + ":" + std::to_string(vcpu);
}

CpuRound CpuWatch::look(const Sample& sample) {
  Sample watched = sample;
  if (!pcpus_.empty()) {
    std::erase_if(watched.pcpus, [&](const auto& pcpu) { return !pcpus_.contains(pcpu.cpu); });
  }
  const CpuLoads loads = meter_.measure(watched);
  CpuRound round;
  round.at_ns = sample.at_ns;
  round.elapsed_ns = loads.elapsed_ns;
  for (const PcpuLoad& load : loads.pcpus) {
    round.pcpus.push_back({.cpu = load.cpu, .usage = load.used, .foreign = load.foreign});
  }
  round.vcpus = vcpus_of(watched, loads);
  round.pin_changes = count_pin_changes(watched);
  if (round.elapsed_ns == 0) return round;
  add_spread(round);
  add_to_summary(round);
  return round;
}

// A guest that was started anew has not been pinned by anybody: it came with its masks.
std::uint64_t CpuWatch::count_pin_changes(const Sample& sample) {
  std::uint64_t changes = 0;
  std::map<VcpuKey, Mask> now;
  for (const GuestSample& guest : sample.guests) {
    for (const VcpuSample& vcpu : guest.vcpus) {
      const VcpuKey key{.uuid = guest.uuid, .vcpu = vcpu.index};
      const auto before = masks_.find(key);
      if (before != masks_.end() && before->second.run_id == guest.run_id &&
          before->second.allowed != vcpu.allowed) {
        ++changes;
      }
      now.insert_or_assign(key, Mask{.run_id = guest.run_id, .allowed = vcpu.allowed});
    }
  }
  masks_ = std::move(now);
  return changes;
}

void CpuWatch::add_to_summary(const CpuRound& round) {
  ++summary_.rounds;
  summary_.pin_changes += round.pin_changes;
  if (round.pin_changes > 0) summary_.last_change_round = summary_.rounds;
  if (round.balanced) {
    ++summary_.balanced_rounds;
    ++in_a_row_;
  } else {
    in_a_row_ = 0;
    if (first_uneven_ == 0) {
      first_uneven_ = summary_.rounds;
      summary_.rounds_until_balance.reset();
    }
  }
  if (first_uneven_ != 0 && !summary_.rounds_until_balance && in_a_row_ == kSteady) {
    summary_.rounds_until_balance = summary_.rounds - kSteady + 1 - first_uneven_;
  }
}

}  // namespace fairlead::manage
