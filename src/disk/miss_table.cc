// SPDX-License-Identifier: Apache-2.0
#include "disk/miss_table.h"

#include <algorithm>
#include <bit>

#include "disk/mix.h"

namespace fairlead::disk {

MissTable::MissTable(std::uint32_t max_slots, std::uint32_t max_waiters)
    : buckets_(std::bit_ceil(std::max<std::size_t>(2 * std::size_t{max_slots}, 2)), kNone),
      slots_(max_slots),
      next_waiter_(max_waiters, kIdle),
      free_(max_slots),
      max_slots_(max_slots),
      free_count_(max_slots),
      mask_(static_cast<std::uint32_t>(buckets_.size() - 1)) {
  for (std::uint32_t i = 0; i < max_slots; ++i) free_[i] = max_slots - 1 - i;
}

std::uint32_t MissTable::home(std::uint64_t sector, std::uint32_t count) const noexcept {
  return static_cast<std::uint32_t>(mix64(sector + (std::uint64_t{count} << 48))) & mask_;
}

std::optional<MissTable::Found> MissTable::find_or_start(std::uint64_t sector,
                                                         std::uint32_t count) noexcept {
  std::uint32_t at = home(sector, count);
  for (; buckets_[at] != kNone; at = (at + 1) & mask_) {
    const Slot& slot = slots_[buckets_[at]];
    if (slot.sector == sector && slot.count == count) return Found{buckets_[at], false};
  }
  if (free_count_ == 0) return std::nullopt;
  const std::uint32_t index = free_[--free_count_];
  slots_[index] = {.sector = sector, .count = count, .used = true, .findable = true};
  buckets_[at] = index;
  return Found{index, true};
}

void MissTable::join(std::uint32_t index, std::uint32_t waiter) noexcept {
  Slot& slot = slots_[index];
  FL_CHECK(slot.used && next_waiter_[waiter] == kIdle);
  next_waiter_[waiter] = kNone;
  if (slot.first_waiter == kNone) {
    slot.first_waiter = waiter;
  } else {
    next_waiter_[slot.last_waiter] = waiter;
  }
  slot.last_waiter = waiter;
}

// Frees the slot; its first waiter.
std::uint32_t MissTable::release(std::uint32_t index) noexcept {
  Slot& slot = slots_[index];
  FL_CHECK(slot.used);
  if (slot.findable) unlink(index);
  slot.used = false;
  free_[free_count_++] = index;
  return slot.first_waiter;
}

void MissTable::detach(std::uint64_t sector, std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < max_slots_ && in_flight() > 0; ++i) {
    const Slot& slot = slots_[i];
    if (!slot.findable) continue;
    if (slot.sector < sector + count && sector < slot.sector + slot.count) unlink(i);
  }
}

// Takes the slot's bucket out.  Knuth, The Art of Computer Programming 3, section 6.4, algorithm R:
// each later bucket of the run that may move back into the hole does, until the run ends.
void MissTable::unlink(std::uint32_t index) noexcept {
  Slot& slot = slots_[index];
  std::uint32_t hole = home(slot.sector, slot.count);
  while (buckets_[hole] != index) hole = (hole + 1) & mask_;
  for (std::uint32_t at = (hole + 1) & mask_; buckets_[at] != kNone; at = (at + 1) & mask_) {
    const Slot& moved = slots_[buckets_[at]];
    const std::uint32_t from_home = (at - home(moved.sector, moved.count)) & mask_;
    if (from_home < ((at - hole) & mask_)) continue;
    buckets_[hole] = buckets_[at];
    hole = at;
  }
  buckets_[hole] = kNone;
  slot.findable = false;
}

}  // namespace fairlead::disk
