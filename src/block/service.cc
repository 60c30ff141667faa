// SPDX-License-Identifier: Apache-2.0
#include "block/service.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fairlead::block {

using abi::BlockOp;
using abi::BlockStatus;
using disk::ClientIndex;

namespace {

constexpr std::uint32_t kLeastDepth = 6;         // at the device, beside a client of one thread
constexpr std::size_t kIntakeBatch = 64;         // requests of one client a turn
constexpr std::uint32_t kEmptyLooks = 4096;      // before a silent ring must ring its bell
constexpr std::uint32_t kReservedFlights = 256;  // for clients past the depth, one each
constexpr std::int64_t kSpinNs = 10'000;         // without the service's core all clients wait
constexpr std::int64_t kLookPeriodNs = base::kNanosPerSecond;

// A watched descriptor: the orders' own, or a client by seat and number.
constexpr std::uint64_t kOrdersToken = (std::uint64_t{1} << 56) - 1;
constexpr std::uint64_t token_of(ClientIndex index, std::uint32_t number) noexcept {
  return std::uint64_t{number} << 16 | index;
}
constexpr ClientIndex index_of(std::uint64_t token) noexcept { return token & 0xffff; }

// What may be at the device is the scheduler's to say, where there is one.
disk::DepthLimits depth_limits(const ServiceLimits& limits) noexcept {
  const std::uint32_t slots = limits.throttle    ? limits.throttle->shape.slots
                              : limits.scheduled ? limits.scheduled->shape.slots
                                                 : 0;
  if (slots != 0) return {.min_depth = slots, .max_depth = slots};
  return {.min_depth = std::min(kLeastDepth, limits.queue_depth), .max_depth = limits.queue_depth};
}

ReadPathLimits read_limits(const ServiceLimits& limits) noexcept {
  return {.flights = limits.queue_depth + kReservedFlights,
          .data_bytes = limits.data_bytes,
          .waiters = limits.clients * limits.slots,
          .watches = limits.clients + 1,
          .cache_bytes = limits.cache_bytes};
}

}  // namespace

Service::Service(Image image, const ServiceLimits& limits, const base::Clock& clock, Events events,
                 relay::Producer* trace)
    : limits_(limits),
      clock_(clock),
      events_(std::move(events)),
      idle_(clock, limits.idle_ns),
      reads_(std::move(image), read_limits(limits)),
      fair_(limits.clients, depth_limits(limits)),
      poll_({.max_ns = limits.throttle ? 0 : limits.poll_ns, .spin_ns = kSpinNs}),
      trace_(trace),
      seats_(limits.clients) {
  active_.reserve(limits.clients);
  answered_.reserve(limits.clients);
}

base::Status Service::start() {
  FL_TRY_STATUS(reads_.start(limits_.engine));
  core_.start();
  idle_.touch();
  started_ns_ = looked_ns_ = now_ns_ = clock_.now_ns();
  if (limits_.throttle) {
    FL_TRY(stage_, Throttle::open(*limits_.throttle, reads_.image().sectors(), now_ns_));
    WakeWindow::sharpen_this_thread();
  } else if (limits_.scheduled) {
    FL_TRY(stage_, ScheduledDisk::open(*limits_.scheduled));
  }
  return reads_.engine().watch(orders_.signal_fd(), kOrdersToken);
}

RunEnd Service::run() {
  for (;;) {
    if (turn()) {
      if (polling_) poll_.answered();
      polling_ = false;
      continue;
    }
    const bool at_rest = fair_.in_flight() == 0 && (fair_.pending() == 0 || drained_long_enough());
    if (state_ == State::kHalted || (state_ == State::kDraining && at_rest) ||
        (state_ == State::kServing && idle_.expired())) {
      break;
    }
    if (due_soon()) continue;
    if (!std::exchange(polling_, true)) poll_.begin();
    if (poll_.again()) continue;
    polling_ = false;
    if (rest()) poll_.slept();
  }
  for (const Seat& seat : seats_) {
    if (seat.port) trace_.left(*seat.port);
  }
  orders_.close(collect());
  if (state_ == State::kServing) return RunEnd::kIdle;
  return state_ == State::kHalted ? RunEnd::kHalted : RunEnd::kDrained;
}

// One look at everything.  True: there was something to do.
bool Service::turn() {
  look_at_trace();
  bool busy = orders_.waiting() && obey();
  if (!standing_.empty()) seat_standing();
  busy |= intake();
  busy |= dispatch();
  reads_.submit();
  busy |= reap();
  publish();
  return busy;
}

// ---- clients come and go ----

bool Service::obey() {
  Orders::Batch batch = orders_.take();
  for (Orders::Move& move : batch.moves) {
    if (move.port) {
      standing_.push_back(std::move(move.port));
      seat_standing();
    } else {
      leave(move.client);
    }
  }
  if (batch.drain && state_ == State::kServing) {
    state_ = State::kDraining;
    drain_end_ns_ = clock_.now_ns() + kDrainNs;
  }
  if (batch.halt) state_ = State::kHalted;
  if (batch.wants_stats) orders_.answer_stats(collect());
  return true;
}

// A seat is free again when the last read of who sat there has come back from the device.
void Service::seat_standing() {
  while (!standing_.empty() && fair_.clients() < limits_.clients) {
    const ClientPort& first = *standing_.front();
    const auto index = fair_.add(first.identity().weight, first.slots());
    if (!index) return;
    std::unique_ptr<ClientPort> port = std::move(standing_.front());
    standing_.erase(standing_.begin());
    admit(*index, std::move(port));
  }
}

void Service::leave(std::uint32_t number) {
  const auto is_it = [number](const ClientPort* port) {
    return port != nullptr && port->identity().number == number;
  };
  std::erase_if(standing_, [&](const auto& port) { return is_it(port.get()); });
  for (ClientIndex index = 0; index < seats_.size(); ++index) {
    if (is_it(seats_[index].port.get())) dismiss(index);
  }
}

void Service::admit(ClientIndex index, std::unique_ptr<ClientPort> port) {
  const std::uint64_t token = token_of(index, port->identity().number);
  if (!reads_.engine().watch(port->doorbell_fd(), token)) {
    fair_.remove(index, [](std::uint32_t) {});
    events_.fault(
        {port->identity().number, port->identity().peer, "its doorbell cannot be watched"});
    return;
  }
  ++totals_.clients_seen;
  seats_[index].port = std::move(port);
  seats_[index].port->want_marks(trace_.on());
  trace_.name(*seats_[index].port);
  activate(index);
}

// What the client still has at the device is finished later, for nobody.
void Service::dismiss(ClientIndex index) {
  Seat& seat = seats_[index];
  reads_.engine().unwatch(seat.port->doorbell_fd(), token_of(index, seat.port->identity().number));
  fair_.remove(index, [](std::uint32_t) {});
  if (stage_) stage_->left(index);
  if (seat.active) std::erase(active_, index);
  if (seat.answered) std::erase(answered_, index);
  trace_.left(*seat.port);
  const ClientCounts& counts = seat.port->counts();
  totals_.doorbells += counts.doorbells;
  totals_.wakes += counts.wakes;
  seat = Seat{};
  share_polling();
}

void Service::fault(ClientIndex index, const char* why) {
  const ClientIdentity& identity = seats_[index].port->identity();
  const Fault fault{identity.number, identity.peer, why};
  ++totals_.faults;
  dismiss(index);
  events_.fault(fault);
}

// ---- requests ----

bool Service::intake() {
  if (state_ != State::kServing || active_.empty()) return false;
  now_ns_ = clock_.now_ns();
  // We may have been stopped for long between a look at the clock and the requests that came after.
  if (std::exchange(asked_, false)) idle_.touch(now_ns_);
  look_at_image();
  bool busy = false;
  // Backwards, because a client may leave the list while it is looked at.
  for (std::size_t i = active_.size(); i-- > 0;) {
    const ClientIndex index = active_[i];
    const int count = take_from(index);
    if (count > 0) {
      busy = true;
    } else if (count == 0 && ++seats_[index].empty_looks > kEmptyLooks &&
               seats_[index].port->arm()) {
      seats_[index].active = false;
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
      share_polling();
    }
  }
  return busy;
}

int Service::take_from(ClientIndex index) {
  Seat& seat = seats_[index];
  std::uint32_t slots[kIntakeBatch];
  const int count = seat.port->take(slots, now_ns_);
  if (count == shm::kFault) {
    fault(index, "it broke the rules of the ring");
  } else if (count > 0) {
    seat.empty_looks = 0;
    idle_.touch(now_ns_);
    asked_ = true;
    totals_.requests += static_cast<std::uint64_t>(count);
    for (int i = 0; i < count; ++i) accept(index, slots[i]);
  }
  return count;
}

void Service::accept(ClientIndex index, std::uint32_t slot) {
  ClientPort& port = *seats_[index].port;
  const abi::BlockRequest& request = port.request(slot);
  const std::uint64_t sectors = reads_.image().sectors();
  trace_.taken(port, slot);
  switch (request.op) {
    case BlockOp::kIdentify:
      return identify(port, slot),
             answer(index, slot, BlockStatus::kOk, sizeof(abi::BlockGeometry));
    case BlockOp::kFlush: return answer(index, slot, BlockStatus::kOk, 0);
    case BlockOp::kWrite:
    case BlockOp::kDiscard: return answer(index, slot, BlockStatus::kReadOnly, 0);
    case BlockOp::kRead: break;
    default: return answer(index, slot, BlockStatus::kUnsupported, 0);
  }
  const std::uint32_t count = request.sector_count;
  if (count == 0 || count > port.data_bytes() / abi::kSectorBytes || request.flags != 0) {
    return answer(index, slot, BlockStatus::kInvalid, 0);
  }
  if (request.sector >= sectors || count > sectors - request.sector) {
    return answer(index, slot, BlockStatus::kOutOfRange, 0);
  }
  if (reads_.from_cache(request.sector, count, port.data(slot))) {
    ++port.counts().hits;
    return answer(index, slot, BlockStatus::kOk, count * abi::kSectorBytes);
  }
  trace_.waits(port, slot);
  fair_.push(index, slot, count);
}

void Service::identify(ClientPort& port, std::uint32_t slot) {
  abi::BlockGeometry geometry{};
  geometry.last_sector = reads_.image().sectors() - 1;
  geometry.sector_bytes = abi::kSectorBytes;
  geometry.max_sectors = port.data_bytes() / abi::kSectorBytes;
  geometry.optimal_alignment = reads_.image().alignment();
  for (const BlockOp op : {BlockOp::kIdentify, BlockOp::kRead, BlockOp::kFlush}) {
    geometry.operations |= 1U << static_cast<unsigned>(op);
  }
  std::memcpy(port.data(slot), &geometry, sizeof geometry);
}

bool Service::drained_long_enough() const noexcept {
  return state_ == State::kDraining && clock_.now_ns() >= drain_end_ns_;
}

bool Service::dispatch() {
  if (stage_) return dispatch_scheduled();
  if (drained_long_enough()) return false;
  bool busy = false;
  while (fair_.pending() > 0 && reads_.has_room()) {
    const auto pick = fair_.next(now_ns_);
    if (!pick) break;
    busy = true;
    ClientPort& port = *seats_[pick->client].port;
    const abi::BlockRequest& request = port.request(pick->tag);
    trace_.issued(port, pick->tag);
    if (reads_.image().is_null()) {
      const std::uint32_t bytes = request.sector_count * abi::kSectorBytes;
      std::memset(port.data(pick->tag), 0, bytes);
      fair_.completed(pick->client);
      answer(pick->client, pick->tag, BlockStatus::kOk, bytes);
    } else {
      reads_.read(request.sector, request.sector_count, waiter_of(pick->client, pick->tag));
    }
  }
  return busy;
}

// The fair queue says who may wait at the disk, the disk's scheduler who goes first.
bool Service::dispatch_scheduled() {
  // A model's times, and a scheduler's that waits, are as near as the clock is; else this turn's
  // look at it will do.
  if (limits_.throttle || stage_->next_ns() != DiskStage::kNever) now_ns_ = clock_.now_ns();
  stage_->advance(now_ns_);
  start_scheduled();
  bool busy = answer_scheduled();
  while (fair_.pending() > 0 && stage_->has_room() && !drained_long_enough()) {
    const auto pick = fair_.next(now_ns_);
    if (!pick) break;
    busy = true;
    const abi::BlockRequest& request = seats_[pick->client].port->request(pick->tag);
    stage_->arrive({pick->client, pick->tag}, request.sector, request.sector_count, request.thread,
                   now_ns_);
    start_scheduled();
  }
  return answer_scheduled() || busy;
}

// The data of what the scheduler has sent are read at once, whatever the model says.
void Service::start_scheduled() {
  stage_->take_started([&](disk::Slot slot, const disk::IoRequest& request) {
    const DiskStage::Ask& ask = stage_->ask(slot);
    ClientPort* port = seats_[ask.client].port.get();
    if (port != nullptr) trace_.issued(*port, ask.tag);
    if (reads_.image().is_null()) {
      if (port != nullptr) {
        std::memset(port->data(ask.tag), 0, std::size_t{request.sector_count} * abi::kSectorBytes);
      }
      stage_->data_came(slot, true, now_ns_);
    } else {
      reads_.read(request.sector, request.sector_count, slot);
    }
  });
}

bool Service::answer_scheduled() {
  bool busy = false;
  stage_->take_answers([&](const DiskStage::Ask& ask, bool good) {
    busy = true;
    fair_.completed(ask.client);
    ClientPort* port = seats_[ask.client].port.get();
    if (port == nullptr) return;
    const std::uint32_t bytes = port->request(ask.tag).sector_count * abi::kSectorBytes;
    answer(ask.client, ask.tag, good ? BlockStatus::kOk : BlockStatus::kIoError, good ? bytes : 0);
  });
  return busy;
}

// The bytes that were read for a waiter; nullptr: they could not be.
void Service::read_came(std::uint32_t waiter, const std::byte* bytes) {
  const DiskStage::Ask ask =
      stage_ ? stage_->ask(waiter) : DiskStage::Ask{waiter / limits_.slots, waiter % limits_.slots};
  ClientPort* port = seats_[ask.client].port.get();
  const std::uint32_t size =
      port == nullptr ? 0 : port->request(ask.tag).sector_count * abi::kSectorBytes;
  if (bytes != nullptr && port != nullptr) std::memcpy(port->data(ask.tag), bytes, size);
  if (stage_) return stage_->data_came(waiter, bytes != nullptr, now_ns_);
  fair_.completed(ask.client);
  if (port == nullptr) return;
  answer(ask.client, ask.tag, bytes != nullptr ? BlockStatus::kOk : BlockStatus::kIoError,
         bytes != nullptr ? size : 0);
}

bool Service::reap() {
  EngineEvent events[64];
  const std::size_t count = reads_.engine().reap(events);
  if (count > 0) now_ns_ = clock_.now_ns();
  for (std::size_t i = 0; i < count; ++i) {
    if (events[i].kind == EngineEvent::Kind::kReadable) {
      heard(events[i].token, events[i].result != 0);
      continue;
    }
    reads_.finish(events[i], [&](std::uint32_t waiter, const std::byte* bytes, int /*error*/) {
      read_came(waiter, bytes);
    });
  }
  if (stage_) (void)answer_scheduled();
  return count > 0;
}

void Service::heard(std::uint64_t token, bool still_watched) {
  if (token == kOrdersToken) {
    if (!still_watched) (void)reads_.engine().watch(orders_.signal_fd(), kOrdersToken);
    return;
  }
  const ClientIndex index = index_of(token);
  ClientPort* port = seats_[index].port.get();
  if (port == nullptr || token != token_of(index, port->identity().number)) return;
  if (!still_watched) (void)reads_.engine().watch(port->doorbell_fd(), token);
  activate(index);
  if (!port->heard()) fault(index, "it rings its doorbell without requests");
}

void Service::answer(ClientIndex index, std::uint32_t slot, BlockStatus status,
                     std::uint32_t bytes) {
  Seat& seat = seats_[index];
  const std::int64_t took = now_ns_ - seat.port->arrival_ns(slot);
  totals_.latency_ns.record(static_cast<std::uint64_t>(std::max<std::int64_t>(took, 0)));
  ++totals_.answered;
  if (status != BlockStatus::kOk) ++totals_.errors;
  trace_.done(*seat.port, slot, status == BlockStatus::kOk ? 0 : EIO);
  seat.port->answer(slot, status, bytes);
  if (!std::exchange(seat.answered, true)) answered_.push_back(index);
}

void Service::publish() {
  for (const ClientIndex index : answered_) {
    seats_[index].answered = false;
    seats_[index].port->publish();
  }
  answered_.clear();
}

// ---- looking and sleeping ----

void Service::look_at_trace() noexcept {
  if (!trace_.look()) return;
  for (const Seat& seat : seats_) {
    if (!seat.port) continue;
    seat.port->want_marks(trace_.on());
    trace_.name(*seat.port);
  }
}

void Service::activate(ClientIndex index) {
  seats_[index].empty_looks = 0;
  if (std::exchange(seats_[index].active, true)) return;
  active_.push_back(index);
  share_polling();
}

// A client may poll while every active one can have a core beside ours.
void Service::share_polling() {
  const bool allowed = active_.size() < limits_.cores;
  for (const ClientIndex index : active_) seats_[index].port->allow_polling(allowed);
}

// Every active client must ring from now on; true: none has anything for us.
bool Service::arm_all() {
  bool nothing = true;
  for (const ClientIndex index : active_) nothing &= seats_[index].port->arm();
  return nothing;
}

// Where both sides sleep at once and one caller alone calls, it and we never run at the same time:
// on one core each wakes the other without waking a core that has gone idle.
void Service::place() noexcept {
  if (limits_.poll_ns != 0 || stage_) return;
  if (active_.size() == 1) {
    const ClientPort& port = *seats_[active_.front()].port;
    if (port.lone_caller()) return core_.follow(port.core_untrusted());
  }
  core_.roam();
}

// Before the time that a model names, as a sleep may last longer.  A scheduler that waits is in no
// such hurry.
std::int64_t Service::early_ns() const noexcept { return limits_.throttle ? wake_window_.ns() : 0; }

// The model ends something so soon that a sleep might be too long.
bool Service::due_soon() const noexcept {
  if (!stage_) return false;
  const std::int64_t next = stage_->next_ns();
  return next != DiskStage::kNever && next - early_ns() <= clock_.now_ns();
}

// True: slept.
bool Service::rest() {
  if (state_ == State::kServing && !arm_all()) return false;
  if (orders_.waiting()) return false;
  place();
  const std::int64_t idle_ns = idle_.remaining_ns();
  const std::int64_t next_ns = stage_ ? stage_->next_ns() : DiskStage::kNever;
  if (next_ns == DiskStage::kNever) {
    reads_.engine().wait(idle_ns);
    return true;
  }
  const std::int64_t wake_ns = next_ns - early_ns();
  const std::int64_t sleep_ns = wake_ns - clock_.now_ns();
  if (sleep_ns <= 0) return false;
  reads_.engine().wait(idle_ns == kNoTimeout ? sleep_ns : std::min(sleep_ns, idle_ns));
  wake_window_.woke(clock_.now_ns() - wake_ns);
  return true;
}

// A file that others write under us must not be served from memory.
void Service::look_at_image() {
  if (now_ns_ - looked_ns_ < kLookPeriodNs) return;
  looked_ns_ = now_ns_;
  const ImageChange change = reads_.image().look();
  if (change == ImageChange::kNone) return;
  if (change != ImageChange::kReplaced) reads_.forget();
  events_.image_changed(change);
}

ServiceStats Service::collect() const {
  ServiceStats stats = totals_;
  const EngineCounts& engine = reads_.engine().counts();
  stats.image = reads_.image().name();
  stats.engine = reads_.engine().name();
  stats.sectors = reads_.image().sectors();
  stats.uptime_ns = clock_.now_ns() - started_ns_;
  stats.idle_ns = idle_.idle_ns();
  stats.cache_lookups = reads_.lookups();
  stats.cache_hits = reads_.hits();
  stats.cache_bytes = reads_.cache_bytes();
  stats.joined = reads_.joined();
  stats.device_reads = engine.reads;
  stats.enters = engine.enters;
  stats.sleeps = engine.sleeps;
  if (stage_) stage_->tell(stats);
  for (const Seat& seat : seats_) {
    if (!seat.port) continue;
    ClientPort& port = *seat.port;
    stats.doorbells += port.counts().doorbells;
    stats.wakes += port.counts().wakes;
    stats.clients.push_back({port.identity(), port.counts(), port.outstanding()});
  }
  return stats;
}

}  // namespace fairlead::block
