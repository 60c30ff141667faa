// SPDX-License-Identifier: Apache-2.0
//
// AnticipatoryScheduler: Linux' anticipatory scheduler.  Reads or writes in batches, each batch in
// the order of OneWay, the oldest first where it is overdue (looked at once per expiry time).  The
// disk waits after a read for its process, antic_expire at most, unless
//
//     the process has another request, or thinks for longer than that, or
//     another's read is close: from close/2 behind to close ahead, twice as far for each tick of
//     the wait, or nearer than the process itself goes on average.
//
// A batch of reads lasts for read_batch_expire while writes wait; one of writes has a number of
// requests, which grows and shrinks so that it lasts for write_batch_expire.  A batch begins when
// all of the one before has ended.  Source: Linux 2.6.29, block/as-iosched.c.
//
// What differs:
//   - A process that exits is not seen.  So the chances that one does, and that none comes in its
//     place, are left out: they count together only, and the second one only changes at an exit.
//   - Of two requests at one sector Linux sends the older one at once; here they keep their order.
//   - The disk takes what is dispatched, so no process has something on the way to it.
//   - A request that became part of another process' counts as one that its own has waiting.
//   - Linux' ticks are in two parameters (close_tick, think_tick) and in antic_expire: HZ/150 is
//     one tick, 4 ms, at HZ = 250.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "disk/backlog.h"
#include "disk/decaying_mean.h"
#include "disk/one_way.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class AnticipatoryScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters();
  AnticipatoryScheduler(const SchedulerShape& shape, const Parameters& parameters);

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;
  void completed(const Transfer& transfer, std::int64_t now_ns) override;
  std::uint32_t waiting() const noexcept override {
    return sides_[kReads].backlog.requests() + sides_[kWrites].backlog.requests();
  }

 private:
  enum Kind : std::uint8_t { kReads, kWrites };
  enum class Wait : std::uint8_t {
    kOff,
    kForEnd,   // of the last read
    kForNext,  // of its process
    kOver,     // timed out, or what has come will do
  };

  struct Side {
    Backlog backlog;
    std::int64_t expire_ns;
    std::int64_t batch_ns;
    std::int64_t checked_ns = 0;  // whether the oldest is overdue
    std::uint64_t head = 0;       // end of what was sent last
    std::optional<Slot> next{};
  };

  struct Process {
    DecayingMean think;  // in think ticks
    SeekMean seek;
    std::uint64_t next_sector = 0;  // after its last read
    std::int64_t ended_ns = -1;     // its last read; -1: none has
    std::uint32_t waiting = 0;
    bool started = false;
  };

  struct Candidate {
    Kind kind;
    std::uint64_t sector;
    std::uint64_t end;
  };

  static Kind kind_of(IoOp op) noexcept { return op == IoOp::kRead ? kReads : kWrites; }
  bool waits() const noexcept { return wait_ == Wait::kForEnd || wait_ == Wait::kForNext; }
  bool empty(Kind kind) const noexcept { return sides_[kind].backlog.empty(); }
  std::optional<Candidate> candidate(Kind kind, std::optional<Slot> slot) const noexcept;

  void end_wait_if_due(std::int64_t now_ns) noexcept;
  bool ends_wait(const std::optional<Candidate>& one, std::int64_t now_ns) noexcept;
  bool close(const Process& awaited, std::uint64_t sector, std::int64_t now_ns) const noexcept;
  bool thinks_too_long(const Process& awaited) const noexcept;
  void learn(Process& process, const Candidate& one, std::int64_t now_ns) noexcept;

  std::optional<Slot> choose(std::int64_t now_ns);
  std::optional<Slot> continue_batch(std::int64_t now_ns);
  std::optional<Slot> begin_batch(std::int64_t now_ns);
  bool batch_over(std::int64_t now_ns) const noexcept;
  bool overdue(Kind kind, std::int64_t now_ns) noexcept;
  void tune_write_batch(std::int64_t now_ns) noexcept;
  Decision send(Slot slot);

  const std::int64_t antic_expire_ns_;
  const std::int64_t max_think_ns_;
  const std::int64_t think_tick_ns_;
  const std::uint64_t close_sectors_;
  const std::int64_t close_tick_ns_;
  const std::int64_t close_for_ns_;
  const SeekReach reach_;
  const OneWay one_way_;
  std::array<Side, 2> sides_;
  std::vector<Process> processes_;
  std::uint64_t newcomer_think_ = 0;  // decayed totals of second requests
  std::uint64_t newcomer_seek_ = 0;

  Kind batch_ = kWrites;
  bool changing_ = false;        // the batch before has not ended
  bool first_read_due_ = false;  // of a batch of reads, at the disk
  std::int64_t batch_end_ns_;    // when it is over if others wait
  std::uint32_t write_batch_;    // requests that a batch of writes may have
  std::uint32_t writes_left_ = 0;
  bool writes_ran_dry_ = false;  // nothing else waited: the batch's time says nothing
  std::uint32_t in_flight_ = 0;

  Wait wait_ = Wait::kOff;
  std::optional<std::uint32_t> awaited_{};  // whose read was sent last, if nothing else was since
  bool awaited_ended_ = false;
  std::int64_t ended_ns_ = 0;  // then
};

}  // namespace fairlead::disk
