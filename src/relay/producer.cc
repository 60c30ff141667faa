// SPDX-License-Identifier: Apache-2.0
#include "relay/producer.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "relay/clock_sync.h"
#include "relay/forked.h"
#include "relay/presence.h"

namespace fairlead::relay {

using base::ErrorKind;

namespace {

using Writer = BasicStreamWriter<Production>;

// A stream and who has it.  The writer keeps its place when the next thread takes over.
struct Slot {
  Slot(const ChannelMap& map, std::uint32_t stream, bool keep)
      : writer(map.stream_shape(stream), map.memory(stream), map.producer->streams[stream],
               map.consumer->streams[stream], map.consumer->side.state, keep) {}

  Writer writer;
  std::atomic<bool> taken{false};
};

// The stream that this thread has of the producer it wrote to last: a look here costs less than
// pthread_getspecific(), which knows all of them.  Producers are told apart by a number that is
// never given again, as an address may be.
class LastStream {
 public:
  Writer* of(std::uint64_t producer) const noexcept {
    return producer_ == producer ? writer_ : nullptr;
  }
  // A signal handler may come at any point and write, to this producer or another: it finds what
  // fits together, and changes nothing that is being changed.
  void set(std::uint64_t producer, Writer* writer) noexcept {
    if (changing_) return;
    changing_ = true;
    fence();
    producer_ = 0;
    fence();
    writer_ = writer;
    fence();
    producer_ = producer;
    fence();
    changing_ = false;
  }

 private:
  static void fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

  std::uint64_t producer_ = 0;
  Writer* writer_ = nullptr;
  bool changing_ = false;
};
constinit thread_local LastStream last_stream;

std::uint64_t next_producer() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

class ProducerState {
 public:
  ProducerState(shm::Segment segment, base::Fd presence, const ChannelMap& map, bool keep,
                pthread_key_t key)
      : segment_(std::move(segment)),
        presence_(std::move(presence)),
        map_(map),
        keep_(keep),
        key_(key),
        clock_(map.producer->sync, map.consumer->sync) {
    for (std::uint32_t i = 0; i < map_.shape.streams; ++i) slots_.emplace_back(map_, i, keep);
    map_.producer->side.pid = static_cast<std::uint32_t>(::getpid());
    set(abi::RelayProducerState::kOpen);
  }

  static base::Result<std::unique_ptr<ProducerState>> make(shm::Segment segment, base::Fd presence,
                                                           const ChannelMap& map, bool keep);
  ~ProducerState();

  // Of this thread; nullptr if there is none left.
  Writer* writer() noexcept {
    Writer* const last = last_stream.of(number_);
    return last != nullptr ? last : find_writer();
  }

  bool of_this_process() const noexcept { return not_inherited_.is_ours(); }

  // Under TCG a guest's threads take turns on one processor, and no other side adds to it.
  void count_no_stream() noexcept {
    map_.producer->side.no_stream.fetch_add(1, std::memory_order_release);
  }

  bool close(std::chrono::nanoseconds drain);
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  // Has this call still something to do with the channel?  If not, it is counted.
  bool may_call() noexcept {
    if (of_this_process() && !closed()) return true;
    wrong_calls.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  bool connected() const noexcept {
    return consumer_state() == abi::RelayConsumerState::kConnected;
  }

  bool answer_clock(std::chrono::nanoseconds spin) noexcept {
    map_.producer->side.heartbeat.store(stamp(), std::memory_order_relaxed);
    return clock_.answer_burst(spin);
  }

  int fd() const noexcept { return segment_.fd(); }
  const ChannelMap& map() const noexcept { return map_; }
  std::atomic<std::uint64_t> wrong_calls{0};

 private:
  friend class Living;

  Writer* find_writer() noexcept;
  Slot* claim() noexcept;
  void let_go() noexcept {
    segment_.release_descriptor();
    presence_.reset();
  }
  bool drained() const noexcept;
  // Somebody is connected, or what was kept waits for the first who will be.
  bool expects_a_reader() const noexcept {
    return connected() || (keep_ && consumer_state() == abi::RelayConsumerState::kNone);
  }
  abi::RelayConsumerState consumer_state() const noexcept {
    return static_cast<abi::RelayConsumerState>(
        map_.consumer->side.state.load(std::memory_order_relaxed));
  }
  void set(abi::RelayProducerState state) noexcept {
    map_.producer->side.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  }

  shm::Segment segment_;  // empty in somebody else's memory
  base::Fd presence_;     // likewise
  ChannelMap map_;
  const bool keep_;
  pthread_key_t key_;
  ClockAnswerer clock_;
  std::deque<Slot> slots_;
  const std::uint64_t number_ = next_producer();
  std::atomic<bool> closed_{false};
  const NotInherited not_inherited_{[this] { let_go(); }};
};

// The producers of this process: a thread that ends gives its stream back only to one that is
// still there.
class Living {
 public:
  static Living& all() {
    static auto* const living = new Living;  // for threads that end after main()
    return *living;
  }

  void add(ProducerState* state) {
    const std::scoped_lock lock(mutex_);
    states_.push_back(state);
  }
  void remove(ProducerState* state) {
    const std::scoped_lock lock(mutex_);
    std::erase(states_, state);
  }

  // A thread's end, by pthread_key_create().
  static void give_back(void* slot) {
    last_stream.set(0, nullptr);  // what this thread still writes claims anew
    Living& living = all();
    const std::scoped_lock lock(living.mutex_);
    for (const ProducerState* state : living.states_) {
      for (const Slot& one : state->slots_) {
        if (&one == slot) static_cast<Slot*>(slot)->taken.store(false, std::memory_order_release);
      }
    }
  }

 private:
  // The lock is held over a fork, so that the child finds it free.
  Living() {
    ::pthread_atfork([] { all().mutex_.lock(); }, [] { all().mutex_.unlock(); },
                     [] { all().mutex_.unlock(); });
  }

  std::mutex mutex_;
  std::vector<ProducerState*> states_;
};

base::Result<std::unique_ptr<ProducerState>> ProducerState::make(shm::Segment segment,
                                                                 base::Fd presence,
                                                                 const ChannelMap& map, bool keep) {
  pthread_key_t key{};
  if (const int number = ::pthread_key_create(&key, Living::give_back); number != 0) {
    return base::fail_errno(number, "give each thread a stream of a relay channel");
  }
  auto state =
      std::make_unique<ProducerState>(std::move(segment), std::move(presence), map, keep, key);
  Living::all().add(state.get());
  return state;
}

ProducerState::~ProducerState() {
  Living::all().remove(this);
  if (of_this_process() && !closed()) close({});
  ::pthread_key_delete(key_);
}

[[gnu::noinline]] Writer* ProducerState::find_writer() noexcept {
  auto* slot = static_cast<Slot*>(::pthread_getspecific(key_));
  if (slot == nullptr) slot = claim();
  if (slot == nullptr) return nullptr;
  last_stream.set(number_, &slot->writer);
  return &slot->writer;
}

Slot* ProducerState::claim() noexcept {
  for (Slot& slot : slots_) {
    bool taken = false;
    if (!slot.taken.compare_exchange_strong(taken, true, std::memory_order_acquire)) continue;
    if (::pthread_setspecific(key_, &slot) == 0) return &slot;
    slot.taken.store(false, std::memory_order_release);
    return nullptr;
  }
  return nullptr;
}

// A consumer that claims to have read more than there is has itself to blame.
bool ProducerState::drained() const noexcept {
  for (std::uint32_t i = 0; i < map_.shape.streams; ++i) {
    const auto commit = map_.producer->streams[i].commit.load(std::memory_order_acquire);
    if (map_.consumer->streams[i].consumed.load(std::memory_order_acquire) != commit) return false;
  }
  return true;
}

bool ProducerState::close(std::chrono::nanoseconds drain) {
  constexpr std::chrono::milliseconds kStep(1);
  closed_.store(true, std::memory_order_relaxed);
  set(abi::RelayProducerState::kClosing);
  for (Slot& slot : slots_) slot.writer.close();
  const auto end = std::chrono::steady_clock::now() + drain;
  bool all_read = drained();
  while (!all_read && expects_a_reader() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kStep);
    all_read = drained();
  }
  set(abi::RelayProducerState::kClosed);
  let_go();  // the mapping stays for who still writes
  return all_read;
}

Producer::Producer(std::unique_ptr<ProducerState> state) noexcept
    : state_(std::move(state)), consumer_(&state_->map().consumer->side.state) {}
Producer::Producer(Producer&& other) noexcept = default;
Producer& Producer::operator=(Producer&& other) noexcept = default;
Producer::~Producer() = default;

base::Result<Producer> Producer::open(const ChannelOptions& options) {
  FL_TRY(shm::Segment segment, create_channel(options));
  FL_TRY(base::Fd presence, take_side(segment.fd(), Side::kProducer));
  FL_TRY(const ChannelMap map, map_channel(segment.data(), segment.size()));
  FL_TRY(auto state,
         ProducerState::make(std::move(segment), std::move(presence), map, options.keep));
  return Producer(std::move(state));
}

base::Result<Producer> Producer::open_in(std::byte* at, std::uint64_t bytes,
                                         const ChannelOptions& options) {
  FL_TRY(const ChannelMap map, lay_out_channel(at, bytes, options));
  FL_TRY(auto state, ProducerState::make({}, {}, map, options.keep));
  return Producer(std::move(state));
}

Written Producer::write(std::uint16_t type, std::uint64_t stamp, const void* payload,
                        std::size_t bytes) noexcept {
  if (!state_->of_this_process()) [[unlikely]]
    return Written::kClosed;
  Writer* const writer = state_->writer();
  if (writer == nullptr) [[unlikely]] {
    state_->count_no_stream();
    return Written::kNoStream;
  }
  return writer->write(type, stamp, payload, bytes);
}

bool Producer::has_room(std::size_t bytes) noexcept {
  if (!state_->of_this_process()) return false;
  Writer* const writer = state_->writer();
  return writer != nullptr && writer->has_room(bytes);
}

base::Result<bool> Producer::close(std::chrono::nanoseconds drain) {
  if (!state_->may_call()) {
    return base::fail(ErrorKind::kClosed, state_->of_this_process()
                                              ? "this relay channel is closed already"
                                              : "this relay channel is the parent process's");
  }
  return state_->close(drain);
}

bool Producer::answer_clock(std::chrono::nanoseconds spin) noexcept {
  return state_->may_call() && state_->answer_clock(spin);
}

int Producer::fd() const noexcept { return state_->fd(); }
std::uint64_t Producer::bytes() const noexcept { return state_->map().bytes; }
ChannelId Producer::id() const noexcept { return state_->map().id(); }
bool Producer::closed() const noexcept { return !state_->of_this_process() || state_->closed(); }
std::uint64_t Producer::wrong_calls() const noexcept {
  return state_->wrong_calls.load(std::memory_order_relaxed);
}

}  // namespace fairlead::relay
