// SPDX-License-Identifier: Apache-2.0
#include "shm/adaptive_poll.h"

#include <sched.h>

#include <algorithm>

#include "base/clock.h"
#include "shm/platform.h"

namespace fairlead::shm {
namespace {

constexpr int kPauses = 32;  // about a microsecond
constexpr std::int64_t kLeastBudgetNs = 20'000;
constexpr std::int64_t kFirstLookNs = 500;
constexpr int kLeastPenalty = 256;  // waits slept through; a lost time slice costs as much
constexpr int kMostPenalty = 16'384;

}  // namespace

std::int64_t AdaptivePoll::budget_ns() const noexcept {
  const std::int64_t average = average_ns();
  if (average > limits_.max_ns) return 0;
  return std::clamp(4 * average, std::min(kLeastBudgetNs, limits_.max_ns), limits_.max_ns);
}

bool AdaptivePoll::again() noexcept {
  if (limits_.max_ns == 0) {
    began_ns_ = base::monotonic_ns();
    return false;
  }
  if (++looks_ < kPauses) {
    cpu_relax();
    return true;
  }
  const std::int64_t now = base::monotonic_ns();
  if (began_ns_ == 0) {
    if (!begin_yielding(now)) return false;
  } else if (now - looked_ns_ > limits_.crowded_ns) {
    crowded_penalty_ = std::max(crowded_penalty_, kLeastPenalty);
    crowded_waits_ = crowded_penalty_;
    crowded_penalty_ = std::min(2 * crowded_penalty_, kMostPenalty);
    return false;
  }
  if (now >= until_ns_) return false;
  looked_ns_ = now;
  ::sched_yield();
  return true;
}

bool AdaptivePoll::begin_yielding(std::int64_t now) noexcept {
  began_ns_ = now;
  until_ns_ = now + budget_ns();
  if (crowded_waits_ > 0) {
    --crowded_waits_;
    return false;
  }
  return may_poll_ == nullptr || may_poll_->load(std::memory_order_relaxed) != 0;
}

void AdaptivePoll::answered() noexcept {
  if (began_ns_ == 0) return record(kFirstLookNs);
  if (crowded_penalty_ > kLeastPenalty) --crowded_penalty_;
  record(base::monotonic_ns() - began_ns_);
}

void AdaptivePoll::slept() noexcept { record(base::monotonic_ns() - began_ns_); }

void AdaptivePoll::record(std::int64_t wait_ns) noexcept {
  const std::int64_t wait = std::min(wait_ns, 2 * limits_.max_ns);
  const std::int64_t average = average_ns();
  average_ns_.store(average + (wait - average) / 8, std::memory_order_relaxed);
}

}  // namespace fairlead::shm
