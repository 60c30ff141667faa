// SPDX-License-Identifier: Apache-2.0
//
// MemoryManager: from one sample to the next, which guest's balloon to set to which size.
//
// Deterministic, as CpuManager is: no clock, no system call, no thread.  Time is the sample's.
// docs/managers.md has the equations.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manage/sample.h"

namespace fairlead::manage {

inline constexpr std::uint64_t kMiB = std::uint64_t{1024} * 1024;

// What a guest's owner allows, by the guest's name.
struct GuestMemoryRule {
  bool leave_alone = false;
  std::uint64_t min_bytes = 0;  // 0: the settings' own
  std::uint64_t max_bytes = 0;  // 0: the settings' own
  double shares = 1000;
};

struct MemorySettings {
  // For all guests together, and never more than the host can give; 0: what the host can give.
  std::uint64_t pool_bytes = 0;
  std::uint64_t reserve_bytes = 0;  // left to the host; 0: the greater of 200 MiB and 5 %
  std::uint64_t room_bytes = 0;     // kept free beside, for a guest about to start
  std::uint64_t min_bytes = 200 * kMiB;
  std::uint64_t max_bytes = 0;                // 0: the guest's own maximum
  std::uint64_t headroom_bytes = 100 * kMiB;  // usable memory that a guest keeps
  // Beside, by shares, of what half the pool's surplus holds: room for a growth that begins at
  // once.
  std::uint64_t spare_bytes = 16 * kMiB;
  std::uint64_t step_down_bytes = 100 * kMiB;  // released per interval, at most
  std::uint64_t dead_band_bytes = 16 * kMiB;   // or 2 % of its size: smaller changes are not made
  double growth_factor = 1.5;  // of the growth expected until the next change can arrive, on top
  double idle_tax = 0.75;      // Waldspurger 2002: what idle memory counts less under scarcity
  std::uint32_t stuck_intervals = 3;  // without a tenth of the wish: this guest does not obey
  std::uint32_t stats_period_s = 1;
  std::map<std::string, GuestMemoryRule> rules;
};

enum class GuestMemoryStatus : std::uint8_t {
  kManaged,
  kWaiting,     // no report yet since it started
  kStale,       // its last report is too old to act on
  kDriverless,  // no balloon device, or no driver that reports
  kStuck,       // it does not do what it is asked
  kPaused,
  kLeftAlone,  // by rule
};
std::string_view name(GuestMemoryStatus status) noexcept;

struct MemoryTarget {
  std::string uuid;
  std::string name;
  std::uint64_t from_bytes = 0;
  std::uint64_t to_bytes = 0;
  std::string why;
};

struct GuestMemoryView {
  std::string uuid;
  std::string name;
  GuestMemoryStatus status = GuestMemoryStatus::kManaged;
  std::uint64_t size_bytes = 0;
  std::uint64_t target_bytes = 0;  // after this plan
  std::uint64_t want_bytes = 0;
  std::optional<std::uint64_t> usable_bytes;
  double growth_bytes_per_s = 0;
  std::string why;  // one line: what was seen, why it acts or does not
};

struct MemoryPlan {
  std::int64_t elapsed_ns = 0;          // since the sample before; 0: the first
  std::vector<MemoryTarget> targets;    // in the order in which to apply them: releases first
  std::vector<std::string> want_stats;  // uuids whose statistics period has to be set
  std::vector<GuestMemoryView> guests;
  std::uint64_t pool_bytes = 0;      // that the guests may have together, room and reserve left out
  std::uint64_t promised_bytes = 0;  // max(target, what it has), summed, after this plan
  std::uint64_t reserve_bytes = 0;
  bool scarce = false;    // not everybody can have what he wants
  bool critical = false;  // the host has less than half its reserve: guests give what they use
  std::vector<std::string> notes;
};

class MemoryManager {
 public:
  explicit MemoryManager(MemorySettings settings);
  MemoryManager(MemoryManager&&) noexcept;
  MemoryManager& operator=(MemoryManager&&) noexcept;
  ~MemoryManager();

  MemoryPlan decide(const Sample& sample);

  // A target of the last plan could not be handed over: what was asked before still stands.
  void failed(const std::string& uuid);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fairlead::manage
