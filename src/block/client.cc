// SPDX-License-Identifier: Apache-2.0
#include "block/client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "block/slot_pool.h"
#include "fairlead/abi/control.h"
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

}  // namespace

const char* explain(ReadStatus status) noexcept {
  switch (status) {
    case ReadStatus::kOk: return "done";
    case ReadStatus::kIoError: return "the device failed this read";
    case ReadStatus::kOutOfRange: return "sectors past the end of the image";
    case ReadStatus::kInvalid: return "a size that the service cannot read at once";
    case ReadStatus::kUnsupported: return "an operation this service does not offer";
    case ReadStatus::kClosed: return "the service is gone and did not come back in time";
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
  void ring_doorbell() const noexcept;
  void watch();
  bool wait_for_hangup() const noexcept;
  void reconnect();
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
  const base::Fd stop_;
  std::thread watcher_;
};

Client::Link::~Link() {
  if (!watcher_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  watcher_.join();
}

base::Status Client::Link::open() {
  if (!stop_) return base::fail_errno(errno, "create an eventfd");
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
  if (notify) ring_doorbell();
  return {};
}

void Client::Link::ring_doorbell() const noexcept {
  const std::uint64_t one = 1;
  (void)!::write(doorbell_.get(), &one, sizeof one);
}

ReadStatus Client::Link::call(abi::BlockRequest request, std::span<std::byte> out) noexcept {
  const std::uint32_t slot = free_slots_.take();
  request.slot = slot;
  request.core = static_cast<std::uint16_t>(::sched_getcpu() + 1);
  if (calls_.post(slot, request)) ring_doorbell();
  abi::BlockResponse response;
  const shm::Outcome outcome = calls_.wait(slot, response);
  ReadStatus status = ReadStatus::kClosed;
  if (outcome == shm::Outcome::kAnswered) {
    status = status_of(response.status);
    if (status == ReadStatus::kOk) {
      if (response.bytes != out.size())
        status = ReadStatus::kIoError;
      else
        std::memcpy(out.data(), map_.data_of(slot), out.size());
    }
  }
  calls_.release(slot);
  free_slots_.give_back(slot);
  return status;
}

// ---- the watching thread ----

void Client::Link::watch() {
  while (wait_for_hangup()) {
    calls_.pause();
    reconnect();
    calls_.resume();
    if (!segment_) return;
  }
}

// False: the client is being destroyed.
bool Client::Link::wait_for_hangup() const noexcept {
  pollfd ends[2] = {{registration_->socket.fd(), POLLIN | POLLRDHUP, 0}, {stop_.get(), POLLIN, 0}};
  while (::poll(ends, 2, -1) < 0 && errno == EINTR) {
  }
  return ends[1].revents == 0;
}

bool Client::Link::stopping(int wait_ms) const noexcept {
  pollfd stop{stop_.get(), POLLIN, 0};
  return ::poll(&stop, 1, wait_ms) > 0;
}

// With the table paused: connects anew and asks again what is unanswered, or closes the table.
void Client::Link::reconnect() {
  const std::int64_t deadline = base::monotonic_ns() + options_.reconnect_ns;
  while (faults_.load(std::memory_order_relaxed) < kMostFaults && !stopping(kRetryMs)) {
    const std::int64_t left = deadline - base::monotonic_ns();
    if (left <= 0) break;
    auto registration = enlist(std::min(left, options_.connect_ns));
    if (registration && adopt(std::move(*registration))) {
      reconnects_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
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
  if (geometry.sector_bytes != abi::kSectorBytes || geometry.last_sector < geometry.first_sector) {
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
