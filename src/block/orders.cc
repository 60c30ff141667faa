// SPDX-License-Identifier: Apache-2.0
#include "block/orders.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace fairlead::block {

Orders::Orders() : signal_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { FL_CHECK(signal_); }

template <typename Change>
void Orders::give(Change&& change) {
  {
    const std::lock_guard lock(mutex_);
    change(batch_);
    waiting_.store(true, std::memory_order_relaxed);
  }
  signal();
}

void Orders::signal() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(signal_.get(), &one, sizeof one);
}

void Orders::adopt(std::unique_ptr<ClientPort> port) {
  const std::uint32_t client = port->identity().number;
  give([&](Batch& batch) { batch.moves.push_back({client, std::move(port)}); });
}

void Orders::drop(std::uint32_t client) {
  give([&](Batch& batch) { batch.moves.push_back({client, nullptr}); });
}

void Orders::drain() {
  give([](Batch& batch) { batch.drain = true; });
}

void Orders::halt() {
  give([](Batch& batch) { batch.halt = true; });
}

void Orders::nudge() {
  give([](Batch&) {});
}

ServiceStats Orders::ask_stats() {
  std::uint64_t before = 0;
  give([&](Batch& batch) {
    batch.wants_stats = true;
    before = answers_;
  });
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return closed_ || answers_ != before; });
  return stats_;
}

Orders::Batch Orders::take() {
  const std::lock_guard lock(mutex_);
  waiting_.store(false, std::memory_order_relaxed);
  taken_.fetch_add(1, std::memory_order_relaxed);
  return std::exchange(batch_, Batch{});
}

void Orders::answer_stats(ServiceStats stats) {
  {
    const std::lock_guard lock(mutex_);
    stats_ = std::move(stats);
    ++answers_;
  }
  answered_.notify_all();
}

void Orders::close(ServiceStats last) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    stats_ = std::move(last);
  }
  answered_.notify_all();
}

}  // namespace fairlead::block
