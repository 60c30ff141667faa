// SPDX-License-Identifier: Apache-2.0
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "block/engine.h"

namespace fairlead::block {
namespace {

// A completion's user_data: what it is in the top byte, the slot or token below.
constexpr std::uint64_t kKindShift = 56;
constexpr std::uint64_t kValueMask = (std::uint64_t{1} << kKindShift) - 1;
enum : std::uint64_t { kIgnored = 0, kReadDone = 1, kSignalled = 2 };

constexpr std::uint64_t pack(std::uint64_t kind, std::uint64_t value) noexcept {
  return kind << kKindShift | (value & kValueMask);
}

class UringEngine final : public Engine {
 public:
  explicit UringEngine(const EngineConfig& config) : config_(config) {}
  ~UringEngine() override;

  std::string_view name() const noexcept override { return "io_uring"; }
  base::Status start(int image_fd) override;
  void read(std::uint32_t slot, std::uint64_t offset, std::uint32_t bytes) override;
  void submit() override;
  base::Status watch(int fd, std::uint64_t token) override;
  void unwatch(int fd, std::uint64_t token) override;
  std::size_t reap(std::span<EngineEvent> events) override;
  void wait(std::int64_t timeout_ns) override;
  std::byte* buffer(std::uint32_t slot) noexcept override {
    return buffers_ + std::size_t{slot} * config_.buffer_bytes;
  }
  const EngineCounts& counts() const noexcept override { return counts_; }

 private:
  base::Status map_buffers();
  base::Status create_ring();
  void register_image(int image_fd);
  io_uring_sqe* entry();
  std::size_t buffers_bytes() const noexcept {
    return std::size_t{config_.slots} * config_.buffer_bytes;
  }

  EngineConfig config_;
  EngineCounts counts_;
  io_uring ring_{};
  bool created_ = false;
  bool fixed_file_ = false;
  bool fixed_buffers_ = false;
  int image_fd_ = -1;
  std::byte* buffers_ = nullptr;
};

UringEngine::~UringEngine() {
  if (created_) ::io_uring_queue_exit(&ring_);
  if (buffers_ != nullptr) ::munmap(buffers_, buffers_bytes());
}

base::Status UringEngine::start(int image_fd) {
  FL_TRY_STATUS(map_buffers());
  FL_TRY_STATUS(create_ring());
  if (image_fd >= 0) register_image(image_fd);
  return {};
}

base::Status UringEngine::map_buffers() {
  void* address = ::mmap(nullptr, buffers_bytes(), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (address == MAP_FAILED) return base::fail_errno(errno, "allocate read buffers");
  buffers_ = static_cast<std::byte*>(address);
  return {};
}

// DEFER_TASKRUN (Linux 6.1) keeps completions from interrupting this thread; older kernels do
// without.
base::Status UringEngine::create_ring() {
  const unsigned entries = 2 * config_.slots;
  const unsigned best =
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  const unsigned cooperative = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  int error = -EINVAL;
  for (const unsigned flags : {best, cooperative, 0U}) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE;
    params.cq_entries = 2 * (config_.slots + config_.watches);
    error = ::io_uring_queue_init_params(entries, &ring_, &params);
    if (error == 0) {
      created_ = true;
      return {};
    }
    if (error != -EINVAL) break;
  }
  return base::fail(
      base::Error::from_errno(-error, "set up io_uring").advise("--engine pool does without it"));
}

// Both registrations save work a request and need nothing but memory that may be locked; where that
// limit is too small, plain reads serve as well.
void UringEngine::register_image(int image_fd) {
  image_fd_ = image_fd;
  fixed_file_ = ::io_uring_register_files(&ring_, &image_fd, 1) == 0;
  const iovec whole{buffers_, buffers_bytes()};
  fixed_buffers_ = ::io_uring_register_buffers(&ring_, &whole, 1) == 0;
}

io_uring_sqe* UringEngine::entry() {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    submit();
    sqe = ::io_uring_get_sqe(&ring_);
  }
  FL_CHECK(sqe != nullptr);
  return sqe;
}

void UringEngine::read(std::uint32_t slot, std::uint64_t offset, std::uint32_t bytes) {
  io_uring_sqe* sqe = entry();
  const int file = fixed_file_ ? 0 : image_fd_;
  if (fixed_buffers_) {
    ::io_uring_prep_read_fixed(sqe, file, buffer(slot), bytes, offset, 0);
  } else {
    ::io_uring_prep_read(sqe, file, buffer(slot), bytes, offset);
  }
  if (fixed_file_) sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = pack(kReadDone, slot);
  ++counts_.reads;
}

void UringEngine::submit() {
  if (::io_uring_sq_ready(&ring_) == 0) return;
  ++counts_.enters;
  ::io_uring_submit(&ring_);
}

base::Status UringEngine::watch(int fd, std::uint64_t token) {
  io_uring_sqe* sqe = entry();
  ::io_uring_prep_poll_multishot(sqe, fd, POLLIN);
  sqe->user_data = pack(kSignalled, token);
  submit();
  return {};
}

void UringEngine::unwatch(int /*fd*/, std::uint64_t token) {
  io_uring_sqe* sqe = entry();
  ::io_uring_prep_poll_remove(sqe, pack(kSignalled, token));
  sqe->user_data = pack(kIgnored, 0);
  submit();
}

std::size_t UringEngine::reap(std::span<EngineEvent> events) {
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  if ((flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
    ++counts_.enters;
    ::io_uring_get_events(&ring_);
  }
  std::size_t count = 0;
  unsigned seen = 0;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (count == events.size()) break;
    ++seen;
    const std::uint64_t kind = cqe->user_data >> kKindShift;
    const std::uint64_t value = cqe->user_data & kValueMask;
    if (kind == kReadDone) {
      events[count++] = {EngineEvent::Kind::kRead, value, cqe->res};
    } else if (kind == kSignalled && cqe->res != -ECANCELED) {
      const bool goes_on = cqe->res >= 0 && (cqe->flags & IORING_CQE_F_MORE) != 0;
      events[count++] = {EngineEvent::Kind::kReadable, value, goes_on ? 1 : 0};
    }
  }
  ::io_uring_cq_advance(&ring_, seen);
  return count;
}

void UringEngine::wait(std::int64_t timeout_ns) {
  ++counts_.enters;
  ++counts_.sleeps;
  io_uring_cqe* cqe = nullptr;
  __kernel_timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, timeout_ns < 0 ? nullptr : &limit, nullptr);
}

}  // namespace

base::Result<std::unique_ptr<Engine>> make_uring_engine(const EngineConfig& config) {
  return std::unique_ptr<Engine>(new UringEngine(config));
}

}  // namespace fairlead::block
