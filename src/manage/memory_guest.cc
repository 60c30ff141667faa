// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_guest.h"

#include <algorithm>

#include <fmt/format.h>

namespace fairlead::manage {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 50;
constexpr std::int64_t kMebi = kMiB;

std::int64_t bytes(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min(value, static_cast<std::uint64_t>(kMost)));
}

GuestMemoryStatus status_of(const MemoryEntry& entry, std::uint64_t interval) {
  if (entry.rule.leave_alone) return GuestMemoryStatus::kLeftAlone;
  switch (entry.reading.state) {
    case ReportState::kNone: return GuestMemoryStatus::kWaiting;
    case ReportState::kNever: return GuestMemoryStatus::kDriverless;
    case ReportState::kPaused: return GuestMemoryStatus::kPaused;
    case ReportState::kStale: return GuestMemoryStatus::kStale;
    case ReportState::kFresh: break;
  }
  return entry.state->balloon.stuck(interval) ? GuestMemoryStatus::kStuck
                                              : GuestMemoryStatus::kManaged;
}

// What it may use more before another change can arrive.  One step is no rate: a growth is not
// carried on beyond half of what is used.
std::int64_t expected_growth(const MemoryReading& reading, const MemorySettings& settings,
                             double elapsed_s) {
  constexpr double kLongest = 60;
  constexpr std::int64_t kLeastCap = 256 * kMebi;
  const double ahead_s = std::min(elapsed_s, kLongest) + reading.age_s + 1;
  const double grows = settings.growth_factor * reading.growth * ahead_s;
  const std::int64_t cap = std::max(reading.used / 2, kLeastCap);
  return grows >= static_cast<double>(cap) ? cap : static_cast<std::int64_t>(grows);
}

void set_limits(const MemorySettings& settings, MemoryEntry& entry) {
  const std::int64_t own_max =
      bytes(entry.rule.max_bytes > 0 ? entry.rule.max_bytes : settings.max_bytes);
  entry.max = entry.reading.maximum;
  if (own_max > 0) entry.max = std::min(entry.max, own_max);
  entry.min = std::min(bytes(entry.rule.min_bytes > 0 ? entry.rule.min_bytes : settings.min_bytes),
                       entry.max);
  entry.band = std::min(std::max(bytes(settings.dead_band_bytes), entry.reading.size / 50),
                        std::max(bytes(settings.step_down_bytes), kMebi));
}

}  // namespace

std::int64_t MemoryEntry::promised() const noexcept {
  if (status == GuestMemoryStatus::kDriverless) return reading.maximum;
  return state->balloon.promised();
}

std::int64_t MemoryEntry::cost(std::int64_t bytes_asked) const noexcept {
  return std::max(bytes_asked - promised(), std::int64_t{0});
}

MemoryEntry make_entry(const GuestSample& guest, const MemoryReading& reading, MemoryGuest& state,
                       const MemorySettings& settings, std::uint64_t interval, double elapsed_s) {
  MemoryEntry entry;
  entry.guest = &guest;
  entry.state = &state;
  entry.reading = reading;
  if (const auto rule = settings.rules.find(guest.name); rule != settings.rules.end()) {
    entry.rule = rule->second;
  }
  entry.status = status_of(entry, interval);
  set_limits(settings, entry);
  entry.before = entry.target = state.balloon.target();
  entry.want = entry.keep = entry.entitled = entry.target;
  const bool stuck = entry.status == GuestMemoryStatus::kStuck;
  if (entry.status != GuestMemoryStatus::kManaged && !stuck) return entry;
  entry.may_grow = !stuck || state.balloon.stuck_shrinking();
  entry.may_shrink = !stuck && interval >= state.foreign_until;
  const std::int64_t headroom =
      bytes(settings.headroom_bytes) + expected_growth(reading, settings, elapsed_s);
  entry.want = std::clamp(reading.used + headroom + entry.band, entry.min, entry.max);
  entry.keep = std::min(reading.size, std::max(reading.used + kLeastUsable, entry.min));
  if (!entry.may_shrink) {
    entry.keep = std::max(reading.size, entry.keep);
    entry.want = std::max(entry.want, entry.keep);
  }
  return entry;
}

MemoryClaim claim_of(const MemoryEntry& entry, double idle_tax) {
  return {.min = entry.min,
          .keep = entry.keep,
          .want = entry.want,
          .weight = share_weight(entry.rule.shares, idle_tax, entry.reading.used, entry.want)};
}

std::string seen_text(const MemoryEntry& entry) {
  std::string text =
      fmt::format("{:.0f} of {:.0f} MiB used", mebi(entry.reading.used), mebi(entry.reading.size));
  if (entry.reading.growth >= 0.1 * kMiB) {
    text += fmt::format(", growing {:.1f} MiB/s", entry.reading.growth / kMiB);
  }
  return text + fmt::format(", wants {:.0f}", mebi(entry.want));
}

std::string status_text(const MemoryEntry& entry) {
  switch (entry.status) {
    case GuestMemoryStatus::kWaiting: return "waits for its first report since it started";
    case GuestMemoryStatus::kDriverless:
      return fmt::format("no driver reports: its maximum, {:.0f} MiB, counts as its own",
                         mebi(entry.reading.maximum));
    case GuestMemoryStatus::kStale:
      return fmt::format("last report {:.0f} s old: left as it is", entry.reading.age_s);
    case GuestMemoryStatus::kPaused: return "paused: left as it is";
    case GuestMemoryStatus::kLeftAlone: return "left alone, by rule";
    case GuestMemoryStatus::kStuck:
      return fmt::format("{}, but it does not {}: left as it is for a while", seen_text(entry),
                         entry.state->balloon.stuck_shrinking() ? "release" : "grow");
    case GuestMemoryStatus::kManaged: break;
  }
  return seen_text(entry);
}

}  // namespace fairlead::manage
