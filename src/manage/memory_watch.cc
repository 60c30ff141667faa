// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_watch.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace fairlead::manage {
namespace {

template <typename Guest>
void sort_by_name(std::vector<Guest>& guests) {
  // Shorter names first: aos_2 before aos_10.
  std::ranges::sort(guests, {}, [](const Guest& guest) {
    return std::tuple(guest.name.size(), std::string_view(guest.name));
  });
}

WatchedMemory watched(const GuestSample& guest, const MemoryReading& reading) {
  WatchedMemory out;
  out.uuid = guest.uuid;
  out.name = guest.name;
  out.state = reading.state;
  out.balloon = guest.memory.has_value();
  if (!guest.memory) return out;
  const bool silent = reading.state == ReportState::kNone || reading.state == ReportState::kStale;
  out.ask = reading.ask_again || (reading.first && silent);
  out.actual = guest.memory->current_bytes;
  out.maximum = guest.memory->maximum_bytes;
  out.resident = guest.memory->rss_bytes;
  const auto bounded = [&](std::optional<std::uint64_t> bytes) {
    return bytes ? std::optional(std::min(*bytes, out.actual)) : bytes;
  };
  out.unused = bounded(guest.memory->unused_bytes);
  out.usable = bounded(guest.memory->usable_bytes);
  out.growth = reading.growth;
  out.age_s = reading.age_s;
  return out;
}

}  // namespace

std::string_view name(ReportState state) noexcept {
  switch (state) {
    case ReportState::kFresh: return "fresh";
    case ReportState::kNone: return "waiting";
    case ReportState::kNever: return "driverless";
    case ReportState::kStale: return "stale";
    case ReportState::kPaused: return "paused";
  }
  return "unknown";
}

MemoryRound MemoryWatch::look(const Sample& sample) {
  const auto readings = meter_.measure(sample);
  MemoryRound round;
  round.at_ns = sample.at_ns;
  round.elapsed_ns = static_cast<std::int64_t>(meter_.elapsed_s() * 1e9);
  round.host = sample.memory;
  for (std::size_t i = 0; i < sample.guests.size(); ++i) {
    round.guests.push_back(watched(sample.guests[i], readings[i]));
    add_to_summary(round.guests.back());
  }
  sort_by_name(round.guests);
  if (round.elapsed_ns > 0) ++rounds_;
  least_host_available_ = std::min(least_host_available_, sample.memory.available_bytes);
  return round;
}

void MemoryWatch::add_to_summary(const WatchedMemory& guest) {
  if (!guest.balloon) return;
  MemoryWatchGuest& sum = guests_[guest.uuid];
  const bool known = !sum.name.empty();
  sum.name = guest.name;
  if (known && sum.last_actual != guest.actual) ++sum.changes;
  if (known && guest.actual < sum.last_actual) {
    sum.largest_shrink = std::max(sum.largest_shrink, sum.last_actual - guest.actual);
  }
  sum.last_actual = guest.actual;
  sum.least_actual = std::min(sum.least_actual, guest.actual);
  sum.most_actual = std::max(sum.most_actual, guest.actual);
  if (guest.state != ReportState::kFresh || !guest.usable) return;
  ++sum.samples;
  if (*guest.usable >= kEnough) ++sum.roomy;
  sum.least_usable = std::min(sum.least_usable, *guest.usable);
}

MemoryWatchSummary MemoryWatch::summary() const {
  MemoryWatchSummary summary{
      .rounds = rounds_, .least_host_available = least_host_available_, .guests = {}};
  for (const auto& [uuid, guest] : guests_) summary.guests.push_back(guest);
  sort_by_name(summary.guests);
  return summary;
}

}  // namespace fairlead::manage
