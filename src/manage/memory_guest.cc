// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_guest.h"

#include <algorithm>

#include <fmt/format.h>

#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

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

// What a rate comes to before another change can arrive, at most `cap`.
std::int64_t ahead(double rate, const MemoryReading& reading, const MemorySettings& settings,
                   double elapsed_s, std::int64_t cap) {
  constexpr double kLongest = 60;
  const double ahead_s = std::min(elapsed_s, kLongest) + reading.age_s + 1;
  const double grows = settings.growth_factor * rate * ahead_s;
  return grows >= static_cast<double>(cap) ? cap : static_cast<std::int64_t>(grows);
}

// One step is no rate: a growth is not carried on beyond half of what is used.
std::int64_t expected_growth(const MemoryReading& reading, const MemorySettings& settings,
                             double elapsed_s) {
  constexpr std::int64_t kLeastCap = 256 * kMebi;
  return ahead(reading.growth, reading, settings, elapsed_s, std::max(reading.used / 2, kLeastCap));
}

// A guest that reads back what it had to put away would use more if it could, and does not show it:
// what comes in, something else goes out for.  That is believed as far as it lacks its headroom, so
// it doubles what it is short of and never more; who has his headroom has room for what comes in.
std::int64_t hidden_need(const MemoryReading& reading, const MemorySettings& settings,
                         double elapsed_s) {
  const std::int64_t short_of =
      std::max(bounded(settings.headroom_bytes) - reading.usable, std::int64_t{0});
  return ahead(reading.paging, reading, settings, elapsed_s, short_of);
}

void set_limits(const MemorySettings& settings, MemoryEntry& entry) {
  const std::int64_t own_max =
      bounded(entry.rule.max_bytes > 0 ? entry.rule.max_bytes : settings.max_bytes);
  entry.max = entry.reading.maximum;
  if (own_max > 0) entry.max = std::min(entry.max, own_max);
  entry.min = std::min(
      bounded(entry.rule.min_bytes > 0 ? entry.rule.min_bytes : settings.min_bytes), entry.max);
  entry.band = std::min(std::max(bounded(settings.dead_band_bytes), entry.reading.size / 50),
                        std::max(bounded(settings.step_down_bytes), kMebi));
}

}  // namespace

std::int64_t MemoryEntry::promised() const noexcept {
  if (status == GuestMemoryStatus::kDriverless) return reading.maximum;
  return state->balloon.promised();
}

std::int64_t MemoryEntry::cost(std::int64_t bytes_asked) const noexcept {
  return std::max(bytes_asked - promised(), std::int64_t{0});
}

std::int64_t MemoryEntry::least() const noexcept {
  return reading.used + kLeastUsable + std::min(hidden, kLeastUsable);
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
  entry.hidden = hidden_need(reading, settings, elapsed_s);
  const std::int64_t headroom = bounded(settings.headroom_bytes) + entry.hidden +
                                expected_growth(reading, settings, elapsed_s);
  entry.lean = reading.used + headroom + entry.band;
  entry.want = std::clamp(entry.lean, entry.min, entry.max);
  entry.keep = std::min(reading.size, std::max(entry.least(), entry.min));
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
          .first = entry.reading.used + kLeastUsable,
          .relief = entry.least(),
          .weight = share_weight(entry.rule.shares, idle_tax, entry.reading.used + entry.hidden,
                                 entry.want)};
}

std::string seen_text(const MemoryEntry& entry) {
  std::string text =
      fmt::format("{:.0f} of {:.0f} MiB used", mebi(entry.reading.used), mebi(entry.reading.size));
  if (entry.reading.growth >= 0.1 * kMiB) {
    text += fmt::format(", growing {:.1f} MiB/s", entry.reading.growth / kMiB);
  }
  if (entry.hidden > 0) {
    text += fmt::format(", reads back {:.1f} MiB/s", entry.reading.paging / kMiB);
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
