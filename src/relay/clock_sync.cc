// SPDX-License-Identifier: Apache-2.0
//
// The orders: a stamp that is stored is released with the round that tells of it; a round that was
// seen acquires it.  That the counter is read after the round was seen no memory order says:
// ordered_stamp() does.
#include "relay/clock_sync.h"

#include <algorithm>

#include "relay/stamp.h"

namespace fairlead::relay {
namespace {

constexpr std::chrono::nanoseconds kAnswerAtOnce = std::chrono::microseconds(500);

std::int64_t difference(std::uint64_t one, std::uint64_t other) noexcept {
  return static_cast<std::int64_t>(one - other);
}

std::uint64_t ticks(std::chrono::nanoseconds time) noexcept {
  return static_cast<std::uint64_t>(static_cast<double>(time.count()) *
                                    static_cast<double>(stamp_hz()) * 1e-9);
}

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

std::uint64_t ordered_stamp() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#endif
  return stamp();
}

std::optional<ClockInterval> intersection(const ClockInterval& one,
                                          const ClockInterval& other) noexcept {
  const ClockInterval common{std::max(one.low, other.low), std::min(one.high, other.high)};
  if (common.low > common.high) return std::nullopt;
  return common;
}

bool ClockAnswerer::answer() noexcept {
  const std::uint64_t round = out_.round.load(std::memory_order_acquire);
  if (round == answered_) return false;
  in_.stamp.store(ordered_stamp(), std::memory_order_relaxed);
  in_.round.store(round, std::memory_order_release);
  answered_ = round;
  return true;
}

bool ClockAnswerer::answer_burst(std::chrono::nanoseconds spin) noexcept {
  if (!answer()) return false;
  const std::uint64_t patience = ticks(spin);
  for (std::uint64_t last = stamp(); stamp() - last < patience;) {
    if (answer()) last = stamp();
  }
  return true;
}

ClockAsker::ClockAsker(const abi::RelaySyncIn& in, abi::RelaySyncOut& out) noexcept
    : in_(in), out_(out), round_(out.round.load(std::memory_order_relaxed)) {}

std::optional<ClockInterval> ClockAsker::ask(std::chrono::nanoseconds patience) noexcept {
  const std::uint64_t limit = ticks(patience);
  ++round_;
  const std::uint64_t asked = ordered_stamp();
  out_.round.store(round_, std::memory_order_release);
  while (in_.round.load(std::memory_order_acquire) != round_) {
    if (stamp() - asked > limit) return std::nullopt;
    relax();
  }
  const std::uint64_t theirs = in_.stamp.load(std::memory_order_relaxed);
  const std::uint64_t answered = ordered_stamp();
  return ClockInterval{difference(theirs, answered), difference(theirs, asked)};
}

std::optional<ClockInterval> ClockAsker::measure(int rounds,
                                                 std::chrono::nanoseconds patience) noexcept {
  std::optional<ClockInterval> known = ask(patience);
  for (int i = 1; known && i < rounds; ++i) {
    const auto more = ask(kAnswerAtOnce);
    if (!more) break;
    const auto common = intersection(*known, *more);
    known = common ? common : more;  // it stepped just now: what came last is true
  }
  return known;
}

bool ClockCertificate::add(const ClockInterval& measured) noexcept {
  const auto common = known_ ? intersection(interval_, measured) : measured;
  const bool stepped = !common;
  if (stepped) ++epoch_;
  interval_ = common.value_or(measured);
  known_ = true;
  return !stepped;
}

}  // namespace fairlead::relay
