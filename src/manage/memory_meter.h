// SPDX-License-Identifier: Apache-2.0
//
// MemoryMeter: from what guests report about themselves to what they use and how fast that grows.
//
// used = size − usable (the guest's MemAvailable: its page cache counts as usable).  While a
// balloon moves, a report and the size beside it do not belong together: the report is up to a
// period old, and so is the size (QEMU tells at most once a second how far a balloon is; libvirt
// shows what it was told last).  What the guest's MemTotal does then is what counts:
//
// - It follows the balloon (the usual driver; known from the first time it moves): MemTotal −
//   MemAvailable, both of one report, tells what is used without any size.
// - It does not (a driver with deflate-on-OOM), or is not known to yet: used lies between the
//   bounds that the sizes around the report give, and growth is not more than these bounds prove.
//
// Pages that a balloon gives back lie in the kernel's lists of free pages per processor first,
// where neither MemFree nor MemAvailable counts them: a guest that is given 150 MiB has up to its
// low watermark less of them to show (34 MiB of 150 were measured, Linux 6.1, one processor),
// until the balloon or a program takes them from there.  They count as used, and not as growth.
//
// Growth rises at once and decays slowly; so does paging, what comes back from a swap device or is
// read again because it was thrown away.
//
// Nothing that a guest reports gets past its own size: used is between 0 and that, growth is at
// most its maximum in the time between two reports, and paging has a limit of its own.
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
  double paging = 0;        // bytes per second
  double age_s = 0;         // of the report
};

class MemoryMeter {
 public:
  explicit MemoryMeter(std::uint32_t stats_period_s) : period_s_(stats_period_s) {}

  // In the order of the sample's guests.
  std::vector<MemoryReading> measure(const Sample& sample);

  // Its balloon was asked to go to `bytes` just after the last sample.
  void asked(const std::string& uuid, std::int64_t bytes);

  // Between the last two samples; 0: there was none before, or time stood still.
  double elapsed_s() const noexcept { return elapsed_s_; }

 private:
  struct Sizes {
    std::int64_t low = 0;
    std::int64_t high = 0;
  };
  struct Seen {
    std::int32_t run_id = 0;
    std::int64_t first_ns = 0;
    std::int64_t reported_ns = 0;  // of the sample that showed the last report
    std::int64_t asked_ns = 0;     // for reports
    std::int64_t updated_s = 0;
    std::int64_t size = 0;      // in the sample before
    std::int64_t pace = 0;      // the farthest that it moved between two; 0: never yet
    std::int64_t wish = 0;      // what its balloon was asked for last,
    std::int64_t wish_ns = -1;  // and in which sample; -1: never
    double used = 0;
    double slope = 0;
    double growth = 0;
    bool known = false;
    bool was_paused = false;  // since its last report
    double given = 0;         // what its balloon may have given back since used was known,
    double lists = 0;         // and what of such lies in lists, by our reckoning
    std::optional<std::uint64_t> swapped_in;
    std::optional<std::uint64_t> faults;
    double paging = 0;
    // MemTotal in the last report, whether it follows the balloon, and how much less it then is.
    std::optional<std::int64_t> total;
    bool follows = false;
    std::int64_t gap = 0;
    std::uint32_t still_for = 0;  // reports in a row with the same size and MemTotal
    // Such a pair.
    std::optional<std::int64_t> still_size;
    std::int64_t still_total = 0;

    void take(const BalloonSample& balloon, std::int64_t now_size, std::int64_t at_ns);
    void learn(const BalloonSample& balloon, std::int64_t now_size);
    void learn_still(std::int64_t now_size);
    Sizes sizes_around(std::int64_t now_size, std::int64_t at_ns) const;
    void estimate(double used_now, double seconds, bool exact);
    void count_paging(const BalloonSample& balloon, double seconds);
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
