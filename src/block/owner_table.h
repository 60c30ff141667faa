// SPDX-License-Identifier: Apache-2.0
//
// OwnerTable: small numbers for the threads of clients, which schedulers tell apart.  A thread
// keeps its number until its client leaves.  Beyond `most` of them all share number 0.
//
// Thread-safety: none.  Nothing allocates after construction.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "disk/fair_queue.h"

namespace fairlead::block {

class OwnerTable {
 public:
  explicit OwnerTable(std::uint32_t most)
      : places_(std::bit_ceil(2 * most)), kept_(places_.size()) {
    free_.reserve(most);
    for (std::uint32_t i = most; i-- > 1;) free_.push_back(i);
  }

  std::uint32_t of(disk::ClientIndex client, std::uint32_t thread) noexcept {
    const std::uint64_t key = (std::uint64_t{client} + 1) << 32 | thread;
    std::size_t at = place_of(key);
    while (places_[at].key != 0 && places_[at].key != key) at = (at + 1) & (places_.size() - 1);
    if (places_[at].key == key) return places_[at].owner;
    if (free_.empty()) return 0;
    places_[at] = {key, free_.back()};
    free_.pop_back();
    return places_[at].owner;
  }

  void leave(disk::ClientIndex client) noexcept {
    std::size_t kept = 0;
    for (Place& place : places_) {
      if (place.key != 0 && (place.key >> 32) != std::uint64_t{client} + 1) kept_[kept++] = place;
      if (place.key != 0 && (place.key >> 32) == std::uint64_t{client} + 1) {
        free_.push_back(place.owner);
      }
      place = {};
    }
    for (std::size_t i = 0; i < kept; ++i) {
      std::size_t at = place_of(kept_[i].key);
      while (places_[at].key != 0) at = (at + 1) & (places_.size() - 1);
      places_[at] = kept_[i];
    }
  }

 private:
  struct Place {
    std::uint64_t key = 0;  // 0: nobody
    std::uint32_t owner = 0;
  };

  std::size_t place_of(std::uint64_t key) const noexcept {
    return (key * 0x9e3779b97f4a7c15 >> 32) & (places_.size() - 1);
  }

  std::vector<Place> places_;
  std::vector<Place> kept_;
  std::vector<std::uint32_t> free_;
};

}  // namespace fairlead::block
