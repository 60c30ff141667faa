// SPDX-License-Identifier: Apache-2.0
#include "disk/cfq_scheduler.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace fairlead::disk {
namespace {

constexpr const char* kCfqSource = "block/cfq-iosched.c, Linux 2.6.29";
constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();

// Sectors of a queue in the backlog.
constexpr unsigned kSectorBits = 48;
constexpr std::uint64_t range_of(std::uint32_t queue) {
  return static_cast<std::uint64_t>(queue) << kSectorBits;
}
constexpr std::uint64_t disk_sector(std::uint64_t sector) { return sector & (range_of(1) - 1); }

// Of priority 4 among 0, the highest, to 7: itself and the lower ones; the higher ones.
constexpr std::uint32_t kPrioritiesFrom = 4;
constexpr std::int64_t kPrioritiesAbove = 4;

}  // namespace

std::vector<Parameter> CfqScheduler::parameters() {
  return {
      {"quantum", 4, Unit::kCount, kCfqSource, 1, 1 << 20},
      {"fifo_expire_sync", 125'000'000, Unit::kNs, kCfqSource},
      {"fifo_expire_async", 250'000'000, Unit::kNs, kCfqSource},
      {"back_seek_max", 32768, Unit::kSectors, "cfq-iosched.c: 16 MiB"},
      {"back_seek_penalty", 2, Unit::kCount, kCfqSource, 1, 1 << 10},
      {"slice_sync", 100'000'000, Unit::kNs, kCfqSource, 1},
      {"slice_async", 40'000'000, Unit::kNs, kCfqSource, 1},
      {"slice_async_rq", 2, Unit::kCount, kCfqSource, 1, 1 << 20},
      {"slice_scale", 5, Unit::kCount, "cfq-iosched.c: of a slice, for a priority", 1, 1 << 20},
      {"slice_idle", 8'000'000, Unit::kNs, "cfq-iosched.c; 0: off"},
      {"seeky_idle", 2'000'000, Unit::kNs, kCfqSource},
      {"seeky", 8192, Unit::kSectors, kCfqSource},
      {"min_samples", 80, Unit::kCount, "cfq-iosched.c: 84 after three", 0, 256},
      {"few_samples", 60, Unit::kCount, kCfqSource, 0, 256},
      {"few_reach", 2 << 20, Unit::kSectors, kCfqSource},
      {"reach", 2 << 16, Unit::kSectors, kCfqSource},
      {"hw_depth", 5, Unit::kCount, kCfqSource, 0, 1 << 20},
      {"hw_samples", 50, Unit::kCount, kCfqSource, 0, 1 << 20},
      {"think_tick", 1, Unit::kNs, "ours: think times count in these; 4ms: as HZ = 250 does", 1},
      {"drain", 1, Unit::kCount, "cfq-iosched.c; 0: one request at a time, later kernels", 0, 1},
      {"quanta_alone", 4, Unit::kCount, "later kernels, with drain = 0", 1, 1 << 10},
      {"resid_credit", 0, Unit::kCount, "cfq-iosched.c; 1: later kernels", 0, 1}};
}

CfqScheduler::CfqScheduler(const SchedulerShape& shape, const Parameters& parameters)
    : writes_(shape.owners),
      quantum_(parameters.count("quantum")),
      fifo_expire_sync_ns_(parameters["fifo_expire_sync"]),
      fifo_expire_async_ns_(parameters["fifo_expire_async"]),
      slice_sync_ns_(parameters["slice_sync"]),
      slice_async_ns_(parameters["slice_async"]),
      turn_of_writes_(2 * kPrioritiesFrom * parameters.count("slice_async_rq")),
      slice_scale_(parameters["slice_scale"]),
      slice_idle_ns_(parameters["slice_idle"]),
      seeky_idle_ns_(parameters["seeky_idle"]),
      seeky_sectors_(static_cast<std::uint64_t>(parameters["seeky"])),
      min_samples_(parameters.count("min_samples")),
      hw_depth_(parameters.count("hw_depth")),
      hw_samples_(parameters.count("hw_samples")),
      think_tick_ns_(parameters["think_tick"]),
      drain_(parameters["drain"] != 0),
      quanta_alone_(parameters.count("quanta_alone")),
      resid_credit_(parameters["resid_credit"] != 0),
      one_way_{.back_max = static_cast<std::uint64_t>(parameters["back_seek_max"]),
               .penalty = parameters.count("back_seek_penalty")},
      reach_(SeekReach::of(parameters)),
      backlog_(shape),
      queued_(shape.owners + 1, shape.slots),
      queues_(shape.owners + 1, Queue{.worth_waiting = true}),
      processes_(shape.owners),
      chosen_(shape.slots),
      chain_(shape.slots) {
  FL_CHECK(shape.owners < (1U << (64 - kSectorBits)) - 1);
  queues_[writes_].worth_waiting = false;
  line_.reserve(std::min(shape.slots, shape.owners + 1));
  ready_.reserve(shape.slots);
  sent_.reserve(shape.slots);
}

void CfqScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  FL_CHECK(request.owner < processes_.size());
  FL_CHECK(request.sector < range_of(1) - request.sector_count);
  end_wait_if_due(now_ns);
  const QueueIndex index = request.op == IoOp::kRead ? request.owner : writes_;
  Queue& queue = queues_[index];
  IoRequest moved = request;
  moved.sector += range_of(index);
  const Slot whole = backlog_.add(slot, moved, now_ns);
  queued_.push_back(index, slot);
  if (queue.next) queue.next = backlog_.whole_of(*queue.next);
  if (!queue.in_line) line_up_again(index, now_ns);
  if (backlog_.sector(whole) == moved.sector) {
    queue.next =
        queue.next ? one_way_.better(backlog_, *queue.next, whole, range_of(index) + head_) : whole;
  }
  if (whole != slot) return;
  Process& process = processes_[request.owner];
  learn(process, request, now_ns);
  judge_waiting(index, process);
  if (active_ == index) {
    if (queue.awaited) wait_until_ns_.reset();
  } else if (interrupts(index, request.sector, now_ns)) {
    end_turn(now_ns, true);
    line_up(index, kFirst);
    queue.begun = false;
  }
}

Decision CfqScheduler::next(std::int64_t now_ns) {
  end_wait_if_due(now_ns);
  if (ready_.empty() && !backlog_.empty()) fill_ready(now_ns);
  if (!ready_.empty()) return send();
  return wait_until_ns_ && !backlog_.empty() ? Decision::wait(*wait_until_ns_) : Decision{};
}

void CfqScheduler::completed(const Transfer& transfer, std::int64_t now_ns) {
  end_wait_if_due(now_ns);
  const bool sync = transfer.op == IoOp::kRead;
  const QueueIndex index = sync ? transfer.owner : writes_;
  Queue& queue = queues_[index];
  FL_CHECK(at_disk_ > 0 && queue.dispatched > 0);
  judge_depth();
  --at_disk_;
  --queue.dispatched;
  if (sync) {
    --sync_dispatched_;
    processes_[transfer.owner].ended_ns = now_ns;
  }
  if (active_ != index) return;
  if (!queue.begun) {
    queue.begun = true;
    queue.end_ns = now_ns + slice_ns(index);
  }
  if (used_up(queue, now_ns)) {
    end_turn(now_ns, true);
  } else if (sync && queued_.empty(index)) {
    wait_for_active(now_ns);
  }
}

// It ends when it was due, even if nobody asks until later.
void CfqScheduler::end_wait_if_due(std::int64_t now_ns) {
  if (!wait_until_ns_ || now_ns < *wait_until_ns_) return;
  const std::int64_t due_ns = *wait_until_ns_;
  wait_until_ns_.reset();
  if (active_ && (used_up(queues_[*active_], due_ns) || !line_.empty())) end_turn(due_ns, false);
}

void CfqScheduler::learn(Process& process, const IoRequest& request, std::int64_t now_ns) noexcept {
  if (process.ended_ns < 0) process.ended_ns = now_ns;
  const std::int64_t think_ns = std::min(now_ns - process.ended_ns, 2 * slice_idle_ns_);
  process.think.add(static_cast<std::uint64_t>(think_ns / think_tick_ns_));
  process.seek.add(sectors_apart(request.sector, process.next_sector), reach_);
  process.next_sector = request.sector + request.sector_count;
}

bool CfqScheduler::seeky(const Process& process) const noexcept {
  return process.seek.mean() > seeky_sectors_;
}

void CfqScheduler::judge_waiting(QueueIndex queue, const Process& process) noexcept {
  if (!is_sync(queue)) return;
  bool& worth_waiting = queues_[queue].worth_waiting;
  if (slice_idle_ns_ == 0 || (deep_ && seeky(process))) {
    worth_waiting = false;
  } else if (process.think.samples() > min_samples_) {
    const auto think_ns = static_cast<std::int64_t>(process.think.mean()) * think_tick_ns_;
    worth_waiting = think_ns <= slice_idle_ns_;
  }
}

bool CfqScheduler::interrupts(QueueIndex queue, std::uint64_t sector,
                              std::int64_t now_ns) const noexcept {
  if (!active_) return false;
  const Queue& active = queues_[*active_];
  if (used_up(active, now_ns)) return true;
  if (is_sync(queue) && !is_sync(*active_)) return true;
  if (!active_owner_ || !active.awaited) return false;
  const Process& process = processes_[*active_owner_];
  return process.seek.samples() > min_samples_ &&
         sectors_apart(sector, head_) <= process.seek.mean();
}

void CfqScheduler::wait_for_active(std::int64_t now_ns) noexcept {
  Queue& queue = queues_[*active_];
  if (slice_idle_ns_ == 0 || !queue.worth_waiting || at_disk_ > 0 || !active_owner_) return;
  queue.awaited = true;
  const Process& process = processes_[*active_owner_];
  const bool goes_far = process.seek.samples() > min_samples_ && seeky(process);
  wait_until_ns_ = now_ns + (goes_far ? std::min(slice_idle_ns_, seeky_idle_ns_) : slice_idle_ns_);
}

// From the most that were at the disk at once, over hw_samples completions under load.
void CfqScheduler::judge_depth() noexcept {
  peak_ = std::max(peak_, at_disk_);
  if (backlog_.size() <= hw_depth_ && at_disk_ <= hw_depth_) return;
  if (depth_samples_++ < hw_samples_) return;
  deep_ = peak_ >= hw_depth_;
  depth_samples_ = 0;
  peak_ = 0;
}

// Behind those with the same key; one that stands there with it stays where it is.
void CfqScheduler::line_up(QueueIndex index, std::int64_t key_ns) {
  Queue& queue = queues_[index];
  if (queue.in_line && queue.key_ns == key_ns) return;
  if (queue.in_line) leave_line(index);
  queue.key_ns = key_ns;
  queue.in_line = true;
  const auto key = [this](QueueIndex one) { return queues_[one].key_ns; };
  line_.insert(std::ranges::upper_bound(line_, key_ns, {}, key), index);
}

// The more are in line, the further back, each by what a turn of the highest priority is longer
// than one of its own.
void CfqScheduler::line_up_again(QueueIndex index, std::int64_t now_ns) {
  Queue& queue = queues_[index];
  const auto others = static_cast<std::int64_t>(line_.size()) - (queue.in_line ? 1 : 0);
  const std::int64_t longest_ns = slice_sync_ns_ + slice_sync_ns_ / slice_scale_ * kPrioritiesAbove;
  const std::int64_t left_ns = resid_credit_ ? -queue.left_ns : queue.left_ns;
  queue.left_ns = 0;
  line_up(index, others * (longest_ns - slice_ns(index)) + now_ns + left_ns);
}

void CfqScheduler::leave_line(QueueIndex index) {
  Queue& queue = queues_[index];
  const auto key = [this](QueueIndex one) { return queues_[one].key_ns; };
  const auto same = std::ranges::lower_bound(line_, queue.key_ns, {}, key);
  line_.erase(std::find(same, line_.end(), index));
  queue.in_line = false;
}

void CfqScheduler::end_turn(std::int64_t now_ns, bool bank) {
  const QueueIndex index = *active_;
  Queue& queue = queues_[index];
  if (queue.awaited) wait_until_ns_.reset();
  queue.awaited = false;
  if (bank && queue.begun) queue.left_ns = queue.end_ns - now_ns;
  if (!queued_.empty(index)) line_up_again(index, now_ns);
  active_.reset();
  active_owner_.reset();
}

// Nothing: none has requests, or the disk waits for the one whose turn it is.
std::optional<CfqScheduler::QueueIndex> CfqScheduler::select(std::int64_t now_ns) {
  if (active_) {
    const Queue& queue = queues_[*active_];
    if (!used_up(queue, now_ns)) {
      if (!queued_.empty(*active_)) return active_;
      if (wait_until_ns_ || (queue.dispatched > 0 && queue.worth_waiting)) return {};
    }
    end_turn(now_ns, false);
  }
  if (line_.empty()) return {};
  active_ = line_.front();
  Queue& queue = queues_[*active_];
  queue.begun = false;
  queue.oldest_looked_at = false;
  queue.chosen = 0;
  return active_;
}

bool CfqScheduler::may_dispatch(QueueIndex queue) const noexcept {
  if (!is_sync(queue) && sync_dispatched_ > 0) return false;
  const std::uint32_t dispatched = queues_[queue].dispatched;
  if (dispatched < quantum_) return true;
  return line_.size() == 1 && (drain_ || dispatched < quanta_alone_ * quantum_);
}

void CfqScheduler::fill_ready(std::int64_t now_ns) {
  while (const auto index = select(now_ns)) {
    if (!may_dispatch(*index)) return;
    Queue& queue = queues_[*index];
    queue.awaited = false;
    wait_until_ns_.reset();
    if (drain_) queue.chosen = 0;
    const std::uint32_t most = drain_ ? quantum_ : queue.chosen + 1;
    do {
      const Slot slot = pick(*index, now_ns);
      if (!active_owner_) active_owner_ = backlog_.owner(slot);
      make_ready(*index, slot);
    } while (++queue.chosen < most && !queued_.empty(*index));
    if (line_.size() > 1 && !is_sync(*index) && queue.chosen >= turn_of_writes_) {
      end_turn(now_ns, false);
    }
    if (!drain_) return;
  }
}

// The oldest if it is overdue, else what is next.
Slot CfqScheduler::pick(QueueIndex index, std::int64_t now_ns) {
  Queue& queue = queues_[index];
  if (!queue.oldest_looked_at) {
    queue.oldest_looked_at = true;
    const Slot oldest = queued_.front(index);
    const std::int64_t expire_ns = is_sync(index) ? fifo_expire_sync_ns_ : fifo_expire_async_ns_;
    if (now_ns >= backlog_.arrived_ns(oldest) + expire_ns) return oldest;
  }
  return *queue.next;
}

void CfqScheduler::make_ready(QueueIndex index, Slot slot) {
  Queue& queue = queues_[index];
  const Transfer transfer = backlog_.take(slot);
  for (const Slot one : transfer.slots) queued_.erase(index, one);
  if (queue.next == slot) {
    queue.next = one_way_.follower(backlog_, backlog_.below(range_of(index)),
                                   backlog_.below(transfer.sector),
                                   backlog_.below(range_of(index + 1)), range_of(index) + head_);
  }
  if (queued_.empty(index)) leave_line(index);
  ++queue.dispatched;
  if (is_sync(index)) ++sync_dispatched_;
  for (std::size_t i = 1; i < transfer.slots.size(); ++i) {
    chain_[transfer.slots[i - 1]] = transfer.slots[i];
  }
  Chosen& chosen = chosen_[slot];
  chosen = {.transfer = transfer,
            .requests = static_cast<std::uint32_t>(transfer.slots.size()),
            .first = transfer.slots.front()};
  chosen.transfer.sector = disk_sector(transfer.sector);
  chosen.transfer.slots = {};
  ready_requests_ += chosen.requests;
  insert_ready(slot);
}

// Upwards from the head, then from the lowest; reads and writes do not pass each other.
void CfqScheduler::insert_ready(Slot slot) {
  const Transfer& transfer = chosen_[slot].transfer;
  const auto round = [&](const Transfer& one) { return one.sector < head_ ? 1 : 0; };
  const auto goes_first = [&](const Transfer& one) {
    if (round(one) != round(transfer)) return round(one) < round(transfer);
    return one.sector <= transfer.sector;
  };
  auto at = ready_.end();
  while (at != ready_.begin()) {
    const Transfer& one = chosen_[*(at - 1)].transfer;
    if (one.op != transfer.op || goes_first(one)) break;
    --at;
  }
  ready_.insert(at, slot);
}

Decision CfqScheduler::send() {
  const Slot slot = ready_.front();
  ready_.erase(ready_.begin());
  const Chosen& chosen = chosen_[slot];
  sent_.clear();
  for (Slot one = chosen.first; sent_.size() < chosen.requests; one = chain_[one]) {
    sent_.push_back(one);
  }
  ready_requests_ -= chosen.requests;
  Transfer transfer = chosen.transfer;
  transfer.slots = sent_;
  head_ = transfer.end();
  ++at_disk_;
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
