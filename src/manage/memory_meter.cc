// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_meter.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

constexpr double kNanos = 1e9;
constexpr double kHalfLife = 8;       // seconds in which a growth that stopped is half forgotten
constexpr std::int64_t kGiveUp = 30;  // seconds without a first report: there is no driver
constexpr std::int64_t kAskAgain = 30;
// For so long after it was asked, a balloon may be on its way without its size showing it: it
// begins late, and its size is told once a second.
constexpr std::int64_t kUnderWay = 3;
constexpr std::int64_t kNoise = 2 * kMebi;   // no balloon moved
constexpr std::int64_t kClear = 16 * kMebi;  // one did
constexpr double kMostLists = 64.0 * kMebi;  // of free pages that nobody counts
constexpr double kMostPaging = 1024.0 * kMebi;
constexpr double kPage = 4096;

// MemAvailable; a kernel before 3.14 has only MemFree, which is less.
std::optional<std::uint64_t> usable_of(const BalloonSample& balloon) {
  return balloon.usable_bytes ? balloon.usable_bytes : balloon.unused_bytes;
}

// Without the resident size, what the guest calls free is taken as not given yet.
std::int64_t resident_of(const BalloonSample& balloon, std::int64_t size) {
  if (balloon.rss_bytes) return bounded(*balloon.rss_bytes, size);
  return size - bounded(balloon.unused_bytes.value_or(balloon.current_bytes), size);
}

}  // namespace

std::vector<MemoryReading> MemoryMeter::measure(const Sample& sample) {
  elapsed_s_ = 0;
  if (!first_ && sample.at_ns > at_ns_) {
    elapsed_s_ = static_cast<double>(sample.at_ns - at_ns_) / kNanos;
  }
  first_ = false;
  at_ns_ = sample.at_ns;
  std::map<std::string, Seen> now;
  std::vector<MemoryReading> readings;
  for (const GuestSample& guest : sample.guests) {
    Seen seen;
    const auto before = guests_.find(guest.uuid);
    const bool known = before != guests_.end() && before->second.run_id == guest.run_id;
    if (known) {
      seen = before->second;
    } else {
      seen.run_id = guest.run_id;
      seen.first_ns = seen.asked_ns = sample.at_ns;
    }
    readings.push_back(read(sample, guest, seen));
    readings.back().first = !known;
    now.insert_or_assign(guest.uuid, seen);
  }
  guests_ = std::move(now);
  return readings;
}

MemoryReading MemoryMeter::read(const Sample& sample, const GuestSample& guest, Seen& seen) const {
  MemoryReading reading;
  if (!guest.memory) {
    reading.state = ReportState::kNever;
    return reading;
  }
  const BalloonSample& balloon = *guest.memory;
  reading.maximum = bounded(balloon.maximum_bytes);
  reading.size = bounded(balloon.current_bytes);
  reading.resident = resident_of(balloon, reading.size);
  judge(sample, balloon, seen, reading);
  const bool paused = guest.state != GuestState::kRunning;
  if (paused) {
    reading.state = ReportState::kPaused;
    seen.asked_ns = sample.at_ns;
  }
  if (paused) seen.was_paused = true;
  const std::int64_t moved = std::abs(reading.size - seen.size);
  if (seen.known && moved >= kNoise) seen.pace = std::max(seen.pace, moved);
  seen.size = reading.size;
  if (seen.known) {
    reading.known = true;
    reading.used = std::clamp(static_cast<std::int64_t>(seen.used), std::int64_t{0}, reading.size);
    reading.usable = reading.size - reading.used;
    reading.growth = seen.growth;
    reading.paging = seen.paging;
  }
  return reading;
}

void MemoryMeter::judge(const Sample& sample, const BalloonSample& balloon, Seen& seen,
                        MemoryReading& reading) const {
  const std::int64_t updated = balloon.updated_s.value_or(0);
  if (updated > 0 && updated != seen.updated_s && usable_of(balloon)) {
    seen.take(balloon, reading.size, sample.at_ns);
    seen.updated_s = updated;
    seen.reported_ns = seen.asked_ns = sample.at_ns;
  }
  const auto since = [&](std::int64_t ns) {
    return static_cast<double>(sample.at_ns - ns) / kNanos;
  };
  if (since(seen.asked_ns) >= static_cast<double>(kAskAgain)) {
    reading.ask_again = true;
    seen.asked_ns = sample.at_ns;
  }
  if (!seen.known) {
    const bool late = since(seen.first_ns) >= static_cast<double>(kGiveUp);
    reading.state = late ? ReportState::kNever : ReportState::kNone;
    return;
  }
  // A report from the future is a lie, or the host's clock was set: then it is as old as our
  // knowledge of it.
  const double by_wall = static_cast<double>(sample.wall_s - seen.updated_s);
  reading.age_s = by_wall >= 0 ? by_wall : since(seen.reported_ns);
  const bool stale = reading.age_s > 2.0 * period_s_ + 1;
  reading.state = stale ? ReportState::kStale : ReportState::kFresh;
}

void MemoryMeter::asked(const std::string& uuid, std::int64_t bytes) {
  const auto seen = guests_.find(uuid);
  if (seen == guests_.end()) return;
  seen->second.wish = bytes;
  seen->second.wish_ns = at_ns_;
}

void MemoryMeter::Seen::take(const BalloonSample& balloon, std::int64_t now_size,
                             std::int64_t at_ns) {
  const std::int64_t usable = bounded(*usable_of(balloon));
  learn(balloon, now_size);
  if (!known || was_paused) {
    used = static_cast<double>(std::max(now_size - usable, std::int64_t{0}));
    slope = growth = paging = given = lists = 0;
    swapped_in = balloon.swap_in_bytes;
    faults = balloon.major_faults;
    known = true;
    was_paused = false;
    return;
  }
  // Reports are dated in whole seconds, samples are not; a report was made within the second.
  const double between = static_cast<double>(at_ns - reported_ns) / kNanos;
  const auto dated = static_cast<double>(std::max<std::int64_t>(*balloon.updated_s - updated_s, 1));
  const double seconds = std::max(std::clamp(between, dated - 1, dated + 1), 0.25);
  count_paging(balloon, seconds);
  if (follows) {
    const std::int64_t most = bounded(balloon.maximum_bytes);
    estimate(static_cast<double>(std::clamp(*total + gap - usable, std::int64_t{0}, most)), seconds,
             true);
    return;
  }
  const Sizes sizes = sizes_around(now_size, at_ns);
  const auto least = static_cast<double>(std::max(sizes.low - usable, std::int64_t{0}));
  const auto most = static_cast<double>(std::max(sizes.high - usable, std::int64_t{0}));
  given += static_cast<double>(sizes.high - std::min(size, sizes.high));
  estimate(std::clamp(used + std::max(slope, 0.0) * seconds, least, most), seconds,
           sizes.low == sizes.high);
}

// MemTotal changes when the balloon does, or else never: the first change tells.
void MemoryMeter::Seen::learn(const BalloonSample& balloon, std::int64_t now_size) {
  const auto last = total;
  total.reset();
  if (balloon.available_bytes) total = bounded(*balloon.available_bytes);
  if (!total || !last) {
    follows = false;
    still_for = 0;
    if (total) gap = now_size - *total;
    return;
  }
  const bool moved = std::abs(*total - *last) >= kNoise;
  if (moved) follows = true;
  given += static_cast<double>(std::max(*total - *last, std::int64_t{0}));
  still_for = moved || now_size != size ? 0 : still_for + 1;
  if (still_for >= 2) learn_still(now_size);
}

// At rest, size and MemTotal belong together: what the first look took for the gap may have been
// that of a moving balloon; and where sizes differ and MemTotals do not, it does not follow.
void MemoryMeter::Seen::learn_still(std::int64_t now_size) {
  const std::int64_t rest = now_size - *total;
  if (follows) used += static_cast<double>(rest - gap);
  gap = rest;
  if (still_size && std::abs(now_size - *still_size) < kClear) return;
  if (still_size) follows = std::abs(*total - still_total) >= std::abs(now_size - *still_size) / 2;
  still_size = now_size;
  still_total = *total;
}

// Its size when it made the report is between these.  Beyond what is shown it may have moved for
// the second until it is told: as far as it ever moved between two looks, or all the way.
MemoryMeter::Sizes MemoryMeter::Seen::sizes_around(std::int64_t now_size,
                                                   std::int64_t at_ns) const {
  Sizes sizes{std::min(size, now_size), std::max(size, now_size)};
  if (wish_ns < 0 || at_ns - wish_ns > kUnderWay * static_cast<std::int64_t>(kNanos)) return sizes;
  const std::int64_t rest = wish - now_size;
  const std::int64_t more = pace == 0 ? rest : std::clamp(rest, -pace, pace);
  sizes.low = std::min(sizes.low, now_size + more);
  sizes.high = std::max(sizes.high, now_size + more);
  return sizes;
}

// More than was to be expected, and the balloon gave back: that much of it may lie in lists.  They
// hold so much and no more, so a growth hides there for one report at most.
void MemoryMeter::Seen::estimate(double used_now, double seconds, bool exact) {
  const double more = used_now - (used + std::max(slope, 0.0) * seconds);
  const double listed = std::clamp(more, -lists, std::min(given, kMostLists - lists));
  lists += listed;
  given = exact ? 0 : given - std::max(listed, 0.0);
  slope = (used_now - std::max(listed, 0.0) - used) / seconds;
  growth = std::max(slope, growth * std::exp2(-seconds / kHalfLife));
  used = used_now;
}

// A page that is read back from swap is a major fault, too, and brings its neighbours along.
void MemoryMeter::Seen::count_paging(const BalloonSample& balloon, double seconds) {
  const auto since = [](const std::optional<std::uint64_t>& now,
                        const std::optional<std::uint64_t>& before) {
    return now && before && *now > *before ? static_cast<double>(*now - *before) : 0.0;
  };
  const double read = std::max(since(balloon.swap_in_bytes, swapped_in),
                               since(balloon.major_faults, faults) * kPage);
  paging =
      std::max(std::min(read / seconds, kMostPaging), paging * std::exp2(-seconds / kHalfLife));
  swapped_in = balloon.swap_in_bytes;
  faults = balloon.major_faults;
}

}  // namespace fairlead::manage
