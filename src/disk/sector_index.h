// SPDX-License-Identifier: Apache-2.0
//
// SectorIndex: which slot holds which sector.  Slots are numbers in [0, slots); a bucket holds the
// first slot of a chain, a slot its sector, four bits for its owner and the next of its chain.
//
//     keys   8 bytes a slot   48 bits of sector, a mark, a bit for "holds one"
//     next   4                chain
//     heads  4                as many buckets as slots: 1.5 probes for a hit, 1 for a miss
//
// All arrays are made in the constructor.  Sectors are below 2^48.
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "disk/mix.h"

namespace fairlead::disk {

class SectorIndex {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::size_t kBytesPerSlot = 16;
  static constexpr std::uint32_t kMaxMark = 15;
  static constexpr std::uint64_t kEndSector = std::uint64_t{1} << 48;

  explicit SectorIndex(std::uint32_t slots) : keys_(slots), next_(slots), heads_(slots, kNone) {}

  // The slot that holds the sector, or kNone.
  std::uint32_t find(std::uint64_t sector) const noexcept {
    if (heads_.empty()) return kNone;
    std::uint32_t slot = heads_[bucket(sector)];
    while (slot != kNone && sector_of(slot) != sector) slot = next_[slot];
    return slot;
  }

  bool holds(std::uint32_t slot) const noexcept { return (keys_[slot] & kHolds) != 0; }
  std::uint64_t sector_of(std::uint32_t slot) const noexcept { return keys_[slot] & kSector; }

  // A small number that the owner keeps with the slot; zero after link.
  std::uint32_t mark(std::uint32_t slot) const noexcept {
    return static_cast<std::uint32_t>(keys_[slot] >> kMarkShift) & kMaxMark;
  }
  void set_mark(std::uint32_t slot, std::uint32_t mark) noexcept {
    keys_[slot] = (keys_[slot] & ~kMark) | std::uint64_t{mark} << kMarkShift;
  }

  // The slot holds nothing, the sector is nowhere.
  void link(std::uint32_t slot, std::uint64_t sector) noexcept {
    std::uint32_t& head = heads_[bucket(sector)];
    keys_[slot] = kHolds | sector;
    next_[slot] = head;
    head = slot;
  }

  void unlink(std::uint32_t slot) noexcept {
    std::uint32_t* link = &heads_[bucket(sector_of(slot))];
    while (*link != slot) link = &next_[*link];
    *link = next_[slot];
    keys_[slot] = 0;
  }

  void clear() noexcept {
    for (auto& key : keys_) key = 0;
    for (auto& head : heads_) head = kNone;
  }

  std::size_t bytes() const noexcept {
    return keys_.size() * sizeof keys_[0] + (next_.size() + heads_.size()) * sizeof next_[0];
  }

 private:
  static constexpr std::uint64_t kSector = kEndSector - 1;
  static constexpr int kMarkShift = 48;
  static constexpr std::uint64_t kMark = std::uint64_t{kMaxMark} << kMarkShift;
  static constexpr std::uint64_t kHolds = std::uint64_t{1} << 63;

  std::size_t bucket(std::uint64_t sector) const noexcept {
    return static_cast<std::size_t>((mix64(sector) >> 32) * heads_.size() >> 32);
  }

  std::vector<std::uint64_t> keys_;
  std::vector<std::uint32_t> next_;
  std::vector<std::uint32_t> heads_;
};

}  // namespace fairlead::disk
