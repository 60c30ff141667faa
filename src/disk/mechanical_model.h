// SPDX-License-Identifier: Apache-2.0
//
// MechanicalModel: a drive with platters.  Zones of tracks, a seek curve, rotation, head and
// cylinder skew, and a cache of segments that the drive fills ahead while it is left alone.
//
//     miss     overhead, seek or head switch, rotation, the sectors, skew at each end of a track
//     hit      overhead, the bus; what is being read ahead is waited for
//
//     seek(d) = a + b·sqrt(d) + c·d cylinders, through the three times that data sheets give:
//     one cylinder, a third of all (the average), all           (Lee and Katz 1993)
//
// Left out: thermal calibration, bad sectors, the drive's own queue, write-back caching.
//
// Thread-safety: none.  The constructor allocates.  Misuse (no zones, no heads) is our bug.
#pragma once

#include <cstdint>
#include <vector>

#include "disk/disk_model.h"
#include "disk/drive_cache.h"

namespace fairlead::disk {

struct Zone {
  std::uint32_t cylinders = 0;
  std::uint32_t sectors_per_track = 0;
};

struct MechanicalShape {
  std::uint64_t sectors = 0;  // at most what the zones hold
  std::uint32_t heads = 0;
  std::vector<Zone> zones;  // from sector 0 on, as a rule the outermost
  std::int64_t rotation_ns = 0;
  std::int64_t seek_one_ns = 0;
  std::int64_t seek_average_ns = 0;
  std::int64_t seek_full_ns = 0;
  std::int64_t write_settle_ns = 0;  // on top of a seek, for writes
  std::int64_t head_switch_ns = 0;   // and head skew
  std::int64_t cylinder_skew_ns = 0;
  std::int64_t read_overhead_ns = 0;
  std::int64_t hit_overhead_ns = 0;
  std::int64_t write_overhead_ns = 0;
  double bus_bytes_per_second = 320e6;
  CacheShape cache{};
};

class MechanicalModel final : public DiskModel {
 public:
  explicit MechanicalModel(const MechanicalShape& shape);

  std::uint64_t sectors() const noexcept override { return shape_.sectors; }
  Access access(const Transfer& transfer, std::int64_t begin_ns) override;
  void ended(std::int64_t end_ns) override {
    if (moved_) cache_.filled_from(end_ns);
  }

  // For tests and fits.
  std::int64_t seek_ns(std::uint32_t cylinders) const noexcept;

 private:
  struct Place {
    std::uint32_t cylinder;
    std::uint32_t head;
    std::uint32_t sectors_per_track;
    std::uint32_t sector;  // of its track
    std::uint64_t track;   // of the drive
  };

  Place place(std::uint64_t sector) const noexcept;
  std::int64_t position_ns(const Place& place) const noexcept;
  std::int64_t skew_ns(std::uint64_t track) const noexcept;
  std::int64_t media_ns(const Place& place, std::uint32_t count) const noexcept;
  std::int64_t bus_ns(std::uint32_t count) const noexcept;
  Access hit(const Transfer& transfer, std::int64_t begin_ns);
  Access move(const Transfer& transfer, std::int64_t begin_ns);

  MechanicalShape shape_;
  std::vector<std::uint64_t> zone_sector_;  // its first
  std::vector<std::uint32_t> zone_cylinder_;
  double a_ = 0;
  double b_ = 0;
  double c_ = 0;
  DriveCache cache_;
  std::uint32_t cylinder_ = 0;
  std::uint32_t head_ = 0;
  bool moved_ = false;  // by the last access
};

}  // namespace fairlead::disk
