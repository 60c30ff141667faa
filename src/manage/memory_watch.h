// SPDX-License-Identifier: Apache-2.0
//
// MemoryWatch: what document 001's monitor.py shows of memory, round by round, from the same
// samples and by the same meter as the coordinator.
//
// Shown is what the guest said about itself last (unused, usable) beside what the hypervisor knows
// (actual, maximum); how old and how trustworthy the report is comes from the meter.
//
// Sizes in bytes.  Deterministic, no clock: time is the samples'.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manage/memory_meter.h"
#include "manage/sample.h"

namespace fairlead::manage {

struct WatchedMemory {
  std::string uuid;
  std::string name;
  ReportState state = ReportState::kNone;
  bool ask = false;  // it does not report, or no longer: its statistics period has to be set
  std::uint64_t actual = 0;
  std::uint64_t maximum = 0;
  std::optional<std::uint64_t> unused;  // at most its actual size, as is usable
  std::optional<std::uint64_t> usable;
  std::optional<std::uint64_t> resident;
  double growth = 0;  // bytes a second that it uses more
  double age_s = 0;   // of its report
  bool balloon = true;
};

struct MemoryRound {
  std::int64_t at_ns = 0;
  std::int64_t elapsed_ns = 0;  // 0: the first look
  HostMemory host;
  std::vector<WatchedMemory> guests;  // by name
};

struct MemoryWatchGuest {
  std::string name;
  std::uint64_t samples = 0;  // in which it had a fresh report
  std::uint64_t roomy = 0;    // of these, with at least kEnough usable
  std::uint64_t least_usable = UINT64_MAX;
  std::uint64_t least_actual = UINT64_MAX;
  std::uint64_t most_actual = 0;
  std::uint64_t last_actual = 0;
  std::uint64_t changes = 0;         // rounds in which its size changed
  std::uint64_t largest_shrink = 0;  // within one round
};

struct MemoryWatchSummary {
  std::uint64_t rounds = 0;  // without the first look
  std::uint64_t least_host_available = UINT64_MAX;
  std::vector<MemoryWatchGuest> guests;  // all that were seen, by name
};

class MemoryWatch {
 public:
  static constexpr std::uint64_t kEnough = std::uint64_t{100} << 20;  // usable that a guest needs

  explicit MemoryWatch(std::uint32_t stats_period_s) : meter_(stats_period_s) {}

  MemoryRound look(const Sample& sample);
  MemoryWatchSummary summary() const;

 private:
  void add_to_summary(const WatchedMemory& guest);

  MemoryMeter meter_;
  std::uint64_t rounds_ = 0;
  std::uint64_t least_host_available_ = UINT64_MAX;
  std::map<std::string, MemoryWatchGuest> guests_;  // by uuid
};

std::string_view name(ReportState state) noexcept;

}  // namespace fairlead::manage
