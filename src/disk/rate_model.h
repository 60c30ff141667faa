// SPDX-License-Identifier: Apache-2.0
//
// RateModel: a disk without a place: each transfer takes `latency_ns` (by kind), and the disk can
// begin so many in a second and move so many bytes in a second, as an SSD or a throttled volume.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "disk/disk_model.h"

namespace fairlead::disk {

struct RateShape {
  std::uint64_t sectors = 143'374'738;
  std::int64_t read_ns = 0;  // from its beginning to its end
  std::int64_t write_ns = 0;
  double transfers_per_second = 0;  // 0: no limit
  double bytes_per_second = 0;      // 0: no limit
};

class RateModel final : public DiskModel {
 public:
  explicit RateModel(const RateShape& shape) : shape_(shape) {}

  std::uint64_t sectors() const noexcept override { return shape_.sectors; }

  Access access(const Transfer& transfer, std::int64_t begin_ns) override {
    const double bytes = double{kSectorBytes} * transfer.sector_count;
    const double least = shape_.transfers_per_second > 0 ? 1e9 / shape_.transfers_per_second : 0;
    const double moving = shape_.bytes_per_second > 0 ? bytes * 1e9 / shape_.bytes_per_second : 0;
    Access access;
    access.transfer_ns = std::llround(moving);
    access.free_ns = begin_ns + std::llround(std::max(least, moving));
    access.end_ns = begin_ns + access.transfer_ns +
                    (transfer.op == IoOp::kRead ? shape_.read_ns : shape_.write_ns);
    return access;
  }

 private:
  RateShape shape_;
};

}  // namespace fairlead::disk
