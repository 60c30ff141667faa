// SPDX-License-Identifier: Apache-2.0
#include "block/client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "block/slot_pool.h"
#include "fairlead/abi/control.h"
#include "relay/stamp.h"
#include "shm/adaptive_poll.h"
#include "shm/call_table.h"
#include "shm/control_socket.h"
#include "shm/peer_call.h"
#include "shm/peer_message.h"
#include "shm/ring_segment.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr int kAsides = 5;      // yields of a thread that does not lead, before it sleeps
constexpr int kMostFaults = 3;  // within the memory of faults
constexpr std::int64_t kFaultMemoryNs = 60 * base::kNanosPerSecond;
constexpr int kRetryMs = 10;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kEndSector = std::uint64_t{1} << 51;  // 2^60 bytes

// A number of this thread in this process, from 1 on.
std::uint32_t this_thread() noexcept {
  static std::atomic<std::uint32_t> last{0};
  static thread_local const std::uint32_t mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

ReadStatus status_of(abi::BlockStatus status) noexcept {
  switch (status) {
    case abi::BlockStatus::kOk: return ReadStatus::kOk;
    case abi::BlockStatus::kOutOfRange: return ReadStatus::kOutOfRange;
    case abi::BlockStatus::kInvalid: return ReadStatus::kInvalid;
    case abi::BlockStatus::kUnsupported:
    case abi::BlockStatus::kReadOnly: return ReadStatus::kUnsupported;
    case abi::BlockStatus::kIoError: break;
  }
  return ReadStatus::kIoError;
}

// A write to anything else may block for ever, or raise SIGPIPE.
bool is_eventfd(int fd) noexcept {
  char target[32] = "";
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  if (length > 0) {
    return std::string_view(target, static_cast<std::size_t>(length)) == "anon_inode:[eventfd]";
  }
  // Without /proc: files without a type are anonymous, and of those only an eventfd lets us wait.
  struct stat file{};
  return ::fstat(fd, &file) == 0 && (file.st_mode & S_IFMT) == 0;
}

// Empties an eventfd without waiting, though another process may set it blocking at any moment.
// Who waits to write into it goes on.
void empty(int fd) noexcept {
  std::uint64_t count = 0;
  iovec all{&count, sizeof count};
  if (::preadv2(fd, &all, 1, -1, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP) return;
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  (void)!::read(fd, &count, sizeof count);
}

}  // namespace

const char* explain(ReadStatus status) noexcept {
  switch (status) {
    case ReadStatus::kOk: return "done";
    case ReadStatus::kIoError: return "the device failed this read";
    case ReadStatus::kOutOfRange: return "sectors past the end of the image";
    case ReadStatus::kInvalid: return "a size that the service cannot read at once";
    case ReadStatus::kUnsupported: return "an operation this service does not offer";
    case ReadStatus::kClosed: return "the service is gone and did not come back in time";
    case ReadStatus::kTimeout: return "the service did not answer in time";
  }
  return "unknown";
}

// The connection, and the host of the table of calls: how its leader waits.
class Client::Link {
 public:
  explicit Link(const ClientOptions& options)
      : options_(options),
        slots_(std::bit_ceil(std::max(options.slots, abi::kMinSlots))),
        poll_({.max_ns = options.poll_ns}),
        calls_(slots_, *this),
        free_slots_(slots_),
        seen_(slots_),
        patrolled_ns_(base::monotonic_ns()),
        own_bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Link();

  base::Status open();
  ReadStatus call(abi::BlockRequest request, std::span<std::byte> out) noexcept;
  std::uint32_t data_bytes() const noexcept { return options_.data_bytes; }
  std::uint32_t number() const noexcept { return number_.load(std::memory_order_relaxed); }
  std::uint64_t reconnects() const noexcept { return reconnects_.load(std::memory_order_relaxed); }

  // shm::CallTable's host.
  void begin() noexcept { poll_.begin(); }
  bool again() noexcept { return poll_.again(); }
  void answered() noexcept { poll_.answered(); }
  void slept() noexcept { poll_.slept(); }
  bool step_aside(int times) noexcept {
    if (times >= kAsides || !poll_.brief()) return false;
    ::sched_yield();
    return true;
  }
  std::int64_t timeout_ns() const noexcept { return options_.request_ns; }
  void fault() noexcept {
    const std::int64_t now = base::monotonic_ns();
    if (now - last_fault_ns_ > kFaultMemoryNs) faults_.store(0, std::memory_order_relaxed);
    last_fault_ns_ = now;
    faults_.fetch_add(1, std::memory_order_relaxed);
    ::shutdown(registration_->socket.fd(), SHUT_RDWR);
  }

 private:
  using Calls = shm::CallTable<shm::Production, abi::BlockRequest, abi::BlockResponse, Link>;

  base::Result<shm::Registration> enlist(std::int64_t timeout_ns) const;
  base::Status adopt(shm::Registration registration);
  void mark(std::uint32_t slot, std::uint64_t id, std::uint64_t called,
            std::uint64_t posted) noexcept;
  void ring_doorbell() noexcept;
  void ring_aside();
  void silence_doorbell() noexcept;

  enum class Wake : std::uint8_t { kStop, kHangUp, kExpired };
  void watch();
  Wake wait() noexcept;
  std::int64_t patrol() noexcept;
  std::int64_t period_ns() const noexcept {
    return std::max(options_.request_ns / 8, base::kNanosPerMilli);
  }
  void reconnect();
  void give_up() noexcept;
  bool stopping(int wait_ms) const noexcept;

  const ClientOptions options_;
  const std::uint32_t slots_;

  // Guarded by the table's lead.
  shm::AdaptivePoll poll_;
  std::int64_t last_fault_ns_ = 0;

  Calls calls_;
  SlotPool free_slots_;

  // Changed only while the table is paused.
  std::unique_ptr<shm::Registration> registration_;
  shm::Segment segment_;
  shm::RingMap map_;
  base::Fd doorbell_;  // keeps its number over reconnects: a late ring never hits a stranger

  std::atomic<std::uint32_t> number_{0};
  std::atomic<std::uint64_t> reconnects_{0};
  std::atomic<int> faults_{0};
  std::atomic<int> ringing_{0};  // threads that may be in a write to the doorbell
  std::atomic<bool> expired_{false};
  std::atomic<bool> traced_{false};  // marks were wanted when a call last looked

  // Belong to the watching thread.
  struct Seen {
    std::uint64_t id = 0;       // of the call in this slot
    std::int64_t since_ns = 0;  // it was posted after this
  };
  std::vector<Seen> seen_;
  std::int64_t patrolled_ns_;
  std::int64_t first_end_ns_ = kNever;  // when the oldest call has had its time
  std::thread ringer_;

  const base::Fd own_bell_;  // stands in for the doorbell of a service that is gone
  const base::Fd stop_;
  std::thread watcher_;
};

Client::Link::~Link() {
  if (!watcher_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  watcher_.join();
  silence_doorbell();
  if (ringer_.joinable()) ringer_.join();
}

base::Status Client::Link::open() {
  if (!stop_ || !own_bell_) return base::fail_errno(errno, "create an eventfd");
  FL_TRY(shm::Registration registration, enlist(options_.connect_ns));
  FL_TRY_STATUS(adopt(std::move(registration)));
  watcher_ = std::thread([this] { watch(); });
  ::pthread_setname_np(watcher_.native_handle(), "fl-watch");
  return {};
}

base::Result<shm::Registration> Client::Link::enlist(std::int64_t timeout_ns) const {
  const auto hello = shm::make_hello(slots_, options_.data_bytes, options_.weight, options_.name);
  return shm::register_client(options_.socket_path, hello, timeout_ns);
}

base::Status Client::Link::adopt(shm::Registration registration) {
  const abi::ControlWelcome& welcome = registration.welcome;
  FL_TRY(shm::Segment segment,
         shm::Segment::attach(std::move(registration.segment), welcome.segment_bytes));
  FL_TRY(const shm::RingMap map,
         shm::map_ring(segment, welcome.generation, sizeof(abi::BlockRequest),
                       sizeof(abi::BlockResponse)));
  if (map.sizes.slot_count < slots_ || map.sizes.data_bytes < options_.data_bytes) {
    return base::fail(ErrorKind::kLimit,
                      "the service gives " + std::to_string(map.sizes.slot_count) + " slots of " +
                          std::to_string(map.sizes.data_bytes) + " bytes, not " +
                          std::to_string(slots_) + " of " + std::to_string(options_.data_bytes));
  }
  if (!is_eventfd(registration.doorbell.get())) {
    return base::fail(ErrorKind::kCorrupt, "the service's doorbell is no eventfd");
  }
  if (!doorbell_) {
    doorbell_ = std::move(registration.doorbell);
  } else if (::dup3(registration.doorbell.get(), doorbell_.get(), O_CLOEXEC) < 0) {
    return base::fail_errno(errno, "replace the doorbell");
  }
  segment.release_descriptor().reset();
  segment_ = std::move(segment);
  map_ = map;
  number_.store(welcome.client, std::memory_order_relaxed);
  registration_ = std::make_unique<shm::Registration>(std::move(registration));
  poll_.heed(map.control->back.may_poll);
  const std::uint32_t count = map.sizes.slot_count;
  const bool notify =
      calls_.attach({map.control->front.request_produced, map.control->back.request_event,
                     reinterpret_cast<abi::BlockRequest*>(map.requests), count},
                    {map.control->back.response_produced, map.control->front.response_event,
                     reinterpret_cast<const abi::BlockResponse*>(map.responses), count});
  if (notify) ring_aside();
  return {};
}

// The service may fill its eventfd and set it blocking: then this waits, until silence_doorbell().
void Client::Link::ring_doorbell() noexcept {
  const std::uint64_t one = 1;
  ringing_.fetch_add(1, std::memory_order_seq_cst);
  (void)!::write(doorbell_.get(), &one, sizeof one);
  ringing_.fetch_sub(1, std::memory_order_release);
}

// For the watching thread, which must not wait: it is the one that frees the others.
void Client::Link::ring_aside() {
  if (ringer_.joinable()) ringer_.join();  // silenced before
  try {
    ringer_ = std::thread([this] { ring_doorbell(); });
  } catch (const std::system_error&) {
    ring_doorbell();  // no more threads to be had: an honest service does not let us wait
  }
}

// From here on nobody rings the old doorbell, and nobody is left in a write to it.
void Client::Link::silence_doorbell() noexcept {
  const base::Fd old(::fcntl(doorbell_.get(), F_DUPFD_CLOEXEC, 0));
  ::dup3(own_bell_.get(), doorbell_.get(), O_CLOEXEC);
  while (ringing_.load(std::memory_order_seq_cst) > 0) {
    if (old) empty(old.get());
    ::sched_yield();
  }
  empty(own_bell_.get());
}

// Where the map stands still: after an answer, before the slot's release.  A call that began before
// marks were wanted leaves none.
void Client::Link::mark(std::uint32_t slot, std::uint64_t id, std::uint64_t called,
                        std::uint64_t posted) noexcept {
  if (called != 0) map_.marks[slot] = {id, called, posted, relay::stamp(), {}};
  const bool traced = map_.control->back.trace.load(std::memory_order_relaxed) != 0;
  if (traced != traced_.load(std::memory_order_relaxed)) {
    traced_.store(traced, std::memory_order_relaxed);
  }
}

ReadStatus Client::Link::call(abi::BlockRequest request, std::span<std::byte> out) noexcept {
  const bool traced = traced_.load(std::memory_order_relaxed);
  const std::uint64_t called = traced ? relay::stamp() : 0;
  const std::uint32_t slot = free_slots_.take();
  request.slot = slot;
  request.core = static_cast<std::uint16_t>(::sched_getcpu() + 1);
  request.thread = this_thread();
  const std::uint64_t posted = traced ? relay::stamp() : 0;
  if (calls_.post(slot, request)) ring_doorbell();
  abi::BlockResponse response;
  const shm::Outcome outcome = calls_.wait(slot, response);
  ReadStatus status =
      expired_.load(std::memory_order_relaxed) ? ReadStatus::kTimeout : ReadStatus::kClosed;
  if (outcome == shm::Outcome::kAnswered) {
    status = status_of(response.status);
    if (status == ReadStatus::kOk) {
      if (response.bytes != out.size())
        status = ReadStatus::kIoError;
      else
        std::memcpy(out.data(), map_.data_of(slot), out.size());
    }
    mark(slot, response.id, called, posted);
  }
  calls_.release(slot);
  free_slots_.give_back(slot);
  return status;
}

// ---- the watching thread ----

void Client::Link::watch() {
  for (Wake wake = wait(); wake != Wake::kStop; wake = wait()) {
    silence_doorbell();
    patrol();
    calls_.pause();
    if (wake == Wake::kExpired) {
      expired_.store(true, std::memory_order_relaxed);
      give_up();
    } else {
      reconnect();
    }
    calls_.resume();
    if (!segment_) return;
  }
}

// Nothing in a call's own path looks at a clock for its deadline; this thread does, now and then.
Client::Link::Wake Client::Link::wait() noexcept {
  pollfd ends[2] = {{registration_->socket.fd(), POLLIN | POLLRDHUP, 0}, {stop_.get(), POLLIN, 0}};
  for (;;) {
    const std::int64_t left = patrol();
    if (left <= 0) return Wake::kExpired;
    const timespec limit{left / base::kNanosPerSecond, left % base::kNanosPerSecond};
    const int ready = ::ppoll(ends, 2, &limit, nullptr);
    if (ready > 0) return ends[1].revents != 0 ? Wake::kStop : Wake::kHangUp;
    // Woken far too late: this process was stopped, and nobody's time ran.
    const std::int64_t late = base::monotonic_ns() - patrolled_ns_ - left;
    if (ready != 0 || late <= period_ns()) continue;
    patrolled_ns_ += late;
    for (Seen& seen : seen_) seen.since_ns += late;
  }
}

// How long to sleep: until the oldest call has had its time, 0 if one has, at most a period.  What
// is seen for the first time counts as posted right after the last look.
std::int64_t Client::Link::patrol() noexcept {
  const std::int64_t now = base::monotonic_ns();
  const std::int64_t whole = options_.request_ns + options_.reconnect_ns;
  first_end_ns_ = kNever;
  calls_.each_open([&](std::uint32_t slot, std::uint64_t id) {
    if (seen_[slot].id != id) seen_[slot] = {id, patrolled_ns_};
    first_end_ns_ = std::min(first_end_ns_, seen_[slot].since_ns + whole);
  });
  patrolled_ns_ = now;
  return std::clamp<std::int64_t>(first_end_ns_ - now, 0, period_ns());
}

bool Client::Link::stopping(int wait_ms) const noexcept {
  pollfd stop{stop_.get(), POLLIN, 0};
  return ::poll(&stop, 1, wait_ms) > 0;
}

// With the table paused: connects anew and asks again what is unanswered, or closes the table.
void Client::Link::reconnect() {
  const std::int64_t deadline =
      std::min(base::monotonic_ns() + options_.reconnect_ns, first_end_ns_);
  while (faults_.load(std::memory_order_relaxed) < kMostFaults && !stopping(kRetryMs)) {
    const std::int64_t left = deadline - base::monotonic_ns();
    if (left <= 0) break;
    auto registration = enlist(std::min(left, options_.connect_ns));
    if (registration && adopt(std::move(*registration))) {
      reconnects_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
  give_up();
}

void Client::Link::give_up() noexcept {
  calls_.close();
  segment_ = shm::Segment();
}

// ---- the public face ----

Client::Client(std::unique_ptr<Link> link) : link_(std::move(link)) {}
Client::~Client() = default;

base::Result<std::unique_ptr<Client>> Client::connect(const ClientOptions& options) {
  auto link = std::make_unique<Link>(options);
  FL_TRY_STATUS(link->open());
  return std::unique_ptr<Client>(new Client(std::move(link)));
}

base::Result<abi::BlockGeometry> Client::geometry() {
  abi::BlockRequest request{};
  request.op = abi::BlockOp::kIdentify;
  abi::BlockGeometry geometry{};
  const ReadStatus status = link_->call(request, std::as_writable_bytes(std::span(&geometry, 1)));
  if (status != ReadStatus::kOk) {
    return base::fail(ErrorKind::kIo,
                      std::string("ask the service its geometry: ") + explain(status));
  }
  if (geometry.sector_bytes != abi::kSectorBytes || geometry.last_sector < geometry.first_sector ||
      geometry.last_sector >= kEndSector) {
    return base::fail(ErrorKind::kCorrupt, "the service tells an impossible geometry");
  }
  return geometry;
}

ReadStatus Client::read(std::uint64_t sector, std::span<std::byte> out) noexcept {
  if (out.empty() || out.size() % abi::kSectorBytes != 0 || out.size() > link_->data_bytes()) {
    return ReadStatus::kInvalid;
  }
  abi::BlockRequest request{};
  request.sector = sector;
  request.sector_count = static_cast<std::uint32_t>(out.size() / abi::kSectorBytes);
  request.op = abi::BlockOp::kRead;
  return link_->call(request, out);
}

std::uint32_t Client::number() const noexcept { return link_->number(); }
std::uint64_t Client::reconnects() const noexcept { return link_->reconnects(); }

}  // namespace fairlead::block
