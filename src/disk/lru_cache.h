// SPDX-License-Identifier: Apache-2.0
//
// Tests and benchmarks only.  LruCache: least recently used, the baseline that SectorCache must
// beat at the same total bytes.  It shares SectorCache's index and array; its own bookkeeping is a
// doubly linked list, 8 bytes a slot more.
//
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "disk/index_list.h"
#include "disk/sector_array.h"
#include "disk/sector_index.h"

namespace fairlead::disk {

class LruCache {
 public:
  explicit LruCache(std::uint64_t budget_bytes, std::uint32_t sector_bytes = 512)
      : slots_(static_cast<std::uint32_t>(
            budget_bytes < kFixedBytes ? 0 : (budget_bytes - kFixedBytes) / (sector_bytes + 24))),
        index_(slots_),
        order_(slots_),
        data_(slots_, sector_bytes) {}

  const std::byte* lookup(std::uint64_t sector) noexcept {
    ++lookups_;
    const std::uint32_t slot = index_.find(sector);
    if (slot == SectorIndex::kNone) return nullptr;
    ++hits_;
    order_.erase(slot);
    order_.push_back(slot);
    return data_.at(slot);
  }

  void insert(std::uint64_t sector, const std::byte* bytes) noexcept {
    if (slots_ == 0) return;
    std::uint32_t slot = index_.find(sector);
    if (slot == SectorIndex::kNone) {
      slot = filled_ < slots_ ? filled_++ : order_.front();
      if (index_.holds(slot)) {
        index_.unlink(slot);
        order_.erase(slot);
      }
      index_.link(slot, sector);
      order_.push_back(slot);
    }
    data_.fill(slot, bytes);
  }

  std::uint64_t lookups() const noexcept { return lookups_; }
  std::uint64_t hits() const noexcept { return hits_; }
  std::uint32_t capacity() const noexcept { return slots_; }

 private:
  static constexpr std::uint64_t kFixedBytes = 512;

  std::uint32_t slots_;
  std::uint32_t filled_ = 0;
  SectorIndex index_;
  IndexList order_;  // least recently used first
  SectorArray data_;
  std::uint64_t lookups_ = 0;
  std::uint64_t hits_ = 0;
};

}  // namespace fairlead::disk
