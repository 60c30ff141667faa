// SPDX-License-Identifier: Apache-2.0
#include "relay/consumer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "relay/forked.h"
#include "relay/presence.h"

namespace fairlead::relay {

using base::ErrorKind;

namespace {

using Reader = BasicStreamReader<Production>;

using Time = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery(1);
constexpr std::chrono::milliseconds kLookAtLeastEvery(10);
constexpr int kSilences = 64;  // what ends a silence is seen late by this part of it at most

// How long after a silence a stream may be left alone: until a burst of a million events of 64
// bytes a second, more than any source here makes, has filled half of it.
std::chrono::nanoseconds longest_rest(const abi::RelayShape& shape) {
  constexpr std::uint64_t kBurstBytesPerUs = 64;
  const std::uint64_t half = std::uint64_t{shape.sub_buffer_bytes} * shape.sub_buffers / 2;
  return std::clamp<std::chrono::nanoseconds>(std::chrono::microseconds(half / kBurstBytesPerUs),
                                              kLookEvery, kLookAtLeastEvery);
}

std::unexpected<base::Error> disconnected(const char* call) {
  return base::fail(ErrorKind::kClosed,
                    std::string(call) + " a relay channel that this process is not connected to");
}

}  // namespace

class ConsumerState {
 public:
  ConsumerState(shm::Segment segment, base::Fd presence, const ChannelMap& map)
      : segment_(std::move(segment)),
        presence_(std::move(presence)),
        map_(map),
        clock_(map.producer->sync, map.consumer->sync),
        room_(map.shape.sub_buffer_bytes),
        longest_rest_(longest_rest(map.shape)) {
    auto& side = map_.consumer->side;
    epoch_ = side.epoch.load(std::memory_order_relaxed) + 1;
    side.epoch.store(epoch_, std::memory_order_relaxed);
    side.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < map_.shape.streams; ++i) {
      readers_.emplace_back(map_.stream_shape(i), map_.memory(i), map_.producer->streams[i],
                            map_.consumer->streams[i]);
    }
    given_up_.resize(readers_.size());
    set(abi::RelayConsumerState::kConnected);
  }
  ~ConsumerState() {
    if (connected()) disconnect();
  }

  Look read(StreamPiece& piece, std::size_t most) noexcept;
  void take() noexcept {
    if (found_ != kNothing) readers_[std::exchange(found_, kNothing)].take();
  }
  bool anything() const noexcept;
  bool found_anything(Time::time_point now) noexcept {
    if (!anything()) return false;
    last_found_ = now;
    return true;
  }
  // Until it is worth to look again.
  std::chrono::nanoseconds rest(Time::time_point now) const noexcept {
    return std::clamp<std::chrono::nanoseconds>((now - last_found_) / kSilences, kLookEvery,
                                                longest_rest_);
  }
  base::Result<int> poll_fd();
  ProducerLife producer() const noexcept;
  bool producer_has_ended() const noexcept {
    const ProducerLife life = producer();
    return life == ProducerLife::kClosed || life == ProducerLife::kDead;
  }
  bool closed() const noexcept { return said() == abi::RelayProducerState::kClosed; }
  // In this order: what it wrote before its end is seen then.
  bool ended() const noexcept { return !connected() || (producer_has_ended() && !anything()); }

  void disconnect() noexcept {
    connected_ = false;
    set(abi::RelayConsumerState::kDisconnected);
    let_go();
  }

  ClockAsker& clock() noexcept { return clock_; }

  bool connected() const noexcept { return connected_ && not_inherited_.is_ours(); }
  // Has this call still something to do with the channel?  If not, it is counted.
  bool may_call() noexcept {
    if (connected()) return true;
    ++wrong_calls;
    return false;
  }
  const ChannelMap& map() const noexcept { return map_; }
  const Reader& reader(std::uint32_t stream) const noexcept { return readers_[stream]; }
  std::uint64_t epoch() const noexcept { return epoch_; }
  std::uint32_t broken() const noexcept {
    return static_cast<std::uint32_t>(std::ranges::count(given_up_, true));
  }
  std::uint64_t wrong_calls = 0;

 private:
  static constexpr std::uint32_t kNothing = UINT32_MAX;

  void let_go() noexcept {
    presence_.reset();
    timer_.reset();
  }
  abi::RelayProducerState said() const noexcept {
    return static_cast<abi::RelayProducerState>(
        map_.producer->side.state.load(std::memory_order_acquire));
  }
  void set(abi::RelayConsumerState state) noexcept {
    map_.consumer->side.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  }
  void quieten() const noexcept {
    std::uint64_t times = 0;
    if (timer_) [[maybe_unused]]
      const auto ignored = ::read(timer_.get(), &times, sizeof times);
  }

  shm::Segment segment_;  // empty in somebody else's memory
  base::Fd presence_;     // likewise
  ChannelMap map_;
  ClockAsker clock_;
  std::vector<std::byte> room_;
  const std::chrono::nanoseconds longest_rest_;
  Time::time_point last_found_ = Time::now();  // by wait()
  std::vector<Reader> readers_;
  std::vector<bool> given_up_;
  base::Fd timer_;
  std::uint64_t epoch_ = 0;
  std::uint32_t next_ = 0;
  std::uint32_t found_ = kNothing;
  bool connected_ = true;
  const NotInherited not_inherited_{[this] { let_go(); }};
};

// One sub-buffer at most of each stream in turn: a fast one does not keep the others waiting.
Look ConsumerState::read(StreamPiece& piece, std::size_t most) noexcept {
  found_ = kNothing;
  for (std::size_t tried = 0; tried < readers_.size(); ++tried) {
    const std::uint32_t stream = next_;
    next_ = (next_ + 1) % map_.shape.streams;
    if (given_up_[stream]) continue;
    const Look look = readers_[stream].look(room_, piece, most);
    if (look == Look::kEmpty) continue;
    piece.stream = stream;
    if (look == Look::kBroken) {
      given_up_[stream] = true;
      return look;
    }
    found_ = stream;
    return look;
  }
  quieten();
  return Look::kEmpty;
}

bool ConsumerState::anything() const noexcept {
  for (std::uint32_t i = 0; i < map_.shape.streams; ++i) {
    if (!given_up_[i] && readers_[i].has_more()) return true;
  }
  return false;
}

base::Result<int> ConsumerState::poll_fd() {
  if (timer_) return timer_.get();
  base::Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const timespec every{0, std::chrono::nanoseconds(kLookEvery).count()};
  const itimerspec times{every, every};
  if (!timer || ::timerfd_settime(timer.get(), 0, &times, nullptr) != 0) {
    return base::fail_errno(errno, "make a timer for a relay's consumer");
  }
  timer_ = std::move(timer);
  return timer_.get();
}

ProducerLife ConsumerState::producer() const noexcept {
  if (closed()) return ProducerLife::kClosed;
  // The lock first: who closes says so before he lets go of it.
  const bool there = !presence_ || is_taken(presence_, Side::kProducer);
  const auto state = said();
  if (state == abi::RelayProducerState::kClosed) return ProducerLife::kClosed;
  if (!there) return ProducerLife::kDead;
  return state == abi::RelayProducerState::kClosing ? ProducerLife::kClosing : ProducerLife::kOpen;
}

Consumer::Consumer(std::unique_ptr<ConsumerState> state) noexcept : state_(std::move(state)) {}
Consumer::Consumer(Consumer&& other) noexcept = default;
Consumer& Consumer::operator=(Consumer&& other) noexcept = default;
Consumer::~Consumer() = default;

base::Result<Consumer> Consumer::connect(base::Fd memfd, std::uint64_t bytes) {
  FL_TRY(shm::Segment segment, shm::Segment::attach(std::move(memfd), bytes));
  FL_TRY(const ChannelMap map, map_channel(segment.data(), segment.size()));
  FL_TRY(base::Fd presence, take_side(segment.fd(), Side::kConsumer));
  segment.release_descriptor();  // the mapping is enough
  return Consumer(std::make_unique<ConsumerState>(std::move(segment), std::move(presence), map));
}

base::Result<Consumer> Consumer::connect_in(std::byte* at, std::uint64_t bytes) {
  FL_TRY(const ChannelMap map, map_channel(at, bytes));
  return Consumer(std::make_unique<ConsumerState>(shm::Segment(), base::Fd(), map));
}

base::Result<Look> Consumer::read(StreamPiece& piece, std::size_t most) {
  if (!state_->may_call()) return disconnected("read");
  return state_->read(piece, most);
}

void Consumer::take() noexcept {
  if (state_->may_call()) state_->take();
}

bool Consumer::wait(std::chrono::nanoseconds timeout) {
  if (!state_->may_call()) return false;
  auto now = Time::now();
  const auto end = now + timeout;
  for (;;) {
    if (state_->found_anything(now)) return true;
    if (state_->producer_has_ended()) return false;
    if (now >= end) return false;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, state_->rest(now)));
    now = Time::now();
  }
}

base::Result<int> Consumer::poll_fd() {
  if (!state_->may_call()) return disconnected("poll");
  return state_->poll_fd();
}

base::Status Consumer::disconnect() {
  if (!state_->may_call()) return disconnected("disconnect from");
  state_->disconnect();
  return {};
}

base::Result<ClockInterval> Consumer::measure_clock(int rounds, std::chrono::nanoseconds patience) {
  if (!state_->may_call()) return disconnected("measure the clock of");
  if (shape().clock != kStampClock) {
    return base::fail(ErrorKind::kUnsupported,
                      "the producer of this relay channel has another kind of clock than we");
  }
  const auto measured = state_->clock().measure(rounds, patience);
  if (measured) return *measured;
  return base::fail(ErrorKind::kTimeout,
                    "the producer of this relay channel does not answer for its clock");
}

std::uint64_t Consumer::heartbeat() const noexcept {
  return state_->map().producer->side.heartbeat.load(std::memory_order_relaxed);
}

ProducerLife Consumer::producer() const noexcept { return state_->producer(); }
bool Consumer::closed() const noexcept { return state_->closed(); }
bool Consumer::ended() const noexcept { return state_->ended(); }
const abi::RelayShape& Consumer::shape() const noexcept { return state_->map().shape; }
ChannelId Consumer::id() const noexcept { return state_->map().id(); }
std::uint64_t Consumer::epoch() const noexcept { return state_->epoch(); }
std::uint32_t Consumer::broken() const noexcept { return state_->broken(); }
std::uint64_t Consumer::wrong_calls() const noexcept { return state_->wrong_calls; }

std::uint64_t Consumer::no_stream() const noexcept {
  return state_->map().producer->side.no_stream.load(std::memory_order_acquire);
}

Consumer::Sums Consumer::sums(std::uint32_t stream) const noexcept {
  const auto& in = state_->map().producer->streams[stream];
  return {state_->reader(stream).sums(), in.attempts.load(std::memory_order_acquire) +
                                             in.lost_nested.load(std::memory_order_acquire)};
}

}  // namespace fairlead::relay
