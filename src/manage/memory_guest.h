// SPDX-License-Identifier: Apache-2.0
//
// One guest in one pass of the MemoryManager: what it has, what it would like, what it must keep,
// and what is decided.  The manager fills these in step by step; the text of --explain is made of
// the result.
//
// Sizes in bytes.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>

#include "manage/balloon.h"
#include "manage/memory_manager.h"
#include "manage/memory_meter.h"
#include "manage/memory_share.h"

namespace fairlead::manage {

// Kept from pass to pass.
struct MemoryGuest {
  std::int32_t run_id = 0;
  Balloon balloon;
  std::uint32_t over_for = 0;       // intervals in a row in which it had too much
  std::uint32_t patience = 0;       // how many of them before it releases
  int last_change = 0;              // the sign of the last change of its target
  std::uint64_t reversed_at = 0;    // interval in which a release was followed by a grant
  std::uint64_t foreign_until = 0;  // interval until which somebody else's size is kept
};

struct MemoryEntry {
  const GuestSample* guest = nullptr;
  MemoryGuest* state = nullptr;
  MemoryReading reading;
  GuestMemoryRule rule;
  GuestMemoryStatus status = GuestMemoryStatus::kManaged;
  bool may_shrink = false;
  bool may_grow = false;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::int64_t band = 0;    // changes smaller than this are not made
  std::int64_t hidden = 0;  // what it would use beside if it could: it pages, and lacks memory
  std::int64_t lean = 0;    // what it wants, its bounds aside
  std::int64_t want = 0;
  std::int64_t keep = 0;
  std::int64_t entitled = 0;  // of what it wants, what it can have
  std::int64_t before = 0;    // target before this pass
  std::int64_t target = 0;    // and after
  std::string why;

  // Who has less is in need.
  std::int64_t least() const noexcept;
  bool managed() const noexcept { return may_shrink || may_grow; }
  // What must be counted as its own, whatever it does.
  std::int64_t promised() const noexcept;
  // What asking for `bytes` would promise beyond that.
  std::int64_t cost(std::int64_t bytes) const noexcept;
};

inline constexpr std::int64_t kLeastUsable = 50 * static_cast<std::int64_t>(kMiB);

MemoryEntry make_entry(const GuestSample& guest, const MemoryReading& reading, MemoryGuest& state,
                       const MemorySettings& settings, std::uint64_t interval, double elapsed_s);
MemoryClaim claim_of(const MemoryEntry& entry, double idle_tax);

// "300 of 512 MiB used, growing 20.0 MiB/s, wants 536": the first half of a `why`.
std::string seen_text(const MemoryEntry& entry);
// Why a guest that is not managed is not.
std::string status_text(const MemoryEntry& entry);

inline double mebi(std::int64_t bytes) { return static_cast<double>(bytes) / kMiB; }

}  // namespace fairlead::manage
