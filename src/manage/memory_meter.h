// SPDX-License-Identifier: Apache-2.0
//
// MemoryMeter: from what guests report about themselves to what they use and how fast that grows.
//
// used = size − usable (the guest's MemAvailable: its page cache counts as usable).  A report is
// older than the size beside it; where the balloon moved since the sample before, used lies between
// two bounds, and the guest's MemTotal, if it is known to follow the balloon, or else the growth so
// far tells where.  Growth rises at once and decays slowly.
//
// Nothing that a guest reports gets past its own size: usable is at most that, so used is never
// below 0, and growth is at most the size in the time between two reports.
//
// Deterministic, no clock: time is the samples'.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manage/sample.h"

namespace fairlead::manage {

// How far a guest's figures can be acted on.
enum class ReportState : std::uint8_t { kFresh, kNone, kNever, kStale, kPaused };

struct MemoryReading {
  ReportState state = ReportState::kNone;  // kNone: not yet; kNever: given up
  bool first = false;                      // seen for the first time since it was started
  bool ask_again = false;                  // silent for so long that its period may have been lost
  std::int64_t size = 0;                   // bytes, as all sizes here
  std::int64_t maximum = 0;
  std::int64_t resident = 0;  // of its size, what the host has given already
  std::int64_t used = 0;
  std::int64_t usable = 0;  // size − used, now
  bool known = false;       // used and usable mean something
  double growth = 0;        // bytes per second
  double age_s = 0;         // of the report
};

class MemoryMeter {
 public:
  explicit MemoryMeter(std::uint32_t stats_period_s) : period_s_(stats_period_s) {}

  // In the order of the sample's guests.
  std::vector<MemoryReading> measure(const Sample& sample);

  // Between the last two samples; 0: there was none before, or time stood still.
  double elapsed_s() const noexcept { return elapsed_s_; }

 private:
  struct Seen {
    std::int32_t run_id = 0;
    std::int64_t first_ns = 0;
    std::int64_t reported_ns = 0;  // of the sample that showed the last report
    std::int64_t asked_ns = 0;
    std::int64_t updated_s = 0;
    std::int64_t size = 0;
    double used = 0;
    double slope = 0;
    double growth = 0;
    bool known = false;
    bool was_paused = false;  // since its last report
    // size − MemTotal, where a report and a size belong together, and whether it stays the same.
    std::optional<std::int64_t> gap;
    std::int64_t gap_size = 0;
    bool follows = false;

    void take(const BalloonSample& balloon, std::int64_t now_size, std::int64_t at_ns);
    std::int64_t size_at_report(const BalloonSample& balloon, std::int64_t now_size);
    void estimate(double used_now, double seconds);
  };

  MemoryReading read(const Sample& sample, const GuestSample& guest, Seen& seen) const;
  void judge(const Sample& sample, const BalloonSample& balloon, Seen& seen,
             MemoryReading& reading) const;

  std::uint32_t period_s_;
  double elapsed_s_ = 0;
  std::int64_t at_ns_ = 0;
  bool first_ = true;
  std::map<std::string, Seen> guests_;
};

}  // namespace fairlead::manage
