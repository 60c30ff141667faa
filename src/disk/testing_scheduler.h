// SPDX-License-Identifier: Apache-2.0
//
// Tests only.  ByHand: a scheduler asked step by step, at times that the test says, in µs.
//
//     ByHand disk("cfq");
//     disk.read(0, 100);
//     EXPECT_EQ(disk.next(), "100");   the first sector of what is sent
//     disk.at(2000).done();            the oldest at the disk has ended
//     EXPECT_EQ(disk.next(), "wait until 10000");
#pragma once

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"
#include "disk/linear_model.h"
#include "disk/testing_disk.h"

namespace fairlead::disk {

inline constexpr std::uint64_t kFar = 5'000'000;  // a sector, from those that tests begin with

class ByHand {
 public:
  explicit ByHand(std::string_view spec) {
    auto made = make_scheduler(spec, {.slots = 256, .owners = 64});
    if (!made) throw std::runtime_error(made.error().message());
    scheduler_ = *std::move(made);
    for (Slot slot = 256; slot > 0; --slot) free_.push_back(slot - 1);
  }

  ByHand& at(std::int64_t now_us) {
    now_us_ = now_us;
    return *this;
  }
  ByHand& after(std::int64_t us) { return at(now_us_ + us); }
  std::int64_t now_us() const { return now_us_; }

  ByHand& read(std::uint32_t owner, std::uint64_t sector) {
    return arrive(owner, sector, IoOp::kRead);
  }
  ByHand& write(std::uint32_t owner, std::uint64_t sector) {
    return arrive(owner, sector, IoOp::kWrite);
  }

  std::string next() {
    const Decision decision = scheduler_->next(now_us_ * kUs);
    if (decision.kind == Decision::Kind::kIdle) return "idle";
    if (decision.kind == Decision::Kind::kWait) {
      return fmt::format("wait until {}", decision.until_ns / kUs);
    }
    at_disk_.push_back(decision.transfer);
    sectors_ = decision.transfer.sector_count;
    for (const Slot slot : decision.transfer.slots) free_.push_back(slot);
    at_disk_.back().slots = {};
    return std::to_string(decision.transfer.sector);
  }
  std::uint32_t sectors() const { return sectors_; }  // of what was sent last

  ByHand& done() {
    if (at_disk_.empty()) throw std::runtime_error("nothing is at the disk");
    scheduler_->completed(at_disk_.front(), now_us_ * kUs);
    at_disk_.pop_front();
    return *this;
  }

  // What is sent, and served for so long, until something else than a sector is the answer.
  std::string serve(std::int64_t service_us) {
    std::string order;
    for (std::string one = next(); one != "idle" && !one.starts_with("wait"); one = next()) {
      order += order.empty() ? one : " " + one;
      after(service_us).done();
    }
    return order;
  }

  // The process reads 8 sectors in each of `times` places, each `step` after the end of the one
  // before, 2 ms of service each, and thinks after each but the last.  Alone on the disk.
  std::uint64_t stroll(std::uint32_t owner, std::uint64_t sector, std::uint64_t step, int times,
                       std::int64_t think_us) {
    for (int i = 0; i < times; ++i) {
      if (i > 0) after(think_us);
      read(owner, sector);
      if (next() != std::to_string(sector)) throw std::runtime_error("not alone on the disk");
      after(2000).done();
      sector += 8 + step;
    }
    return sector;
  }

 private:
  ByHand& arrive(std::uint32_t owner, std::uint64_t sector, IoOp op) {
    const Slot slot = free_.back();
    free_.pop_back();
    scheduler_->arrived(slot, {.sector = sector, .sector_count = 8, .op = op, .owner = owner},
                        now_us_ * kUs);
    return *this;
  }

  std::unique_ptr<Scheduler> scheduler_;
  std::vector<Slot> free_;
  std::deque<Transfer> at_disk_;
  std::int64_t now_us_ = 0;
  std::uint32_t sectors_ = 0;
};

// How often each of random requests was served, by processes that mix kinds and places; the seed
// says which.
inline std::vector<int> times_served(std::string_view spec, std::uint64_t seed) {
  constexpr SchedulerShape kShape{.slots = 1024, .owners = 64};
  base::Random random(seed);
  std::vector<Arrival> arrivals;
  std::int64_t now = 0;
  for (std::uint32_t i = 0; i < 800; ++i) {
    if (random.below(3) == 0) now += static_cast<std::int64_t>(random.below(30 * kMs));
    arrivals.push_back({now,
                        {.sector = random.below(random.below(2) == 0 ? 100 : 1'000'000) * 8,
                         .sector_count = 8,
                         .op = random.below(3) == 0 ? IoOp::kWrite : IoOp::kRead,
                         .owner = static_cast<std::uint32_t>(random.below(kShape.owners))}});
  }
  const auto scheduler = *make_scheduler(spec, kShape);
  LinearModel model({.sectors = 8'000'008});
  DiskDriver driver(
      *scheduler, model, kShape,
      {.depth = 1 + static_cast<std::uint32_t>(seed % 5), .tick_ns = seed % 2 == 0 ? 4 * kMs : 0});
  std::vector<int> times(arrivals.size());
  for (const Served& one : driver.serve(arrivals)) ++times[one.number];
  return times;
}

}  // namespace fairlead::disk
