// SPDX-License-Identifier: Apache-2.0
//
// MissTable: joins equal reads in flight.  The first read of (sector, count) starts a device
// request, named by its slot; later equal reads join that slot and are answered with it.
//
//     buckets  open addressing, linear probing, twice as many as slots (rounded up to a power of
//              two); a bucket holds a slot's number.  Erased by backward shift: no tombstones.
//     slots    key, first and last waiter        waiters  next
//
// A waiter is the caller's own number in [0, max_waiters): it waits in one list at most.
// All arrays are made in the constructor; find_or_start and join are O(1) expected, finish is
// O(its waiters).  A slot's number is free again inside finish, before the visitor is called.
//
// Thread-safety: none; the service thread owns it.  Sectors of 512 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"

namespace fairlead::disk {

class MissTable {
 public:
  struct Found {
    std::uint32_t slot;
    bool started;  // true: the caller must send this request, and finish the slot later
  };

  MissTable(std::uint32_t max_slots, std::uint32_t max_waiters);

  // The slot that reads this, started now if none does.  Nothing when a new slot is needed and all
  // are in use.  The caller then joins whom it asks for, the starter's request too.
  std::optional<Found> find_or_start(std::uint64_t sector, std::uint32_t count) noexcept;

  void join(std::uint32_t slot, std::uint32_t waiter) noexcept;

  // Ends the slot and calls visitor(waiter) for each that joined, in the order they did.  The
  // visitor may call find_or_start and join, also for the waiter it was given.
  template <typename Visitor>
  void finish(std::uint32_t slot, Visitor&& visitor) {
    std::uint32_t waiter = release(slot);
    while (waiter != kNone) {
      const std::uint32_t next = next_waiter_[waiter];
      next_waiter_[waiter] = kIdle;
      visitor(waiter);
      waiter = next;
    }
  }

  // A write makes reads in flight stale: later reads of these sectors must not join them.  The
  // slots stay in use, with their waiters, until finished.  O(slots in flight).
  void detach(std::uint64_t sector, std::uint32_t count) noexcept;

  std::uint32_t in_flight() const noexcept { return max_slots_ - free_count_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kIdle = kNone - 1;

  struct Slot {
    std::uint64_t sector = 0;
    std::uint32_t count = 0;
    std::uint32_t first_waiter = kNone;
    std::uint32_t last_waiter = kNone;
    bool used = false;
    bool findable = false;
  };

  std::uint32_t home(std::uint64_t sector, std::uint32_t count) const noexcept;
  std::uint32_t release(std::uint32_t slot) noexcept;
  void unlink(std::uint32_t slot) noexcept;

  std::vector<std::uint32_t> buckets_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> next_waiter_;
  std::vector<std::uint32_t> free_;
  std::uint32_t max_slots_;
  std::uint32_t free_count_;
  std::uint32_t mask_;
};

}  // namespace fairlead::disk
