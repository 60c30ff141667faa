// SPDX-License-Identifier: Apache-2.0
//
// Scheduler: in which order requests go to a disk.  Whoever drives the disk asks next() whenever
// the disk has room: at an arrival, at a completion, and at the time that next() named with kWait.
// So a scheduler has no timer of its own, and the same object runs in a simulator and live.
//
//     scheduler.arrived(slot, request, now);
//     for (Decision d; room() && (d = scheduler.next(now)).kind == kDispatch;) send(d.transfer);
//     scheduler.completed(transfer, now);
//
// Times are nanoseconds of one clock that never runs backwards, whatever its speed; sectors are 512
// bytes.  A slot is a small number of the driver's, below SchedulerShape::slots, free again when
// its request has been dispatched.  Only reads and writes of at least one sector are scheduled.
//
// Thread-safety: none.  Nothing is allocated after construction.  Misuse of a slot is our bug:
// FL_CHECK.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "disk/io_request.h"

namespace fairlead::disk {

using Slot = std::uint32_t;

struct SchedulerShape {
  std::uint32_t slots = 128;           // requests that wait at once (Linux: nr_requests)
  std::uint32_t owners = 1024;         // who asks; numbers below this
  std::uint32_t merge_sectors = 1024;  // the longest transfer (Linux: max_sectors_kb = 512)
};

// What the disk does in one go: adjacent requests of one kind.
struct Transfer {
  std::uint64_t sector = 0;
  std::uint32_t sector_count = 0;
  IoOp op = IoOp::kRead;
  std::uint32_t owner = 0;        // of the oldest request
  std::span<const Slot> slots{};  // in order of their sectors; good until the next call

  std::uint64_t end() const noexcept { return sector + sector_count; }
};

struct Decision {
  enum class Kind : std::uint8_t { kIdle, kWait, kDispatch } kind = Kind::kIdle;
  std::int64_t until_ns = 0;  // kWait: ask again then, if nothing has happened before
  Transfer transfer{};        // kDispatch

  static Decision wait(std::int64_t until_ns) { return {Kind::kWait, until_ns, {}}; }
  static Decision dispatch(const Transfer& transfer) { return {Kind::kDispatch, 0, transfer}; }
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  virtual void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) = 0;
  virtual Decision next(std::int64_t now_ns) = 0;
  // `transfer` as dispatched, but for its slots.  In the order in which the disk ended them.
  virtual void completed(const Transfer& /*transfer*/, std::int64_t /*now_ns*/) {}
  virtual std::uint32_t waiting() const noexcept = 0;  // requests, merged or not
};

}  // namespace fairlead::disk
