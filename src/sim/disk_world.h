// SPDX-License-Identifier: Apache-2.0
//
// DiskWorld: processes on a simulated disk, in virtual time.  The scheduler and the model are those
// of the live service (disk/modelled_disk.h); the same seed gives the same run.
//
// Requests beyond the scheduler's slots wait in front of it, first come, first served, as processes
// wait for Linux' nr_requests.
//
// Thread-safety: none.  Memory does not grow with the requests of a run, unless arrivals outrun the
// disk; then, at kMostWaiting of them, the run ends with an error (kLimit).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "disk/modelled_disk.h"
#include "disk/request_story.h"
#include "sim/disk_workload.h"

namespace fairlead::sim {

struct DiskRun {
  std::uint64_t requests = 0;  // that ended after the warm-up
  std::uint64_t sectors = 0;
  std::uint64_t transfers = 0;
  std::uint64_t hits = 0;  // of them, in the disk's cache
  std::int64_t elapsed_ns = 0;
  base::Histogram service_ns;   // from dispatch to end
  base::Histogram response_ns;  // from asking to end

  double sectors_per_ms() const noexcept {
    const auto ns = static_cast<double>(elapsed_ns);
    return elapsed_ns == 0 ? 0 : 1e6 * static_cast<double>(sectors) / ns;
  }
};

using DiskStory = disk::RequestStory;

struct DiskPlan {
  std::uint64_t requests = 50'000;
  std::uint64_t warm_up = 0;  // requests before these
  std::function<void(const DiskStory&)> on_end{};
};

class DiskWorld final : private disk::DiskEvents {
 public:
  static constexpr std::size_t kMostWaiting = 1 << 22;

  // `disk` with the scheduler's shape.
  DiskWorld(disk::ModelledDisk& disk, const disk::SchedulerShape& shape, DiskWorkload& workload);

  base::Result<DiskRun> run(const DiskPlan& plan);

 private:
  struct Due {  // a process asks
    std::int64_t time_ns;
    std::uint64_t number;
    std::uint32_t process;
    bool operator<(const Due& other) const noexcept {
      return time_ns != other.time_ns ? time_ns > other.time_ns : number > other.number;
    }
  };
  struct Waiting {
    disk::IoRequest request;
    std::uint64_t number;
    std::int64_t arrived_ns;
  };

  void plan_next(std::uint32_t process, std::int64_t now_ns);
  void ask(const Due& due);
  void admit(const Waiting& waiting, std::int64_t now_ns);
  void admit_waiting();
  void dispatched(const disk::Transfer& transfer, std::int64_t now_ns) override;
  void completed(const disk::Transfer& transfer, const disk::Access& access,
                 std::int64_t now_ns) override;
  void count(const DiskStory& story);

  disk::ModelledDisk& disk_;
  DiskWorkload& workload_;
  std::vector<disk::IoRequest> asks_;  // by process: what comes next
  std::priority_queue<Due> due_;
  std::deque<Waiting> waiting_;
  std::vector<disk::Slot> free_;
  std::vector<DiskStory> stories_;  // by slot
  std::uint64_t plans_ = 0;
  std::uint64_t arrivals_ = 0;
  const DiskPlan* plan_ = nullptr;
  std::uint64_t ended_ = 0;
  std::int64_t now_ns_ = 0;
  std::int64_t counted_from_ns_ = 0;
  DiskRun run_;
};

}  // namespace fairlead::sim
