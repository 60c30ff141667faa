// SPDX-License-Identifier: Apache-2.0
//
// The engine for systems that refuse io_uring: threads that pread, and epoll.  It keeps as many
// reads in flight as it has threads, and costs two more context switches a read.
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "block/engine.h"

namespace fairlead::block {
namespace {

constexpr std::size_t kMostThreads = 64;
constexpr std::uint64_t kCompletions = ~std::uint64_t{0};
constexpr std::size_t kAlign = 4096;

class PoolEngine final : public Engine {
 public:
  explicit PoolEngine(const EngineConfig& config)
      : config_(config),
        buffers_(static_cast<std::byte*>(
                     std::aligned_alloc(kAlign, std::size_t{config.slots} * config.buffer_bytes)),
                 &std::free) {
    done_.reserve(config.slots);
  }
  ~PoolEngine() override;

  std::string_view name() const noexcept override { return "pread pool"; }
  base::Status start(int image_fd) override;
  void read(std::uint32_t slot, std::uint64_t offset, std::uint32_t bytes) override;
  void submit() override {}
  base::Status watch(int fd, std::uint64_t token) override;
  void unwatch(int fd, std::uint64_t token) override;
  std::size_t reap(std::span<EngineEvent> events) override;
  void wait(std::int64_t timeout_ns) override;
  std::byte* buffer(std::uint32_t slot) noexcept override {
    return buffers_.get() + std::size_t{slot} * config_.buffer_bytes;
  }
  const EngineCounts& counts() const noexcept override { return counts_; }

 private:
  struct Read {
    std::uint32_t slot;
    std::uint32_t bytes;
    std::uint64_t offset;
  };
  void work();
  void finish(const EngineEvent& event);

  const EngineConfig config_;
  EngineCounts counts_;
  int image_fd_ = -1;
  std::unique_ptr<std::byte[], decltype(&std::free)> buffers_;
  base::Fd epoll_;
  base::Fd completed_;  // an eventfd: something is in done_
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // guards the following
  std::condition_variable work_there_;
  std::deque<Read> asked_;
  std::vector<EngineEvent> done_;
  bool stop_ = false;
};

PoolEngine::~PoolEngine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_there_.notify_all();
  for (auto& thread : threads_) thread.join();
}

base::Status PoolEngine::start(int image_fd) {
  image_fd_ = image_fd;
  if (!buffers_) return base::fail(base::ErrorKind::kLimit, "no memory for read buffers");
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  completed_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !completed_) return base::fail_errno(errno, "set up epoll");
  FL_TRY_STATUS(watch(completed_.get(), kCompletions));
  const std::size_t count = image_fd < 0 ? 0 : std::min<std::size_t>(config_.slots, kMostThreads);
  for (std::size_t i = 0; i < count; ++i) {
    threads_.emplace_back([this] { work(); });
    ::pthread_setname_np(threads_.back().native_handle(), "fl-pread");
  }
  return {};
}

void PoolEngine::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_there_.wait(lock, [this] { return stop_ || !asked_.empty(); });
    if (stop_) return;
    const Read read = asked_.front();
    asked_.pop_front();
    lock.unlock();
    ssize_t got = 0;
    do {
      got = ::pread(image_fd_, buffer(read.slot), read.bytes, static_cast<off_t>(read.offset));
    } while (got < 0 && errno == EINTR);
    const auto result = static_cast<std::int32_t>(got < 0 ? -errno : got);
    lock.lock();
    finish({EngineEvent::Kind::kRead, read.slot, result});
  }
}

// Under mutex_.  The first of a batch signals for all.
void PoolEngine::finish(const EngineEvent& event) {
  done_.push_back(event);
  const std::uint64_t one = 1;
  if (done_.size() == 1) (void)!::write(completed_.get(), &one, sizeof one);
}

void PoolEngine::read(std::uint32_t slot, std::uint64_t offset, std::uint32_t bytes) {
  ++counts_.reads;
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back({slot, bytes, offset});
  }
  work_there_.notify_one();
}

base::Status PoolEngine::watch(int fd, std::uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return base::fail_errno(errno, "watch a doorbell");
  }
  return {};
}

void PoolEngine::unwatch(int fd, std::uint64_t /*token*/) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

std::size_t PoolEngine::reap(std::span<EngineEvent> events) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    count = std::min(events.size(), done_.size());
    std::copy_n(done_.begin(), count, events.begin());
    done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  epoll_event ready[64];
  const auto room = std::min<std::size_t>(std::size(ready), events.size() - count);
  if (room == 0) return count;
  ++counts_.enters;
  const int found = ::epoll_wait(epoll_.get(), ready, static_cast<int>(room), 0);
  for (int i = 0; i < found; ++i) {
    if (ready[i].data.u64 == kCompletions) continue;
    events[count++] = {EngineEvent::Kind::kReadable, ready[i].data.u64, 1};
  }
  return count;
}

void PoolEngine::wait(std::int64_t timeout_ns) {
  {
    const std::lock_guard lock(mutex_);
    if (!done_.empty()) return;
  }
  ++counts_.sleeps;
  ++counts_.enters;
  // Only looks: an event that is reported here edge-triggered would be lost, so sleep on the epoll
  // descriptor itself, which stays readable until reap() has taken what is there.
  pollfd self{epoll_.get(), POLLIN, 0};
  const timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::ppoll(&self, 1, timeout_ns < 0 ? nullptr : &limit, nullptr);
}

}  // namespace

base::Result<std::unique_ptr<Engine>> make_pool_engine(const EngineConfig& config) {
  return std::unique_ptr<Engine>(new PoolEngine(config));
}

}  // namespace fairlead::block
