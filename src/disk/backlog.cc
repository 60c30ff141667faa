// SPDX-License-Identifier: Apache-2.0
#include "disk/backlog.h"

#include <algorithm>

namespace fairlead::disk {

Backlog::Backlog(const SchedulerShape& shape)
    : merge_sectors_(shape.merge_sectors), held_(shape.slots), arrivals_(shape.slots) {
  order_.reserve(shape.slots);
  taken_.reserve(shape.slots);
}

std::uint32_t Backlog::below(std::uint64_t sector) const noexcept {
  const auto at = std::ranges::lower_bound(order_, sector, {},
                                           [this](Slot slot) { return held_[slot].sector; });
  return static_cast<std::uint32_t>(at - order_.begin());
}

Slot Backlog::upwards_from(std::uint64_t sector) const noexcept {
  const std::uint32_t index = below(sector);
  return order_[index < size() ? index : 0];
}

Slot Backlog::nearest(std::uint64_t sector) const noexcept {
  const std::uint32_t index = below(sector);
  if (index == size()) return order_[index - 1];
  if (index == 0) return order_[0];
  const Slot up = order_[index];
  const Slot down = order_[index - 1];
  return sectors_apart(held_[up].sector, sector) <= sectors_apart(held_[down].sector, sector)
             ? up
             : down;
}

Slot Backlog::whole_of(Slot slot) const noexcept {
  while (held_[slot].part_of != slot) slot = held_[slot].part_of;
  return slot;
}

// Equal sectors stand in order of arrival, or of what they have become part of: look along them.
std::uint32_t Backlog::index_of(Slot slot) const noexcept {
  std::uint32_t index = below(held_[slot].sector);
  while (order_[index] != slot) ++index;
  return index;
}

bool Backlog::joinable(Slot low, Slot high) const noexcept {
  const Held& a = held_[low];
  const Held& b = held_[high];
  return a.end == b.sector && a.request.op == b.request.op && b.end - a.sector <= merge_sectors_;
}

// Makes one of the two at `index` and `index + 1`, under the older one's slot.
Slot Backlog::join(std::uint32_t index) {
  const Slot low = order_[index];
  const Slot high = order_[index + 1];
  Held& a = held_[low];
  Held& b = held_[high];
  held_[a.high].next = b.low;
  Held& older = a.number < b.number ? a : b;
  const Slot first = a.low;
  const Slot last = b.high;
  const std::uint64_t sector = a.sector;
  const std::uint64_t end = b.end;
  older.low = first;
  older.high = last;
  older.sector = sector;
  older.end = end;
  const Slot stays = &older == &a ? low : high;
  const Slot absorbed = stays == low ? high : low;
  held_[absorbed].part_of = stays;
  arrivals_.erase(absorbed);
  order_[index] = stays;
  order_.erase(order_.begin() + index + 1);
  return stays;
}

Slot Backlog::add(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  FL_CHECK(slot < held_.size() && request.sector_count > 0);
  held_[slot] = {.request = request,
                 .arrived_ns = now_ns,
                 .number = numbers_++,
                 .sector = request.sector,
                 .end = request.sector + request.sector_count,
                 .low = slot,
                 .high = slot,
                 .next = slot,
                 .part_of = slot};
  arrivals_.push_back(slot);
  ++requests_;
  const auto at = std::ranges::upper_bound(order_, request.sector, {},
                                           [this](Slot one) { return held_[one].sector; });
  auto index = static_cast<std::uint32_t>(at - order_.begin());
  order_.insert(at, slot);
  Slot whole = slot;
  if (index + 1 < size() && joinable(slot, order_[index + 1])) whole = join(index);
  if (index > 0 && joinable(order_[index - 1], whole)) whole = join(index - 1);
  return whole;
}

Transfer Backlog::take(Slot slot) {
  FL_CHECK(holds(slot));
  const Held& whole = held_[slot];
  taken_.clear();
  for (Slot one = whole.low;; one = held_[one].next) {
    taken_.push_back(one);
    if (one == whole.high) break;
  }
  order_.erase(order_.begin() + index_of(slot));
  arrivals_.erase(slot);
  requests_ -= static_cast<std::uint32_t>(taken_.size());
  return {.sector = whole.sector,
          .sector_count = static_cast<std::uint32_t>(whole.end - whole.sector),
          .op = whole.request.op,
          .owner = whole.request.owner,
          .slots = taken_};
}

}  // namespace fairlead::disk
