// SPDX-License-Identifier: Apache-2.0
//
// Tests only.  DiskDriver: arrivals given to a scheduler on a modelled disk, and what came of each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "disk/modelled_disk.h"
#include "disk/rate_model.h"
#include "disk/scheduler_table.h"

namespace fairlead::disk {

inline constexpr std::int64_t kUs = 1000;
inline constexpr std::int64_t kMs = 1'000'000;

struct Arrival {
  std::int64_t time_ns = 0;
  IoRequest request;
};

struct Served {
  std::uint32_t number;  // of the arrival
  std::int64_t dispatched_ns;
  std::int64_t ended_ns;
  bool operator==(const Served&) const = default;
};

class DiskDriver final : private DiskEvents {
 public:
  // `first_slot`: slots are used in another order from there on, which must not matter.
  DiskDriver(Scheduler& scheduler, DiskModel& model, const SchedulerShape& shape,
             const DiskQueueing& queueing = {}, Slot first_slot = 0)
      : disk_(scheduler, model, shape, queueing), numbers_(shape.slots) {
    for (Slot i = 0; i < shape.slots; ++i) free_.push_back((i + first_slot) % shape.slots);
  }

  // In the order of service.
  const std::vector<Served>& serve(const std::vector<Arrival>& arrivals) {
    arrivals_ = &arrivals;
    for (std::uint32_t i = 0; i < arrivals.size(); ++i) {
      until(arrivals[i].time_ns);
      if (free_.empty()) throw std::runtime_error("more requests at once than slots");
      const Slot slot = free_.back();
      free_.pop_back();
      numbers_[slot] = i;
      disk_.arrive(slot, arrivals[i].request, arrivals[i].time_ns, *this);
    }
    until(ModelledDisk::kNever - 1);
    return served_;
  }

 private:
  void until(std::int64_t now_ns) {
    while (disk_.next_ns() <= now_ns) disk_.advance(disk_.next_ns(), *this);
  }

  void dispatched(const Transfer& transfer, std::int64_t now_ns) override {
    std::uint64_t sector = transfer.sector;
    for (const Slot slot : transfer.slots) {
      const IoRequest& request = (*arrivals_)[numbers_[slot]].request;
      EXPECT_EQ(request.sector, sector);
      EXPECT_EQ(request.op, transfer.op);
      sector += request.sector_count;
      dispatched_ns_[numbers_[slot]] = now_ns;
    }
    EXPECT_EQ(sector, transfer.end());
  }

  void completed(const Transfer& transfer, const Access&, std::int64_t now_ns) override {
    for (const Slot slot : transfer.slots) {
      served_.push_back({numbers_[slot], dispatched_ns_.at(numbers_[slot]), now_ns});
      free_.push_back(slot);
    }
  }

  ModelledDisk disk_;
  const std::vector<Arrival>* arrivals_ = nullptr;
  std::vector<Slot> free_;
  std::vector<std::uint32_t> numbers_;  // of the arrival, by slot
  std::map<std::uint32_t, std::int64_t> dispatched_ns_;
  std::vector<Served> served_;
};

}  // namespace fairlead::disk
