// SPDX-License-Identifier: Apache-2.0
//
// DiskStage: what may stand between the fair queue and the image: a scheduler that says whose data
// are read next.
//
//     fair queue ─► arrive ─► scheduler ─► started: the data are read ─► data_came ─► answers
//
// Two kinds: Throttle, where a model says when a read ends, and ScheduledDisk, where it ends when
// it ends.
//
// Thread-safety: none; the service thread's.  Nothing allocates for a request.  Times are the
// clock's nanoseconds.  A slot given out twice is our bug.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "block/owner_table.h"
#include "disk/fair_queue.h"
#include "disk/scheduler.h"

namespace fairlead::block {

struct ServiceStats;

class DiskStage {
 public:
  struct Ask {  // whose request it is
    disk::ClientIndex client = 0;
    std::uint32_t tag = 0;
  };
  static constexpr std::int64_t kNever = INT64_MAX;

  DiskStage(const DiskStage&) = delete;
  DiskStage& operator=(const DiskStage&) = delete;
  virtual ~DiskStage() = default;

  bool has_room() const noexcept { return !free_.empty(); }
  // `thread`: a hint which of the client's threads waits.
  virtual void arrive(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread,
                      std::int64_t now_ns) = 0;
  virtual void advance(std::int64_t now_ns) = 0;
  // The data of a request that was started are there, or will never be.
  virtual void data_came(disk::Slot slot, bool good, std::int64_t now_ns) = 0;
  // When advance() has something to do; kNever.
  virtual std::int64_t next_ns() const noexcept = 0;
  virtual void tell(ServiceStats& stats) const = 0;

  // Requests whose data are to be read now: visitor(slot, request).
  template <typename Visitor>
  void take_started(Visitor&& visitor) {
    for (std::size_t i = 0; i < started_.size(); ++i) visitor(started_[i], requests_[started_[i]]);
    started_.clear();
  }
  // Requests that are to be answered now: visitor(ask, good).
  template <typename Visitor>
  void take_answers(Visitor&& visitor) {
    for (const Answer& one : answers_) visitor(one.ask, one.good);
    answers_.clear();
  }

  const Ask& ask(disk::Slot slot) const noexcept { return asks_[slot]; }
  void left(disk::ClientIndex client) noexcept { owners_.leave(client); }

 protected:
  explicit DiskStage(const disk::SchedulerShape& shape)
      : owners_(shape.owners), asks_(shape.slots), requests_(shape.slots), free_(shape.slots) {
    std::iota(free_.rbegin(), free_.rend(), 0U);
    started_.reserve(shape.slots);
    answers_.reserve(shape.slots);
  }

  // Only with has_room().
  disk::Slot seat(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread) {
    const disk::Slot slot = free_.back();
    free_.pop_back();
    asks_[slot] = ask;
    requests_[slot] = {
        .sector = sector, .sector_count = count, .owner = owners_.of(ask.client, thread)};
    return slot;
  }
  const disk::IoRequest& request(disk::Slot slot) const noexcept { return requests_[slot]; }
  void start(disk::Slot slot) { started_.push_back(slot); }
  void answer(disk::Slot slot, bool good) {
    answers_.push_back({asks_[slot], good});
    free_.push_back(slot);
  }

 private:
  struct Answer {
    Ask ask;
    bool good;
  };

  OwnerTable owners_;
  std::vector<Ask> asks_;                  // by slot
  std::vector<disk::IoRequest> requests_;  // likewise
  std::vector<disk::Slot> free_;
  std::vector<disk::Slot> started_;
  std::vector<Answer> answers_;
};

}  // namespace fairlead::block
