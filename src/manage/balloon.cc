// SPDX-License-Identifier: Apache-2.0
#include "manage/balloon.h"

#include <algorithm>
#include <cstdlib>

namespace fairlead::manage {
namespace {

constexpr std::int64_t kReached = std::int64_t{2} << 20;
constexpr std::uint64_t kFirstBackoff = 10;
constexpr std::uint64_t kLastBackoff = 80;

}  // namespace

std::int64_t Balloon::promised() const noexcept {
  const std::int64_t most = std::max(size_, target_);
  return interval_ <= peak_until_ ? std::max(most, peak_) : most;
}

void Balloon::mark(std::uint64_t interval) {
  mark_size_ = size_;
  mark_at_ = interval;
}

// Where it was not asked lately, it comes nearer to its target or stays; where it was, it may still
// have been on its way to the target before.
bool Balloon::is_foreign(std::int64_t last, bool asked) const {
  if (reached_ && !asked) return true;
  const auto [low, high] = std::minmax({last, target_, asked ? before_ : target_});
  return size_ < low - kReached || size_ > high + kReached;
}

void Balloon::observe(std::int64_t size, std::uint64_t interval, std::uint32_t patience) {
  const std::int64_t last = size_;
  const bool asked = asked_now_;
  size_ = size;
  interval_ = interval;
  asked_now_ = moved_by_others_ = newly_stuck_ = false;
  if (target_ < 0) {
    target_ = size;
    return;
  }
  if (std::abs(size - target_) <= kReached) {
    if (!reached_) backoff_ = 0;
    reached_ = true;
    return;
  }
  if (is_foreign(last, asked)) {
    moved_by_others_ = size != last;
    target_ = size;
    reached_ = true;
    return;
  }
  reached_ = false;
  const std::int64_t wish = target_ - mark_size_;
  const std::int64_t done = size - mark_size_;
  if ((wish > 0 ? done : -done) * 10 >= std::abs(wish)) {
    mark(interval);
  } else if (interval >= mark_at_ + patience) {
    newly_stuck_ = true;
    stuck_shrinking_ = wish < 0;
    backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLastBackoff);
    stuck_until_ = interval + backoff_;
  }
}

void Balloon::ask(std::int64_t target, std::uint64_t interval, std::uint64_t late) {
  if (!reached_ && target_ > size_ && target < target_) {
    peak_ = interval_ <= peak_until_ ? std::max(peak_, target_) : target_;
    peak_until_ = interval + late;
  }
  const bool same_way = (target > size_) == (target_ > size_);
  if (reached_ || !same_way) mark(interval);
  before_ = target_;
  target_ = target;
  asked_now_ = true;
  reached_ = std::abs(target - size_) <= kReached;
}

void Balloon::take_back() {
  if (!asked_now_) return;
  target_ = before_;
  reached_ = std::abs(target_ - size_) <= kReached;
}

}  // namespace fairlead::manage
