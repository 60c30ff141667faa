// SPDX-License-Identifier: Apache-2.0
#include "disk/sector_cache.h"

#include <algorithm>

#include "base/check.h"

namespace fairlead::disk {
namespace {

// The allocator's headers and alignment of the five arrays.
constexpr std::uint64_t kAllocatorBytes = 256;

}  // namespace

std::uint64_t SectorCache::bytes_for(std::uint64_t slots, std::uint32_t sector_bytes) noexcept {
  if (slots == 0) return 0;
  return sizeof(SectorCache) + kAllocatorBytes +
         slots * (sector_bytes + SectorIndex::kBytesPerSlot) +
         GhostSet::bytes_for(static_cast<std::uint32_t>(slots));
}

std::uint32_t SectorCache::slots_within(std::uint64_t budget, std::uint32_t sector_bytes) noexcept {
  FL_CHECK(sector_bytes > 0);
  // 2^31 slots are a terabyte of cache.
  std::uint64_t slots = std::min<std::uint64_t>(budget / sector_bytes, std::uint64_t{1} << 31);
  if (bytes_for(slots, sector_bytes) > budget) {
    const std::uint64_t each = sector_bytes + SectorIndex::kBytesPerSlot + sizeof(std::uint16_t);
    slots = std::min(slots, budget / each);
    while (bytes_for(slots, sector_bytes) > budget) --slots;
  }
  return static_cast<std::uint32_t>(slots);
}

SectorCache::SectorCache(std::uint64_t budget_bytes, std::uint32_t sector_bytes)
    : slots_(slots_within(budget_bytes, sector_bytes)),
      small_(slots_ == 0 ? 0 : std::max(slots_ / 10, 1U)),
      main_hand_(small_),
      filled_(small_),
      index_(slots_),
      ghosts_(slots_),
      data_(slots_, sector_bytes) {
  FL_CHECK(bytes_used() <= budget_bytes);
}

std::uint64_t SectorCache::bytes_used() const noexcept {
  if (slots_ == 0) return 0;
  return sizeof *this + kAllocatorBytes + index_.bytes() + ghosts_.bytes() + data_.bytes();
}

void SectorCache::insert(std::uint64_t sector, const std::byte* bytes) noexcept {
  FL_CHECK(sector < SectorIndex::kEndSector);
  if (slots_ == 0) return;
  std::uint32_t slot = index_.find(sector);
  if (slot == SectorIndex::kNone) {
    slot = slot_for(sector);
    index_.link(slot, sector);
  }
  data_.fill(slot, bytes);
}

// A slot that holds nothing, in the queue where this sector belongs.
std::uint32_t SectorCache::slot_for(std::uint64_t sector) noexcept {
  if (filled_ < slots_) return filled_++;
  if (slots_ > small_ && ghosts_.take(sector)) return leave_main();
  return leave_small();
}

std::uint32_t SectorCache::leave_small() noexcept {
  const std::uint32_t slot = small_hand_;
  small_hand_ = slot + 1 == small_ ? 0 : slot + 1;
  if (!index_.holds(slot)) return slot;
  const std::uint64_t sector = index_.sector_of(slot);
  const bool was_hit = index_.mark(slot) > 0;
  index_.unlink(slot);
  if (was_hit && slots_ > small_) {
    const std::uint32_t to = leave_main();
    index_.link(to, sector);
    data_.fill(to, data_.at(slot));
  } else {
    ghosts_.add(sector);
  }
  return slot;
}

std::uint32_t SectorCache::leave_main() noexcept {
  for (std::uint32_t step = 1;; ++step) {
    const std::uint32_t slot = main_hand_;
    main_hand_ = slot + 1 == slots_ ? small_ : slot + 1;
    if (!index_.holds(slot)) return slot;
    const std::uint32_t hits = index_.mark(slot);
    if (hits == 0 || step == kMaxSteps) {
      index_.unlink(slot);
      return slot;
    }
    index_.set_mark(slot, hits - 1);
  }
}

void SectorCache::erase(std::uint64_t sector) noexcept {
  const std::uint32_t slot = index_.find(sector);
  if (slot != SectorIndex::kNone) index_.unlink(slot);
}

void SectorCache::clear() noexcept {
  index_.clear();
  ghosts_.clear();
  small_hand_ = 0;
  main_hand_ = small_;
  filled_ = small_;
  lookups_ = 0;
  hits_ = 0;
}

}  // namespace fairlead::disk
