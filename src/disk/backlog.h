// SPDX-License-Identifier: Apache-2.0
//
// Backlog: requests that a scheduler holds, in order of sector and in order of arrival.  A request
// that continues another one of its kind, or that another one continues, becomes part of it; what
// is named by a slot from then on is the whole, by its oldest request's.
//
//     by sector    |17|   |40 41|   |90|      at(0) at(1) at(2)
//     by arrival    40 → 90 → 17              oldest()
//
// Thread-safety: none.  The constructor allocates, nothing else does.
#pragma once

#include <cstdint>
#include <vector>

#include "disk/index_list.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class Backlog {
 public:
  explicit Backlog(const SchedulerShape& shape);

  // The slot whose whole it is part of now: `slot` itself if it stands alone.
  Slot add(Slot slot, const IoRequest& request, std::int64_t now_ns);

  // Takes the whole out.
  Transfer take(Slot slot);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(order_.size()); }
  bool empty() const noexcept { return order_.empty(); }
  std::uint32_t requests() const noexcept { return requests_; }  // merged or not
  bool holds(Slot slot) const noexcept { return arrivals_.contains(slot); }
  // Where a request is now that was added and not taken.
  Slot whole_of(Slot slot) const noexcept;

  // By sector: the i-th, and how many begin below `sector`.
  Slot at(std::uint32_t index) const noexcept { return order_[index]; }
  std::uint32_t below(std::uint64_t sector) const noexcept;
  // The first that begins at or above `sector`; else the lowest of all.  Not for an empty one.
  Slot upwards_from(std::uint64_t sector) const noexcept;
  // The nearest to `sector`, the higher one of two.  Not for an empty one.
  Slot nearest(std::uint64_t sector) const noexcept;

  Slot oldest() const noexcept { return arrivals_.front(); }  // not for an empty one

  std::uint64_t sector(Slot slot) const noexcept { return held_[slot].sector; }
  std::uint64_t end(Slot slot) const noexcept { return held_[slot].end; }
  std::uint32_t owner(Slot slot) const noexcept { return held_[slot].request.owner; }
  std::int64_t arrived_ns(Slot slot) const noexcept { return held_[slot].arrived_ns; }
  std::uint64_t number(Slot slot) const noexcept { return held_[slot].number; }  // of arrival

 private:
  struct Held {
    IoRequest request;
    std::int64_t arrived_ns = 0;
    std::uint64_t number = 0;
    std::uint64_t sector = 0;  // of the whole
    std::uint64_t end = 0;
    Slot low = 0;  // the whole's first and last request
    Slot high = 0;
    Slot next = 0;     // in the whole, upwards
    Slot part_of = 0;  // itself, or the one that it was joined to
  };

  bool joinable(Slot low, Slot high) const noexcept;
  Slot join(std::uint32_t index);
  std::uint32_t index_of(Slot slot) const noexcept;

  const std::uint32_t merge_sectors_;
  std::vector<Held> held_;
  std::vector<Slot> order_;
  IndexList arrivals_;
  std::vector<Slot> taken_;
  std::uint64_t numbers_ = 0;
  std::uint32_t requests_ = 0;
};

}  // namespace fairlead::disk
