// SPDX-License-Identifier: Apache-2.0
//
// How far the producer's clock is ahead of the consumer's: a ping-pong over one word each way
// (RelaySyncOut, RelaySyncIn), without a system call on either side.
//
//     consumer    h1 = now;  round = n                      … sees n;  h2 = now
//     producer                          sees n;  g = now;  stamp = g;  round = n
//
// g was taken between h1 and h2, so producer − consumer lies in [g − h2, g − h1].  Both clocks run
// at one rate (a guest's time stamp counter is the host's plus a constant), so all such intervals
// have the truth in common: their intersection is a bound that holds, not an estimate.  Where it is
// empty the clock has stepped.
//
// The two ends are a template over their words and the time, as a stream's are (platform.h), so
// that the model checker runs the same source.
//
// Thread-safety: an asker and an answerer each belong to one thread.  Units: ticks of stamp().
// Distrust: a producer that lies about its clock gets wrong times for its own events, no more.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "relay/platform.h"

namespace fairlead::relay {

// Where producer − consumer lies.  What a hostile producer says may lie anywhere, and its ends the
// wrong way round: all arithmetic is modulo 2^64.
struct ClockInterval {
  std::int64_t low = 0;
  std::int64_t high = 0;

  std::uint64_t width() const noexcept {
    return static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  }
  // The middle is this near to the truth.
  std::uint64_t half_width() const noexcept { return width() / 2 + width() % 2; }
  std::int64_t middle() const noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + width() / 2);
  }
};

// Nothing: they have nothing in common.
std::optional<ClockInterval> intersection(const ClockInterval& one,
                                          const ClockInterval& other) noexcept;

// The producer's side.  A stamp is stored before the round that tells of it, which releases it.
template <typename P>
class BasicClockAnswerer {
 public:
  BasicClockAnswerer(typename P::SyncIn& in, const typename P::SyncOut& out) noexcept
      : in_(in), out_(out) {}

  // Answers if there is a new question; false: there is none.  The faster, the tighter the bound.
  bool answer() noexcept {
    const std::uint64_t round = P::template load<Site::kSeeAsked>(out_.round);
    if (round == answered_) return false;
    P::template store<Site::kPutStamp>(in_.stamp, P::ordered_stamp());
    P::template store<Site::kAnswer>(in_.round, round);
    answered_ = round;
    return true;
  }
  // The same, and then, as questions come in bursts, for as long after each as `spin`.
  bool answer_burst(std::chrono::nanoseconds spin) noexcept {
    if (!answer()) return false;
    const std::uint64_t patience = P::stamps_in(spin);
    for (std::uint64_t last = P::stamp(); P::stamp() - last < patience;) {
      if (answer()) last = P::stamp();
    }
    return true;
  }

 private:
  typename P::SyncIn& in_;
  const typename P::SyncOut& out_;
  std::uint64_t answered_ = 0;
};

// The consumer's side.
template <typename P>
class BasicClockAsker {
 public:
  // Goes on with the rounds of who asked before.
  BasicClockAsker(const typename P::SyncIn& in, typename P::SyncOut& out) noexcept
      : in_(in), out_(out), round_(P::template load<Site::kSeeAsked>(out.round)) {}

  // Waits so long for the first answer, as the producer looks now and then only; the others follow
  // at once.  Nothing: nobody answered.
  std::optional<ClockInterval> measure(int rounds, std::chrono::nanoseconds patience) noexcept {
    auto known = ask(patience);
    for (int i = 1; known && i < rounds; ++i) {
      const auto more = ask(kAnswerAtOnce);
      if (!more) break;
      const auto common = intersection(*known, *more);
      known = common ? common : more;  // it stepped just now: what came last is true
    }
    return known;
  }

 private:
  static constexpr std::chrono::nanoseconds kAnswerAtOnce = std::chrono::microseconds(500);

  // An answer that comes too late answers no later question: the rounds differ.
  std::optional<ClockInterval> ask(std::chrono::nanoseconds patience) noexcept {
    const std::uint64_t limit = P::stamps_in(patience);
    ++round_;
    const std::uint64_t asked = P::ordered_stamp();
    P::template store<Site::kAsk>(out_.round, round_);
    while (P::template load<Site::kSeeAnswer>(in_.round) != round_) {
      if (P::stamp() - asked > limit) return std::nullopt;
      P::relax();
    }
    const std::uint64_t theirs = P::template load<Site::kSeeStamp>(in_.stamp);
    const std::uint64_t answered = P::ordered_stamp();
    return ClockInterval{static_cast<std::int64_t>(theirs - answered),
                         static_cast<std::int64_t>(theirs - asked)};
  }

  const typename P::SyncIn& in_;
  typename P::SyncOut& out_;
  std::uint64_t round_;
};

using ClockAnswerer = BasicClockAnswerer<Production>;
using ClockAsker = BasicClockAsker<Production>;

// What is known of a producer's clock over time.
class ClockCertificate {
 public:
  // True: it fits what was known.  False: the clock has stepped, and all that was known is void.
  bool add(const ClockInterval& measured) noexcept;

  bool known() const noexcept { return known_; }
  const ClockInterval& interval() const noexcept { return interval_; }
  std::uint32_t epoch() const noexcept { return epoch_; }  // grows with each step

 private:
  ClockInterval interval_;
  std::uint32_t epoch_ = 0;
  bool known_ = false;
};

}  // namespace fairlead::relay
