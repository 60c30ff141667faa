// SPDX-License-Identifier: Apache-2.0
#include "sim/memory_world.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace fairlead::sim {
namespace {

using manage::kMiB;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStep = kSecond / 8;
constexpr std::int64_t kEpoch = 1'700'000'000;
constexpr std::uint64_t kKernel = 24 * kMiB;  // of its size, what a guest's MemTotal leaves out
constexpr std::int64_t kTold = kSecond;       // between two events that tell a balloon's size
constexpr double kSwapBelow = 16.0 * kMiB;    // usable memory below which a guest swaps
constexpr double kPage = 4096;
constexpr double kPressureBelow = 0.1;  // of the host
constexpr double kPressureMean = 10;    // seconds

std::uint64_t bytes(double value) { return static_cast<std::uint64_t>(std::max(value, 0.0)); }

}  // namespace

MemoryWorld::MemoryWorld(std::uint64_t host_bytes, std::uint64_t seed)
    : host_bytes_(static_cast<double>(host_bytes)), random_(seed) {
  forget_least();
}

std::uint32_t MemoryWorld::add_guest(const MemoryGuestOptions& options) {
  const auto number = static_cast<std::uint32_t>(guests_.size());
  Guest guest;
  guest.options = options;
  guest.uuid = fmt::format("00000000-0000-0000-0000-{:012}", number);
  guest.target = static_cast<double>(options.start);
  boot(guest);
  guests_.push_back(std::move(guest));
  return number;
}

void MemoryWorld::boot(Guest& guest) {
  guest.run_id = ++run_ids_;
  guest.started_ns = now_ns_;
  guest.driver_up = guest.options.driver && guest.options.boot_s <= 0;
  guest.size = guest.driver_up ? guest.target : static_cast<double>(guest.options.maximum);
  guest.load = {};
  guest.lists = guest.load_bytes = guest.cache = guest.swapped = guest.swapped_in = 0;
  guest.shown = guest.size;
  guest.shown_ns = now_ns_;
  guest.resident = std::min(guest.used(), guest.size);
  guest.period_s = 0;
  guest.report = {};
}

void MemoryWorld::remove_guest(std::uint32_t guest) { guests_[guest].present = false; }

void MemoryWorld::reboot(std::uint32_t guest) {
  if (guests_[guest].present) boot(guests_[guest]);
}

void MemoryWorld::pause(std::uint32_t guest, bool paused) { guests_[guest].paused = paused; }

void MemoryWorld::set_load(std::uint32_t guest, const MemoryLoad& load) {
  guests_[guest].load = load;
}

void MemoryWorld::resize_by_hand(std::uint32_t guest, std::uint64_t bytes) {
  guests_[guest].target = static_cast<double>(std::min(bytes, guests_[guest].options.maximum));
  guests_[guest].asked_ns = now_ns_;
}

void MemoryWorld::advance(std::int64_t step_ns) {
  while (step_ns > 0) {
    const std::int64_t part = std::min(step_ns, kStep);
    step_ns -= part;
    now_ns_ += part;
    for (std::uint32_t g = 0; g < guests_.size(); ++g) {
      if (guests_[g].present && !guests_[g].paused) {
        step(g, static_cast<double>(part) / static_cast<double>(kSecond));
      }
    }
    least_available_ = std::min(least_available_, available());
    const double stall = std::clamp(1 - available() / (kPressureBelow * host_bytes_), 0.0, 1.0);
    const double seconds = static_cast<double>(part) / static_cast<double>(kSecond);
    pressure_ += (100 * stall - pressure_) * -std::expm1(-seconds / kPressureMean);
  }
}

void MemoryWorld::step(std::uint32_t number, double seconds) {
  Guest& guest = guests_[number];
  const double up_s = static_cast<double>(now_ns_ - guest.started_ns) / kSecond;
  if (guest.options.driver && up_s >= guest.options.boot_s) guest.driver_up = true;
  if (guest.driver_up) move_balloon(guest, seconds);
  show_size(guest, now_ns_);
  const double held = guest.used() + guest.cache;
  run_load(number, seconds);
  guest.lists = std::max(guest.lists - std::max(guest.used() + guest.cache - held, 0.0), 0.0);
  guest.cache = std::clamp(guest.cache, 0.0, std::max(guest.usable(), 0.0));
  guest.resident =
      std::min(std::max(guest.resident, guest.used() + guest.cache), std::max(guest.size, 0.0));
  if (guest.driver_up && guest.period_s > 0 && now_ns_ >= guest.next_report_ns) {
    make_report(guest);
    guest.next_report_ns = now_ns_ + guest.period_s * kSecond;
  }
}

void MemoryWorld::move_balloon(Guest& guest, double seconds) const {
  if (!guest.options.obeys || now_ns_ < guest.asked_ns + guest.options.lag_ns) return;
  if (guest.size < guest.target) {
    const double given = std::min(guest.target - guest.size, guest.options.deflate_rate * seconds);
    guest.size += given;
    guest.lists = std::min(guest.lists + given, static_cast<double>(guest.options.lists));
    return;
  }
  const double spare = std::max(guest.usable() - static_cast<double>(guest.options.puff), 0.0);
  const double taken =
      std::min({guest.size - guest.target, spare, guest.options.inflate_rate * seconds});
  guest.size -= std::max(taken, 0.0);
  guest.lists = std::max(guest.lists - std::max(taken, 0.0), 0.0);
}

// The driver moves a mebibyte, says so, and goes on.
void MemoryWorld::show_size(Guest& guest, std::int64_t now_ns) {
  if (now_ns - guest.shown_ns < kTold) return;
  const bool first = !guest.telling;
  guest.telling = guest.shown != guest.size;
  if (!guest.telling) return;
  guest.shown_ns = now_ns;
  constexpr double kFirst = kMiB;
  guest.shown =
      first ? std::clamp(guest.size, guest.shown - kFirst, guest.shown + kFirst) : guest.size;
}

// What it has used again brings back its part of what lies in swap, and something else goes there.
void MemoryWorld::page(Guest& guest, double seconds) const {
  if (guest.swapped > 0) {
    const double part = guest.swapped / (guest.load_bytes + guest.swapped);
    const double in = std::min(guest.load.touch * part * seconds, guest.swapped);
    guest.swapped -= in;
    guest.load_bytes += in;
    guest.swapped_in += in;
  }
  const double room = static_cast<double>(guest.options.swap) - guest.swapped;
  const double out = std::min({kSwapBelow - guest.usable(), guest.load_bytes, room});
  if (out <= 0) return;
  guest.load_bytes -= out;
  guest.swapped += out;
}

void MemoryWorld::run_load(std::uint32_t number, double seconds) {
  Guest& guest = guests_[number];
  const MemoryLoad& load = guest.load;
  const auto limit = static_cast<double>(load.limit);
  switch (load.shape) {
    case MemoryShape::kFree: guest.load_bytes = guest.cache = guest.swapped = 0; return;
    case MemoryShape::kHold: page(guest, seconds); return;
    case MemoryShape::kCache:
      guest.cache = std::min(guest.cache + load.rate * seconds, limit);
      return;
    case MemoryShape::kGrow:
    case MemoryShape::kGrowAndFree:
    case MemoryShape::kSawtooth: break;
  }
  // A running program's growth is not even.
  const double wobble = 0.9 + 0.2 * random_.unit();
  guest.swapped = std::min(guest.swapped, limit);
  const double grown = guest.load_bytes + guest.swapped + load.rate * wobble * seconds;
  guest.load_bytes = std::min(grown, limit) - guest.swapped;
  page(guest, seconds);
  if (guest.usable() <= 0) {
    const bool at_maximum = guest.size >= static_cast<double>(guest.options.maximum);
    kills_.push_back({number, bytes(guest.size), at_maximum});
    guest.load_bytes = guest.swapped = 0;
    guest.load = {};
  } else if (guest.load_bytes + guest.swapped >= limit && load.shape != MemoryShape::kGrow) {
    guest.load_bytes = guest.swapped = 0;
    if (load.shape == MemoryShape::kGrowAndFree) guest.load = {};
  }
}

void MemoryWorld::make_report(Guest& guest) const {
  const Report last = guest.report;
  Report& report = guest.report;
  const bool first = last.updated_s == 0;
  report.updated_s = kEpoch + now_ns_ / kSecond;
  report.usable = bytes(guest.usable() - guest.lists);
  report.unused = bytes(guest.usable() - guest.cache - guest.lists);
  const std::uint64_t whole =
      guest.options.deflate_on_oom ? guest.options.maximum : bytes(guest.size);
  report.available = whole - std::min(whole, kKernel);
  report.swap_in = bytes(guest.swapped_in);
  report.major_faults = bytes(guest.swapped_in / kPage);
  switch (guest.options.lie) {
    case GuestLie::kNone: break;
    case GuestLie::kMoreThanItHas: report.usable = bytes(guest.size) + 1024 * kMiB; break;
    case GuestLie::kHuge: report.usable = std::uint64_t{1} << 63; break;
    case GuestLie::kNothing: report.usable = report.unused = 0; break;
    case GuestLie::kFrozen:
      if (!first) {
        report = last;
        report.updated_s = kEpoch + now_ns_ / kSecond;
      }
      break;
    case GuestLie::kSilent:
      if (!first) report.updated_s = last.updated_s;
      break;
    case GuestLie::kFuture: report.updated_s += 3600; break;
    case GuestLie::kPages:
      report.swap_in = last.swap_in + 10240 * kMiB;
      report.major_faults = last.major_faults + 10240 * kMiB / 4096;
      break;
  }
}

MemoryWorld::Truth MemoryWorld::truth(std::uint32_t number) const {
  const Guest& guest = guests_[number];
  const auto mib = [](double value) { return value / kMiB; };
  const double promised = guest.driver_up ? std::max({guest.size, guest.shown, guest.target})
                                          : static_cast<double>(guest.options.maximum);
  return {.present = guest.present,
          .paused = guest.paused,
          .driver = guest.driver_up,
          .size_mib = mib(guest.size),
          .used_mib = mib(guest.used()),
          .usable_mib = mib(guest.usable()),
          .target_mib = mib(guest.target),
          .promised_mib = mib(promised),
          .swapped_in_mib = mib(guest.swapped_in)};
}

double MemoryWorld::available() const {
  double free = host_bytes_ - foreign_;
  for (const Guest& guest : guests_) {
    if (guest.present) free -= guest.resident + static_cast<double>(guest.options.overhead);
  }
  return free;
}

double MemoryWorld::available_mib() const { return available() / kMiB; }
double MemoryWorld::least_available_mib() const { return least_available_ / kMiB; }

manage::BalloonSample MemoryWorld::balloon_of(const Guest& guest) const {
  manage::BalloonSample balloon;
  balloon.current_bytes = bytes(guest.shown);
  balloon.maximum_bytes = guest.options.maximum;
  balloon.rss_bytes = bytes(guest.resident) + guest.options.overhead;
  balloon.updated_s = guest.report.updated_s;
  if (guest.report.updated_s != 0) {
    balloon.usable_bytes = guest.report.usable;
    balloon.unused_bytes = guest.report.unused;
    balloon.available_bytes = guest.report.available;
    balloon.swap_in_bytes = guest.report.swap_in;
    balloon.major_faults = guest.report.major_faults;
  }
  return balloon;
}

base::Result<manage::Sample> MemoryWorld::sample() {
  manage::Sample sample;
  sample.at_ns = now_ns_;
  sample.wall_s = kEpoch + now_ns_ / kSecond;
  sample.memory.total_bytes = bytes(host_bytes_);
  sample.memory.available_bytes = bytes(available());
  sample.memory.pressure_some = pressure_;
  for (std::uint32_t g = 0; g < guests_.size(); ++g) {
    const Guest& guest = guests_[g];
    if (!guest.present) continue;
    manage::GuestSample seen;
    seen.uuid = guest.uuid;
    seen.name = fmt::format("g{}", g);
    seen.run_id = guest.run_id;
    seen.state = guest.paused ? manage::GuestState::kPaused : manage::GuestState::kRunning;
    seen.memory = balloon_of(guest);
    sample.guests.push_back(std::move(seen));
  }
  return sample;
}

MemoryWorld::Guest* MemoryWorld::find(const std::string& uuid) {
  const auto found = std::ranges::find(guests_, uuid, &Guest::uuid);
  return found == guests_.end() || !found->present ? nullptr : &*found;
}

base::Status MemoryWorld::pin(const std::string& uuid, std::uint32_t /*vcpu*/,
                              const manage::CpuSet& /*allowed*/) {
  return base::fail(base::ErrorKind::kUnsupported, uuid + " has no vCPUs");
}

base::Status MemoryWorld::set_memory(const std::string& uuid, std::uint64_t bytes) {
  Guest* guest = find(uuid);
  if (guest == nullptr) return base::fail(base::ErrorKind::kNotFound, "no guest " + uuid);
  if (bytes > guest->options.maximum) {
    return base::fail(base::ErrorKind::kInvalid, uuid + ": more than its maximum");
  }
  guest->target = static_cast<double>(bytes);
  guest->asked_ns = now_ns_;
  return {};
}

base::Status MemoryWorld::set_stats_period(const std::string& uuid, std::uint32_t seconds) {
  Guest* guest = find(uuid);
  if (guest == nullptr) return base::fail(base::ErrorKind::kNotFound, "no guest " + uuid);
  if (guest->period_s != seconds) guest->next_report_ns = now_ns_ + seconds * kSecond;
  guest->period_s = seconds;
  return {};
}

}  // namespace fairlead::sim
