// SPDX-License-Identifier: Apache-2.0
//
// CpuWorld: a simulated hypervisor whose guests compute, for the vCPU scheduler.  Virtual time, and
// the same seed gives the same world.
//
// Processors are shared fairly.  A closed load works, then sleeps for a fixed time, so it asks for
// less when it has to wait; an open load's work arrives whatever happens and piles up.  How long
// work waits is the mean value analysis of processor sharing (Reiser and Lavenberg 1980, without
// the correction for one's own job): a load that meets q others runnable is 1 + q times slower. SMT
// siblings slow each other, and memory of another node slows who uses it: the same work takes more
// of a processor's time.  A vCPU that is not pinned goes to the least busy processor it may use.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "manage/hypervisor.h"

namespace fairlead::sim {

struct CpuDemand {
  double share = 0;   // of a processor, if it were alone
  bool open = false;  // arrives whatever happens; else closed
  double jitter = 0;  // each step's demand is share × (1 ± jitter), uniform
};

struct CpuWorldOptions {
  std::uint32_t pcpus = 4;
  std::uint32_t threads_per_core = 1;
  std::uint32_t nodes = 1;        // processors are split evenly, in order
  double sibling_capacity = 0.6;  // of a thread whose sibling is busy all the time
  double remote_capacity = 0.8;   // of any for a vCPU whose memory is bound to another node
  bool ticks = true;              // run time is seen in ticks of 10 ms, as libvirt reports it
  bool delay = true;              // the hypervisor has the run-queue delay
  std::uint64_t seed = 1;
};

class CpuWorld final : public manage::Hypervisor {
 public:
  explicit CpuWorld(const CpuWorldOptions& options);

  // Guests are named "g0", "g1", …; the number is what this returns.
  std::uint32_t add_guest(const std::vector<CpuDemand>& vcpus, const manage::CpuSet& allowed);
  void remove_guest(std::uint32_t guest);
  void reboot(std::uint32_t guest);  // counters begin anew
  void pause(std::uint32_t guest, bool paused);
  void set_demand(std::uint32_t guest, std::uint32_t vcpu, const CpuDemand& demand);
  void bind_memory(std::uint32_t guest, std::uint32_t node);
  void pin_by_hand(std::uint32_t guest, std::uint32_t vcpu, const manage::CpuSet& allowed);
  void set_foreign(std::uint32_t pcpu, double share);
  // What the guest's process does beside its vCPUs; it runs where there is room.
  void set_helpers(std::uint32_t guest, double share);
  void set_online(std::uint32_t pcpu, bool online);

  void advance(std::int64_t step_ns);

  // Of the last step: what each online processor did, 0 … 1, and what all vCPUs waited together.
  std::vector<double> utilisation() const;
  double waiting() const noexcept { return waiting_; }
  // What all vCPUs got done together, in processors without sibling and with their memory at hand.
  double work() const noexcept { return work_; }
  std::uint64_t pin_changes() const noexcept { return pin_changes_; }

  base::Result<manage::Sample> sample() override;
  base::Status pin(const std::string& uuid, std::uint32_t vcpu,
                   const manage::CpuSet& allowed) override;
  base::Status set_memory(const std::string& uuid, std::uint64_t bytes) override;
  base::Status set_stats_period(const std::string& uuid, std::uint32_t seconds) override;

 private:
  struct Vcpu {
    CpuDemand demand;
    manage::CpuSet allowed;
    double run_ns = 0;
    double delay_ns = 0;
    double backlog_ns = 0;  // open loads: work that arrived and was not done
    std::uint32_t at = 0;   // processor of this step
  };
  struct Guest {
    std::string uuid;
    std::int32_t run_id = 1;
    bool present = true;
    bool paused = false;
    std::optional<std::uint32_t> node;
    double helpers = 0;
    double helpers_ns = 0;
    std::vector<Vcpu> vcpus;
  };
  struct Pcpu {
    bool online = true;
    double foreign = 0;
    double helpers = 0;  // of the last step
    double busy_ns = 0;
    double used = 0;  // of the last step
  };
  struct Running;

  void choose_processors();
  void place_helpers(const std::vector<std::vector<Running>>& running, double step_ns);
  std::uint32_t node_of(std::uint32_t pcpu) const;
  double sibling_speed(std::uint32_t pcpu, const std::vector<double>& wanted) const;
  void slow_down(std::vector<std::vector<Running>>& running) const;
  static void fit(double capacity, std::vector<Running>& running);
  void share(std::uint32_t pcpu, double capacity, std::vector<Running>& running, double step_ns);
  std::uint64_t seen_ns(double time_ns) const;
  Guest* find(const std::string& uuid);

  CpuWorldOptions options_;
  base::Random random_;
  std::int64_t now_ns_ = 0;
  std::int32_t run_ids_ = 0;
  double waiting_ = 0;
  double work_ = 0;
  std::uint64_t pin_changes_ = 0;
  std::vector<Guest> guests_;
  std::vector<Pcpu> pcpus_;
};

}  // namespace fairlead::sim
