// SPDX-License-Identifier: Apache-2.0
//
// CatsScheduler: cache-aware table scheduling (document 004, "CATS").
//
//     reads    a predicted hit in the disk's cache first; else the first of algorithm T's order
//     writes   upwards, in bursts: when the oldest has waited for max_write_delay, or when there is
//              nothing to read and it has waited for min_write_delay
//     idle     after a read the disk waits for its reader, out_wait at most (deceptive idleness)
//
// Adjacent requests are merged.  What the document leaves open, and what is ours:
//   - The wait is worth its while only for a reader that will be back in time and near: with
//     `gate` set, one whose mean think time is below out_wait, while nothing that waits is nearer
//     than its mean step.  Without, and with a disk that decides one by one
//     (depth 1), 64 readers that sleep for 2 ms and more got a quarter of the throughput.
//   - Delays and length of a burst are parameters, with values of ours.
//   - Hits first, without end, starve misses, and T's order what is far.  With hit_age_cap set, no
//     hit goes before a read that has waited so long; with age_unit set, who waits longer counts
//     for more in T's order; with age_limit set, who has waited so long goes first.  "cats-aged" is
//     CATS with all three.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "disk/backlog.h"
#include "disk/best_first.h"
#include "disk/cache_shadow.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class CatsScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters();
  static std::vector<Parameter> aged_parameters();
  CatsScheduler(const SchedulerShape& shape, const Parameters& parameters);

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;
  void completed(const Transfer& transfer, std::int64_t now_ns) override;
  std::uint32_t waiting() const noexcept override { return reads_.requests() + writes_.requests(); }

 private:
  struct Reader {
    std::uint64_t next_sector = 0;  // after its last read
    std::int64_t ended_ns = -1;     // its last read; -1: none has
    std::uint32_t waiting = 0;
    double think_ns = 0;  // means, new samples weigh an eighth
    double step_sectors = 0;
    std::uint32_t samples = 0;
  };

  Slot first_read(std::int64_t now_ns);
  std::optional<Slot> predicted_hit(std::int64_t now_ns) const;
  std::optional<std::int64_t> awaited_until(std::int64_t now_ns, const Slot* instead) const;
  bool burst_due(std::int64_t now_ns) const noexcept;
  Decision read(Slot slot);
  Decision write();

  const std::int64_t out_wait_ns_;
  const bool gate_;
  const std::int64_t min_write_delay_ns_;
  const std::int64_t max_write_delay_ns_;
  const std::uint32_t write_burst_;
  const std::int64_t hit_age_cap_ns_;
  const std::int64_t age_limit_ns_;
  Backlog reads_;
  Backlog writes_;
  BestFirst best_;
  CacheShadow cache_;
  std::vector<Reader> readers_;
  std::optional<std::uint32_t> last_reader_;
  std::uint64_t head_ = 0;
  std::uint32_t burst_ = 0;      // writes still to be sent of it
  std::uint32_t in_flight_ = 0;  // reads
};

}  // namespace fairlead::disk
