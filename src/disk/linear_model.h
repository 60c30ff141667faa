// SPDX-License-Identifier: Apache-2.0
//
// LinearModel: document 004's: X = R/2 + S · (d/D), the same for every transfer of that distance,
// with a cache whose hits take a time of their own.  No rotation phase, zones or transfer time,
// unless `sector_ns` is set.
//
//     R rotation, S full stroke, d sectors from where the head is, D sectors of the disk
#pragma once

#include <cmath>
#include <cstdint>

#include "disk/cache_shadow.h"
#include "disk/disk_model.h"

namespace fairlead::disk {

struct LinearShape {
  std::uint64_t sectors = 143'374'738;
  std::int64_t rotation_ns = 4'000'000;
  std::int64_t full_stroke_ns = 7'400'000;
  std::int64_t hit_ns = 100'000;
  double sector_ns = 0;  // of each sector transferred
  CacheShape cache{};
};

class LinearModel final : public DiskModel {
 public:
  explicit LinearModel(const LinearShape& shape) : shape_(shape), cache_(shape.cache) {}

  std::uint64_t sectors() const noexcept override { return shape_.sectors; }

  Access access(const Transfer& transfer, std::int64_t begin_ns) override {
    Access access;
    access.transfer_ns = std::llround(shape_.sector_ns * transfer.sector_count);
    if (transfer.op == IoOp::kRead) {
      access.hit = cache_.read(transfer.sector, transfer.sector_count);
    } else {
      cache_.write(transfer.sector, transfer.sector_count);
    }
    if (access.hit) {
      access.end_ns = begin_ns + shape_.hit_ns + access.transfer_ns;
    } else {
      const std::uint64_t distance = sectors_apart(transfer.sector, head_);
      access.seek_ns =
          std::llround(static_cast<double>(shape_.full_stroke_ns) * static_cast<double>(distance) /
                       static_cast<double>(shape_.sectors));
      access.rotation_ns = shape_.rotation_ns / 2;
      access.end_ns = begin_ns + access.seek_ns + access.rotation_ns + access.transfer_ns;
      head_ = transfer.end();
    }
    access.free_ns = access.end_ns;
    return access;
  }

 private:
  LinearShape shape_;
  CacheShadow cache_;
  std::uint64_t head_ = 0;
};

}  // namespace fairlead::disk
