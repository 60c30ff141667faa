// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_meter.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace fairlead::manage {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 50;
constexpr std::int64_t kMebi = std::int64_t{1} << 20;
constexpr double kNanos = 1e9;
constexpr double kHalfLife = 8;       // seconds in which a growth that stopped is half forgotten
constexpr std::int64_t kGiveUp = 30;  // seconds without a first report: there is no driver
constexpr std::int64_t kAskAgain = 30;

std::int64_t bounded(std::uint64_t bytes, std::int64_t most) {
  return static_cast<std::int64_t>(std::min(bytes, static_cast<std::uint64_t>(most)));
}

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
  reading.maximum = bounded(balloon.maximum_bytes, kMost);
  reading.size = bounded(balloon.current_bytes, kMost);
  reading.resident = resident_of(balloon, reading.size);
  judge(sample, balloon, seen, reading);
  const bool paused = guest.state != GuestState::kRunning;
  if (paused) {
    reading.state = ReportState::kPaused;
    seen.asked_ns = sample.at_ns;
  }
  if (paused) seen.was_paused = true;
  seen.size = reading.size;
  if (seen.known) {
    reading.known = true;
    reading.used = std::clamp(static_cast<std::int64_t>(seen.used), std::int64_t{0}, reading.size);
    reading.usable = reading.size - reading.used;
    reading.growth = seen.growth;
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

void MemoryMeter::Seen::take(const BalloonSample& balloon, std::int64_t now_size,
                             std::int64_t at_ns) {
  const std::int64_t usable = bounded(*usable_of(balloon), kMost);
  if (!known || was_paused) {
    used = static_cast<double>(std::max(now_size - usable, std::int64_t{0}));
    slope = growth = 0;
    size = now_size;
    known = true;
    was_paused = false;
    size_at_report(balloon, now_size);
    return;
  }
  // Reports are dated in whole seconds, samples are not; a report was made within the second.
  const double between = static_cast<double>(at_ns - reported_ns) / kNanos;
  const auto dated = static_cast<double>(std::max<std::int64_t>(*balloon.updated_s - updated_s, 1));
  const double seconds = std::max(std::clamp(between, dated - 1, dated + 1), 0.25);
  const std::int64_t exact = size_at_report(balloon, now_size);
  if (exact >= 0) {
    estimate(static_cast<double>(std::max(exact - usable, std::int64_t{0})), seconds);
    return;
  }
  const auto [low, high] = std::minmax(size, now_size);
  const double expected = used + std::max(slope, 0.0) * seconds;
  estimate(std::clamp(expected, static_cast<double>(std::max(low - usable, std::int64_t{0})),
                      static_cast<double>(std::max(high - usable, std::int64_t{0}))),
           seconds);
}

// What the guest's size was when it made the report; -1: anything between this sample's and the one
// before's.
std::int64_t MemoryMeter::Seen::size_at_report(const BalloonSample& balloon,
                                               std::int64_t now_size) {
  constexpr std::int64_t kClear = 16 * kMebi;
  constexpr std::int64_t kNoise = 2 * kMebi;
  if (!balloon.available_bytes) return now_size == size ? now_size : -1;
  const std::int64_t visible = bounded(*balloon.available_bytes, kMost);
  if (now_size == size) {
    const std::int64_t seen_gap = now_size - visible;
    if (gap && std::abs(now_size - gap_size) >= kClear)
      follows = std::abs(*gap - seen_gap) < kNoise;
    if (!gap || std::abs(now_size - gap_size) >= kClear) {
      gap = seen_gap;
      gap_size = now_size;
    }
    return now_size;
  }
  if (!follows) return -1;
  return std::clamp(visible + *gap, std::min(size, now_size), std::max(size, now_size));
}

void MemoryMeter::Seen::estimate(double used_now, double seconds) {
  slope = (used_now - used) / seconds;
  growth = std::max(slope, growth * std::exp2(-seconds / kHalfLife));
  used = used_now;
}

}  // namespace fairlead::manage
