// SPDX-License-Identifier: Apache-2.0
//
// ReplayWorkload: a trace's requests at their times, whatever the disk does with them; who asks is
// the process that did.  The times are the trace's own, divided by `speed`.
//
// Thread-safety: none.  Borrows the trace.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "disk/request_trace.h"
#include "sim/disk_workload.h"

namespace fairlead::sim {

class ReplayWorkload final : public DiskWorkload {
 public:
  explicit ReplayWorkload(const disk::RequestTrace& trace, double speed = 1)
      : trace_(trace), speed_(speed) {}

  // One whose requests have many owners: so they come in the trace's order.
  std::uint32_t processes() const noexcept override { return 1; }
  bool open() const noexcept override { return true; }

  std::optional<DiskAsk> next(std::uint32_t /*process*/) override {
    if (next_ == trace_.requests.size()) return std::nullopt;
    const disk::RecordedRequest& one = trace_.requests[next_++];
    const std::int64_t at_ns =
        speed_ == 1 ? one.arrived_ns : std::llround(static_cast<double>(one.arrived_ns) / speed_);
    DiskAsk ask{.after_ns = at_ns - last_ns_,
                .request = {.sector = one.sector,
                            .sector_count = one.sector_count,
                            .op = one.op,
                            .owner = one.owner}};
    last_ns_ = at_ns;
    return ask;
  }

 private:
  const disk::RequestTrace& trace_;
  const double speed_;
  std::size_t next_ = 0;
  std::int64_t last_ns_ = 0;
};

}  // namespace fairlead::sim
