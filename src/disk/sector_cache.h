// SPDX-License-Identifier: Apache-2.0
//
// SectorCache: the sectors worth keeping, within a budget that counts everything: data, index,
// ghosts, this object.  Policy: S3-FIFO (Yang et al., FIFO queues are all you need for cache
// eviction, SOSP 2023), the queues being regions of one array of slots:
//
//     slot 0 … small-1      small: a ring in order of arrival.  What leaves it was hit since and is
//                           copied to main, or was not and is remembered as a ghost.
//     slot small … slots-1  main: a ring; its hand takes the first slot whose hit count is zero and
//                           counts the others down.  A sector still a ghost goes straight to main.
//
// A scan passes through the small tenth; what is read again stays.  docs/design/cache.md has the
// figures and those of the policies that lost.
//
// Cost: O(1) expected; no allocation but in the constructor; no virtual call.  An eviction looks at
// no more than kMaxSteps slots.
// Thread-safety: none; the service thread owns it.  Sectors below 2^48.  A budget too small for
// one sector makes a valid cache that holds nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "disk/ghost_set.h"
#include "disk/sector_array.h"
#include "disk/sector_index.h"

namespace fairlead::disk {

class SectorCache {
 public:
  explicit SectorCache(std::uint64_t budget_bytes, std::uint32_t sector_bytes = 512);

  // The sector's bytes, valid until the next insert, erase or clear; nullptr when not here.
  const std::byte* lookup(std::uint64_t sector) noexcept {
    ++lookups_;
    const std::uint32_t slot = index_.find(sector);
    if (slot == SectorIndex::kNone) return nullptr;
    ++hits_;
    const std::uint32_t mark = index_.mark(slot);
    if (mark < kMaxHits) index_.set_mark(slot, mark + 1);
    return data_.at(slot);
  }

  // Copies sector_bytes from `bytes`, which must not lie in this cache.  If the sector is here
  // already its bytes are replaced.
  void insert(std::uint64_t sector, const std::byte* bytes) noexcept;

  void erase(std::uint64_t sector) noexcept;
  void clear() noexcept;  // counts too

  std::uint64_t lookups() const noexcept { return lookups_; }
  std::uint64_t hits() const noexcept { return hits_; }
  std::uint32_t capacity() const noexcept { return slots_; }  // in sectors
  std::uint64_t bytes_used() const noexcept;                  // ≤ budget; 0 when it holds nothing

 private:
  static constexpr std::uint32_t kMaxHits = 3;
  static constexpr std::uint32_t kMaxSteps = 64;

  static std::uint64_t bytes_for(std::uint64_t slots, std::uint32_t sector_bytes) noexcept;
  static std::uint32_t slots_within(std::uint64_t budget, std::uint32_t sector_bytes) noexcept;

  std::uint32_t slot_for(std::uint64_t sector) noexcept;
  std::uint32_t leave_small() noexcept;
  std::uint32_t leave_main() noexcept;

  std::uint32_t slots_;
  std::uint32_t small_;
  std::uint32_t small_hand_ = 0;
  std::uint32_t main_hand_;
  std::uint32_t filled_;  // main slots below this were used at least once
  SectorIndex index_;
  GhostSet ghosts_;
  SectorArray data_;
  std::uint64_t lookups_ = 0;
  std::uint64_t hits_ = 0;
};

}  // namespace fairlead::disk
