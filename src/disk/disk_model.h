// SPDX-License-Identifier: Apache-2.0
//
// DiskModel: how long a disk takes, and for what.  The disk is asked for one transfer after the
// other, each begun when the one before has left it free.
//
//     begin ── overhead ── seek ── rotation ── transfer ──► end        free: the next may begin
//
// Times are nanoseconds of one clock that never runs backwards.  Thread-safety: none.  Nothing is
// allocated after construction.
#pragma once

#include <cstdint>

#include "disk/scheduler.h"

namespace fairlead::disk {

struct Access {
  std::int64_t free_ns = 0;  // the next transfer may begin
  std::int64_t end_ns = 0;   // the data is there
  std::int64_t seek_ns = 0;  // parts of it
  std::int64_t rotation_ns = 0;
  std::int64_t transfer_ns = 0;
  bool hit = false;  // in the disk's cache
};

class DiskModel {
 public:
  virtual ~DiskModel() = default;
  virtual std::uint64_t sectors() const noexcept = 0;
  // Within sectors().
  virtual Access access(const Transfer& transfer, std::int64_t begin_ns) = 0;
  // The last access ended then, whatever the model said of it: for fits, which have seen it.
  virtual void ended(std::int64_t /*end_ns*/) {}
};

}  // namespace fairlead::disk
