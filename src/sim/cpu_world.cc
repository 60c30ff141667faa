// SPDX-License-Identifier: Apache-2.0
#include "sim/cpu_world.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/check.h"

namespace fairlead::sim {
namespace {

constexpr double kTickNs = 1e7;

bool may_run(const manage::CpuSet& allowed, std::uint32_t pcpu) { return allowed.contains(pcpu); }

}  // namespace

struct CpuWorld::Running {
  Vcpu* vcpu = nullptr;
  double want = 0;      // closed: alone; open: arrivals and what piled up
  bool remote = false;  // its memory is on another node
  double speed = 1;     // work done ÷ time on the processor
  double slowdown = 1;  // time to be done ÷ time of work
  double rate = 0;
  double runnable = 0;  // probability

  void settle() {
    if (vcpu->demand.open) {
      rate = std::min(want, 1 / slowdown);
    } else {
      rate = want <= 0 ? 0 : 1 / (slowdown + 1 / want - 1);
    }
    runnable = std::min(rate * slowdown, 1.0);
  }

  // What an open load would do more, if it could.
  double lacks() const { return vcpu->demand.open ? std::max(std::min(want, 1.0) - rate, 0.0) : 0; }

  // The same work takes longer, and what a closed load sleeps between does not.
  void slow(double by) {
    speed *= by;
    if (vcpu->demand.open) {
      want /= by;
    } else if (want > 0) {
      want = 1 / (1 + by * (1 / want - 1));
    }
  }
};

CpuWorld::CpuWorld(const CpuWorldOptions& options)
    : options_(options), random_(options.seed), pcpus_(options.pcpus) {}

std::uint32_t CpuWorld::add_guest(const std::vector<CpuDemand>& vcpus,
                                  const manage::CpuSet& allowed) {
  Guest guest;
  const auto number = static_cast<std::uint32_t>(guests_.size());
  guest.uuid = fmt::format("00000000-0000-0000-0000-{:012}", number);
  guest.run_id = ++run_ids_;
  for (const CpuDemand& demand : vcpus) {
    guest.vcpus.emplace_back();
    guest.vcpus.back().demand = demand;
    guest.vcpus.back().allowed = allowed;
  }
  guests_.push_back(std::move(guest));
  return number;
}

void CpuWorld::remove_guest(std::uint32_t guest) { guests_[guest].present = false; }

void CpuWorld::reboot(std::uint32_t guest) {
  guests_[guest].run_id = ++run_ids_;
  for (Vcpu& vcpu : guests_[guest].vcpus) vcpu.run_ns = vcpu.delay_ns = vcpu.backlog_ns = 0;
  guests_[guest].helpers_ns = 0;
}

void CpuWorld::pause(std::uint32_t guest, bool paused) { guests_[guest].paused = paused; }

void CpuWorld::set_demand(std::uint32_t guest, std::uint32_t vcpu, const CpuDemand& demand) {
  guests_[guest].vcpus[vcpu].demand = demand;
}

void CpuWorld::bind_memory(std::uint32_t guest, std::uint32_t node) { guests_[guest].node = node; }

void CpuWorld::pin_by_hand(std::uint32_t guest, std::uint32_t vcpu, const manage::CpuSet& allowed) {
  guests_[guest].vcpus[vcpu].allowed = allowed;
}

void CpuWorld::set_foreign(std::uint32_t pcpu, double share) { pcpus_[pcpu].foreign = share; }

void CpuWorld::set_helpers(std::uint32_t guest, double share) { guests_[guest].helpers = share; }

void CpuWorld::set_online(std::uint32_t pcpu, bool online) { pcpus_[pcpu].online = online; }

// The kernel's own balancing, roughly: pinned ones first, the others where least is wanted.
void CpuWorld::choose_processors() {
  std::vector<double> wanted(pcpus_.size());
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) wanted[p] = pcpus_[p].foreign;
  for (const bool pinned : {true, false}) {
    for (Guest& guest : guests_) {
      for (Vcpu& vcpu : guest.vcpus) {
        if (!guest.present || (vcpu.allowed.count() == 1) != pinned) continue;
        std::uint32_t best = UINT32_MAX;
        for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
          if (!pcpus_[p].online || !may_run(vcpu.allowed, p)) continue;
          if (best == UINT32_MAX || wanted[p] < wanted[best]) best = p;
        }
        // A mask without an online processor is no mask to the kernel.
        for (std::uint32_t p = 0; best == UINT32_MAX; ++p) {
          if (pcpus_[p].online) best = p;
        }
        vcpu.at = best;
        if (!guest.paused) wanted[best] += vcpu.demand.share;
      }
    }
  }
}

// In small pieces, each to the processor with the most room, as a thread that wakes up finds it.
void CpuWorld::place_helpers(const std::vector<std::vector<Running>>& running, double step_ns) {
  constexpr int kPieces = 200;
  double together = 0;
  for (Guest& guest : guests_) {
    if (!guest.present || guest.paused) continue;
    together += guest.helpers;
    guest.helpers_ns += guest.helpers * step_ns;
  }
  std::vector<double> wanted(pcpus_.size());
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
    pcpus_[p].helpers = 0;
    wanted[p] = pcpus_[p].online ? pcpus_[p].foreign : std::numeric_limits<double>::infinity();
    for (const Running& r : running[p]) wanted[p] += std::min(r.want, 1.0);
  }
  if (together <= 0) return;
  for (int i = 0; i < kPieces; ++i) {
    const auto p = static_cast<std::size_t>(std::ranges::min_element(wanted) - wanted.begin());
    pcpus_[p].helpers += together / kPieces;
    wanted[p] += together / kPieces;
  }
}

// The analysis is near, not exact: no processor does more than it can, nor rests beside a pile.
void CpuWorld::fit(double capacity, std::vector<Running>& running) {
  double total = 0;
  double lacking = 0;
  for (const Running& r : running) {
    total += r.rate;
    lacking += r.lacks();
  }
  const double less = total > capacity ? capacity / total : 1;
  const double more = lacking > 0 ? std::clamp((capacity - total) / lacking, 0.0, 1.0) : 0;
  for (Running& r : running) r.rate = r.rate * less + more * r.lacks();
}

void CpuWorld::share(std::uint32_t pcpu, double capacity, std::vector<Running>& running,
                     double step_ns) {
  constexpr int kRounds = 60;
  double runnable = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (Running& r : running) {
      runnable -= r.runnable;
      const double slower = (1 + runnable) / std::max(capacity, 0.01);
      r.slowdown = (r.slowdown + slower) / 2;
      r.settle();
      runnable += r.runnable;
    }
  }
  fit(capacity, running);
  for (Running& r : running) {
    double waits = 0;
    if (r.vcpu->demand.open) {
      waits = std::clamp(r.runnable - r.rate, 0.0, 1 - r.rate);
      // In work, not in time: another step may do it at another speed.
      r.vcpu->backlog_ns = std::max(r.want - r.rate, 0.0) * r.speed * step_ns;
    } else if (r.rate > 0) {
      waits = std::clamp(1 - r.rate / r.want, 0.0, 1 - r.rate);
    }
    r.vcpu->run_ns += r.rate * step_ns;
    r.vcpu->delay_ns += waits * step_ns;
    waiting_ += waits;
    work_ += r.rate * r.speed;
    pcpus_[pcpu].used += r.rate;
  }
}

void CpuWorld::advance(std::int64_t step_ns) {
  now_ns_ += step_ns;
  const auto step = static_cast<double>(step_ns);
  choose_processors();
  std::vector<std::vector<Running>> running(pcpus_.size());
  for (Guest& guest : guests_) {
    for (Vcpu& vcpu : guest.vcpus) {
      // Drawn for every vCPU in every step: who is paused must not change the others' fate.
      const double wobble = 1 + vcpu.demand.jitter * (2 * random_.unit() - 1);
      if (!guest.present || guest.paused) continue;
      const double arriving = std::clamp(vcpu.demand.share * wobble, 0.0, 1.0);
      const double piled = vcpu.demand.open ? vcpu.backlog_ns / step : 0;
      const bool remote = guest.node && *guest.node != node_of(vcpu.at);
      running[vcpu.at].push_back({.vcpu = &vcpu, .want = arriving + piled, .remote = remote});
    }
  }
  waiting_ = work_ = 0;
  place_helpers(running, step);
  slow_down(running);
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
    if (!pcpus_[p].online) continue;
    pcpus_[p].used = pcpus_[p].foreign + pcpus_[p].helpers;
    share(p, std::max(1 - pcpus_[p].used, 0.0), running[p], step);
    pcpus_[p].busy_ns += std::min(pcpus_[p].used, 1.0) * step;
  }
}

std::uint32_t CpuWorld::node_of(std::uint32_t pcpu) const {
  return pcpu / ((options_.pcpus + options_.nodes - 1) / options_.nodes);
}

double CpuWorld::sibling_speed(std::uint32_t pcpu, const std::vector<double>& wanted) const {
  double speed = 1;
  const std::uint32_t first = pcpu / options_.threads_per_core * options_.threads_per_core;
  for (std::uint32_t other = first;
       other < first + options_.threads_per_core && other < pcpus_.size(); ++other) {
    if (other == pcpu) continue;
    speed *= 1 - (1 - options_.sibling_capacity) * std::min(wanted[other], 1.0);
  }
  return speed;
}

void CpuWorld::slow_down(std::vector<std::vector<Running>>& running) const {
  std::vector<double> wanted(pcpus_.size());
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
    wanted[p] = pcpus_[p].foreign + pcpus_[p].helpers;
    for (Running& r : running[p]) {
      if (r.remote) r.slow(options_.remote_capacity);
      wanted[p] += std::min(r.want, 1.0);
    }
  }
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
    const double speed = sibling_speed(p, wanted);
    if (speed == 1) continue;
    for (Running& r : running[p]) r.slow(speed);
  }
}

std::vector<double> CpuWorld::utilisation() const {
  std::vector<double> used;
  for (const Pcpu& pcpu : pcpus_) {
    if (pcpu.online) used.push_back(std::min(pcpu.used, 1.0));
  }
  return used;
}

// As libvirt reports time.
std::uint64_t CpuWorld::seen_ns(double time_ns) const {
  return static_cast<std::uint64_t>(options_.ticks ? std::floor(time_ns / kTickNs) * kTickNs
                                                   : time_ns);
}

base::Result<manage::Sample> CpuWorld::sample() {
  manage::Sample sample;
  sample.at_ns = now_ns_;
  sample.wall_s = now_ns_ / 1'000'000'000;
  for (std::uint32_t p = 0; p < pcpus_.size(); ++p) {
    if (!pcpus_[p].online) continue;
    const double busy = std::floor(pcpus_[p].busy_ns / kTickNs) * kTickNs;
    sample.pcpus.push_back({.cpu = p,
                            .busy_ns = static_cast<std::uint64_t>(busy),
                            .core = p / options_.threads_per_core,
                            .cache = node_of(p),
                            .node = node_of(p)});
  }
  for (std::uint32_t g = 0; g < guests_.size(); ++g) {
    const Guest& guest = guests_[g];
    if (!guest.present) continue;
    manage::GuestSample seen;
    seen.uuid = guest.uuid;
    seen.name = fmt::format("g{}", g);
    seen.run_id = guest.run_id;
    seen.state = guest.paused ? manage::GuestState::kPaused : manage::GuestState::kRunning;
    seen.memory_node = guest.node;
    double process = guest.helpers_ns;
    for (const Vcpu& vcpu : guest.vcpus) process += vcpu.run_ns;
    seen.process_ns = seen_ns(process);
    seen.helpers_allowed = manage::CpuSet::first(options_.pcpus);
    for (std::uint32_t v = 0; v < guest.vcpus.size(); ++v) {
      const Vcpu& vcpu = guest.vcpus[v];
      manage::VcpuSample one;
      one.index = v;
      one.run_ns = seen_ns(vcpu.run_ns);
      if (options_.delay) one.delay_ns = static_cast<std::uint64_t>(vcpu.delay_ns);
      one.allowed = vcpu.allowed;
      seen.vcpus.push_back(std::move(one));
    }
    sample.guests.push_back(std::move(seen));
  }
  return sample;
}

CpuWorld::Guest* CpuWorld::find(const std::string& uuid) {
  const auto found = std::ranges::find(guests_, uuid, &Guest::uuid);
  return found == guests_.end() || !found->present ? nullptr : &*found;
}

base::Status CpuWorld::pin(const std::string& uuid, std::uint32_t vcpu,
                           const manage::CpuSet& allowed) {
  Guest* guest = find(uuid);
  if (guest == nullptr) return base::fail(base::ErrorKind::kNotFound, "no guest " + uuid);
  FL_CHECK(vcpu < guest->vcpus.size());
  if (guest->vcpus[vcpu].allowed == allowed) return {};
  guest->vcpus[vcpu].allowed = allowed;
  ++pin_changes_;
  return {};
}

base::Status CpuWorld::set_memory(const std::string& uuid, std::uint64_t /*bytes*/) {
  return base::fail(base::ErrorKind::kUnsupported, uuid + " has no balloon");
}

base::Status CpuWorld::set_stats_period(const std::string& uuid, std::uint32_t /*seconds*/) {
  return base::fail(base::ErrorKind::kUnsupported, uuid + " has no balloon");
}

}  // namespace fairlead::sim
