// SPDX-License-Identifier: Apache-2.0
#include "disk/anticipatory_scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace fairlead::disk {
namespace {

constexpr const char* kAsSource = "block/as-iosched.c, Linux 2.6.29";
constexpr std::uint32_t kMostWrites = 1 << 30;
constexpr std::int64_t kMostDoublings = 40;

}  // namespace

std::vector<Parameter> AnticipatoryScheduler::parameters() {
  return {
      {"read_expire", 125'000'000, Unit::kNs, kAsSource},
      {"write_expire", 250'000'000, Unit::kNs, kAsSource},
      {"read_batch_expire", 500'000'000, Unit::kNs, kAsSource},
      {"write_batch_expire", 125'000'000, Unit::kNs, kAsSource},
      {"antic_expire", 6'666'667, Unit::kNs, "as-iosched.c: HZ/150, but 4ms at HZ = 250; 0: off"},
      {"write_batch", 3, Unit::kCount, "as-iosched.c: to begin with, HZ = 250", 1, kMostWrites},
      {"max_think", 20'000'000, Unit::kNs, kAsSource},
      {"think_tick", 1, Unit::kNs, "ours: think times count in these; 4ms: as HZ = 250 does", 1},
      {"close", 8192, Unit::kSectors, kAsSource, 0, 1 << 23},
      {"close_tick", 4'000'000, Unit::kNs, "as-iosched.c: close doubles; HZ = 250", 1},
      {"close_for", 20'000'000, Unit::kNs, "as-iosched.c: after that everything is close"},
      {"back_seek_max", 1 << 20, Unit::kSectors, kAsSource},
      {"back_seek_penalty", 2, Unit::kCount, kAsSource, 1, 1 << 10},
      {"few_samples", 60, Unit::kCount, kAsSource, 0, 256},
      {"few_reach", 2 << 20, Unit::kSectors, kAsSource},
      {"reach", 2 << 16, Unit::kSectors, kAsSource}};
}

AnticipatoryScheduler::AnticipatoryScheduler(const SchedulerShape& shape,
                                             const Parameters& parameters)
    : antic_expire_ns_(parameters["antic_expire"]),
      max_think_ns_(parameters["max_think"]),
      think_tick_ns_(parameters["think_tick"]),
      close_sectors_(static_cast<std::uint64_t>(parameters["close"])),
      close_tick_ns_(parameters["close_tick"]),
      close_for_ns_(parameters["close_for"]),
      reach_(SeekReach::of(parameters)),
      one_way_{.back_max = static_cast<std::uint64_t>(parameters["back_seek_max"]),
               .penalty = parameters.count("back_seek_penalty")},
      sides_{Side{Backlog(shape), parameters["read_expire"], parameters["read_batch_expire"]},
             Side{Backlog(shape), parameters["write_expire"], parameters["write_batch_expire"]}},
      processes_(shape.owners),
      batch_end_ns_(parameters["read_batch_expire"]),
      write_batch_(parameters.count("write_batch")) {}

void AnticipatoryScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  FL_CHECK(request.owner < processes_.size());
  end_wait_if_due(now_ns);
  const Kind kind = kind_of(request.op);
  Side& side = sides_[kind];
  const bool alone = side.backlog.add(slot, request, now_ns) == slot;
  if (side.next) side.next = side.backlog.whole_of(*side.next);
  Process& process = processes_[request.owner];
  if (alone) {
    const auto one = candidate(kind, slot);
    learn(process, *one, now_ns);
    side.next = side.next ? one_way_.better(side.backlog, slot, *side.next, side.head) : slot;
    ++process.waiting;
    if (waits() && ends_wait(one, now_ns)) wait_ = Wait::kOver;
  } else {
    ++process.waiting;
  }
}

Decision AnticipatoryScheduler::next(std::int64_t now_ns) {
  end_wait_if_due(now_ns);
  if (batch_ == kWrites && empty(kReads) && (writes_left_ == 0 || empty(kWrites))) {
    writes_ran_dry_ = true;
  }
  if (waiting() == 0 || changing_) return {};
  if (!waits()) {
    if (const auto slot = choose(now_ns)) return send(*slot);
  }
  return wait_ == Wait::kForNext ? Decision::wait(ended_ns_ + antic_expire_ns_) : Decision{};
}

void AnticipatoryScheduler::completed(const Transfer& transfer, std::int64_t now_ns) {
  FL_CHECK(in_flight_ > 0);
  end_wait_if_due(now_ns);
  const Kind kind = kind_of(transfer.op);
  if (changing_ && in_flight_ == 1) {
    batch_end_ns_ = now_ns + sides_[batch_].batch_ns;
    changing_ = false;
    first_read_due_ = batch_ == kReads;
  }
  --in_flight_;
  if (first_read_due_ && kind == kReads) {
    tune_write_batch(now_ns);
    batch_end_ns_ = now_ns + sides_[kReads].batch_ns;
    first_read_due_ = false;
  }
  if (awaited_ == transfer.owner) {
    ended_ns_ = now_ns;
    awaited_ended_ = true;
    if (wait_ == Wait::kForEnd) wait_ = Wait::kForNext;
  }
  if (kind == kReads) processes_[transfer.owner].ended_ns = now_ns;
}

std::optional<AnticipatoryScheduler::Candidate> AnticipatoryScheduler::candidate(
    Kind kind, std::optional<Slot> slot) const noexcept {
  if (!slot) return {};
  const Backlog& backlog = sides_[kind].backlog;
  return Candidate{kind, backlog.sector(*slot), backlog.end(*slot)};
}

void AnticipatoryScheduler::end_wait_if_due(std::int64_t now_ns) noexcept {
  if (wait_ == Wait::kForNext && now_ns >= ended_ns_ + antic_expire_ns_) wait_ = Wait::kOver;
}

// Whether `one`, what would be sent next, is as good as what the disk waits for; or that will not
// come in time.
bool AnticipatoryScheduler::ends_wait(const std::optional<Candidate>& one,
                                      std::int64_t now_ns) noexcept {
  if (awaited_ended_ && now_ns - ended_ns_ >= antic_expire_ns_) return true;
  Process& awaited = processes_[*awaited_];
  if (awaited.waiting > 0) return true;
  if (one && one->kind == kReads && close(awaited, one->sector, now_ns)) {
    learn(awaited, *one, now_ns);  // two that work together are as one
    return true;
  }
  return thinks_too_long(awaited);
}

bool AnticipatoryScheduler::close(const Process& awaited, std::uint64_t sector,
                                  std::int64_t now_ns) const noexcept {
  const std::int64_t waited_ns = wait_ == Wait::kOff || !awaited_ended_ ? 0 : now_ns - ended_ns_;
  if (waited_ns > close_for_ns_ || waited_ns > antic_expire_ns_) return true;
  const auto doublings = std::min(waited_ns / close_tick_ns_, kMostDoublings);
  const std::uint64_t ahead = close_sectors_ << doublings;
  const std::uint64_t head = sides_[batch_].head;
  if (head <= sector + ahead / 2 && sector <= head + ahead) return true;
  const std::uint64_t expected =
      awaited.seek.samples() == 0 ? newcomer_seek_ / kDecayingOne : awaited.seek.mean();
  return expected > sectors_apart(sector, head);
}

bool AnticipatoryScheduler::thinks_too_long(const Process& awaited) const noexcept {
  const std::uint64_t ticks =
      awaited.think.samples() == 0 ? newcomer_think_ / kDecayingOne : awaited.think.mean();
  return static_cast<std::int64_t>(ticks) * think_tick_ns_ > antic_expire_ns_;
}

void AnticipatoryScheduler::learn(Process& process, const Candidate& one,
                                  std::int64_t now_ns) noexcept {
  if (one.kind != kReads) return;
  if (process.started || process.ended_ns >= 0) {
    const bool thought = process.ended_ns >= 0 && process.waiting == 0;
    const std::int64_t think_ns = thought ? std::min(now_ns - process.ended_ns, max_think_ns_) : 0;
    const auto ticks = static_cast<std::uint64_t>(think_ns / think_tick_ns_);
    const std::uint64_t seek = sectors_apart(one.sector, process.next_sector);
    if (process.think.samples() == 0) {
      newcomer_think_ = decayed(newcomer_think_, ticks);
      newcomer_seek_ = decayed(newcomer_seek_, seek);
    }
    process.think.add(ticks);
    process.seek.add(seek, reach_);
  }
  process.next_sector = one.end;
  process.started = true;
}

std::optional<Slot> AnticipatoryScheduler::choose(std::int64_t now_ns) {
  const bool both = !empty(kReads) && !empty(kWrites);
  if (!both || !batch_over(now_ns)) {
    const auto slot = continue_batch(now_ns);
    if (slot || waits()) return slot;
  }
  return begin_batch(now_ns);
}

// Nothing: the batch has no more, or the disk waits for a process.
std::optional<Slot> AnticipatoryScheduler::continue_batch(std::int64_t now_ns) {
  const Side& side = sides_[batch_];
  if (batch_ == kReads && antic_expire_ns_ > 0) {
    if (overdue(kReads, now_ns)) return side.backlog.oldest();
    const bool may_wait = awaited_ && wait_ != Wait::kOver;
    if (may_wait && !ends_wait(candidate(kReads, side.next), now_ns)) {
      wait_ = awaited_ended_ ? Wait::kForNext : Wait::kForEnd;
      return {};
    }
  }
  if (!side.next) return {};
  if (empty(kWrites)) batch_end_ns_ = now_ns + sides_[kReads].batch_ns;
  return overdue(batch_, now_ns) ? side.backlog.oldest() : *side.next;
}

// Nothing: what is at the disk has to end before.
std::optional<Slot> AnticipatoryScheduler::begin_batch(std::int64_t now_ns) {
  const bool writes = !empty(kWrites) && (empty(kReads) || batch_ == kReads);
  const Kind kind = writes ? kWrites : kReads;
  changing_ = kind != batch_;
  batch_ = kind;
  Side& side = sides_[kind];
  side.checked_ns = now_ns;
  if (kind == kWrites) {
    if (changing_) first_read_due_ = false;
    writes_left_ = write_batch_;
    writes_ran_dry_ = false;
  }
  if (changing_) {
    if (in_flight_ > 0) return {};
    if (kind == kWrites) batch_end_ns_ = now_ns + side.batch_ns;
    first_read_due_ = kind == kReads;
    changing_ = false;
  }
  return side.backlog.oldest();
}

bool AnticipatoryScheduler::batch_over(std::int64_t now_ns) const noexcept {
  if (changing_ || first_read_due_) return false;
  return now_ns > batch_end_ns_ || (batch_ == kWrites && writes_left_ == 0);
}

// Once per expiry time: else many that are overdue would make a storm of seeks.
bool AnticipatoryScheduler::overdue(Kind kind, std::int64_t now_ns) noexcept {
  Side& side = sides_[kind];
  if (now_ns - side.checked_ns < side.expire_ns) return false;
  side.checked_ns = now_ns;
  return !side.backlog.empty() &&
         now_ns > side.backlog.arrived_ns(side.backlog.oldest()) + side.expire_ns;
}

// At the end of the first read after a batch of writes: that is how long the writes took.
void AnticipatoryScheduler::tune_write_batch(std::int64_t now_ns) noexcept {
  const std::int64_t target_ns = sides_[kWrites].batch_ns;
  const std::int64_t took_ns = std::max<std::int64_t>(now_ns - batch_end_ns_ + target_ns, 0);
  if (took_ns > target_ns && !writes_ran_dry_) {
    write_batch_ = took_ns > target_ns * 3 ? write_batch_ / 2 : write_batch_ - 1;
  } else if (took_ns < target_ns && writes_left_ == 0) {
    write_batch_ = target_ns > took_ns * 3 ? write_batch_ * 2 : write_batch_ + 1;
  }
  write_batch_ = std::clamp<std::uint32_t>(write_batch_, 1, kMostWrites);
}

Decision AnticipatoryScheduler::send(Slot slot) {
  Side& side = sides_[batch_];
  Backlog& backlog = side.backlog;
  const Transfer transfer = backlog.take(slot);
  for (const Slot one : transfer.slots) --processes_[backlog.owner(one)].waiting;
  side.head = transfer.end();
  side.next =
      one_way_.follower(backlog, 0, backlog.below(transfer.sector), backlog.size(), side.head);
  wait_ = Wait::kOff;
  awaited_ended_ = false;
  ++in_flight_;
  if (batch_ == kReads) {
    awaited_ = transfer.owner;
  } else {
    awaited_.reset();
    if (writes_left_ > 0) --writes_left_;
  }
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
