// SPDX-License-Identifier: Apache-2.0
//
// For tests: what a drive is asked in a simulation, as a trace.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>

#include "base/random.h"
#include "disk/drive.h"
#include "disk/request_trace.h"
#include "disk/scheduler_table.h"
#include "sim/disk_world.h"

namespace fairlead::sim {

// The drive that is to be found.
inline disk::MechanicalShape platters() {
  return {.sectors = 20'000'000,
          .heads = 4,
          .zones = {{5000, 700}, {5000, 500}},
          .rotation_ns = 6'000'000,
          .seek_one_ns = 600'000,
          .seek_average_ns = 5'000'000,
          .seek_full_ns = 10'500'000,
          .write_settle_ns = 400'000,
          .head_switch_ns = 500'000,
          .cylinder_skew_ns = 900'000,
          .read_overhead_ns = 150'000,
          .hit_overhead_ns = 70'000,
          .write_overhead_ns = 150'000,
          .cache = {}};
}

// A model whose times are up to that share longer, evenly.
class NoisyModel final : public disk::DiskModel {
 public:
  NoisyModel(const disk::DriveShape& drive, double noise)
      : model_(disk::make_model(drive)), noise_(noise) {}
  std::uint64_t sectors() const noexcept override { return model_->sectors(); }
  disk::Access access(const disk::Transfer& transfer, std::int64_t begin_ns) override {
    disk::Access access = model_->access(transfer, begin_ns);
    const auto service_ns = static_cast<double>(access.end_ns - begin_ns);
    const auto longer_ns = std::llround(noise_ * random_.unit() * service_ns);
    access.end_ns += longer_ns;
    access.free_ns += longer_ns;
    return access;
  }

 private:
  std::unique_ptr<disk::DiskModel> model_;
  base::Random random_{1};
  double noise_;
};

inline disk::RequestTrace simulated_trace(disk::DiskModel& model, DiskWorkload& workload,
                                          std::uint64_t requests, std::uint32_t depth = 1) {
  const disk::SchedulerShape shape{};
  const auto scheduler = disk::make_scheduler("noop", shape);
  disk::ModelledDisk disk(**scheduler, model, shape, {.depth = depth});
  disk::RequestTrace trace{.name = "simulated", .requests = {}};
  const auto add = [&](const DiskStory& story) { trace.requests.push_back(disk::recorded(story)); };
  (void)DiskWorld(disk, shape, workload).run({.requests = requests, .on_end = add});
  return *disk::in_order(std::move(trace));
}

inline disk::RequestTrace simulated_trace(const disk::DriveShape& drive, DiskWorkload& workload,
                                          std::uint64_t requests, double noise = 0,
                                          std::uint32_t depth = 1) {
  NoisyModel model(drive, noise);
  return simulated_trace(model, workload, requests, depth);
}

}  // namespace fairlead::sim
