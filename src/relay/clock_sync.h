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
// Thread-safety: an asker and an answerer each belong to one thread.  Units: ticks of stamp().
// Distrust: a producer that lies about its clock gets wrong times for its own events, no more.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "fairlead/abi/relay.h"

namespace fairlead::relay {

// stamp(), after all that was loaded before: an early one would make the bound a lie.
std::uint64_t ordered_stamp() noexcept;

// Where producer − consumer lies.
struct ClockInterval {
  std::int64_t low = 0;
  std::int64_t high = 0;

  std::uint64_t width() const noexcept {
    return static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  }
  // The middle is this near to the truth.
  std::uint64_t half_width() const noexcept { return width() / 2 + width() % 2; }
  std::int64_t middle() const noexcept { return low + static_cast<std::int64_t>(width() / 2); }
};

// Nothing: they have nothing in common.
std::optional<ClockInterval> intersection(const ClockInterval& one,
                                          const ClockInterval& other) noexcept;

// The producer's side.
class ClockAnswerer {
 public:
  ClockAnswerer(abi::RelaySyncIn& in, const abi::RelaySyncOut& out) noexcept : in_(in), out_(out) {}

  // Answers if there is a new question; false: there is none.  The faster, the tighter the bound.
  bool answer() noexcept;
  // The same, and then, as questions come in bursts, for as long after each as `spin`.
  bool answer_burst(std::chrono::nanoseconds spin) noexcept;

 private:
  abi::RelaySyncIn& in_;
  const abi::RelaySyncOut& out_;
  std::uint64_t answered_ = 0;
};

// The consumer's side.
class ClockAsker {
 public:
  // Goes on with the rounds of who asked before.
  ClockAsker(const abi::RelaySyncIn& in, abi::RelaySyncOut& out) noexcept;

  // Waits so long for the first answer, as the producer looks now and then only; the others follow
  // at once.  Nothing: nobody answered.
  std::optional<ClockInterval> measure(int rounds, std::chrono::nanoseconds patience) noexcept;

 private:
  std::optional<ClockInterval> ask(std::chrono::nanoseconds patience) noexcept;

  const abi::RelaySyncIn& in_;
  abi::RelaySyncOut& out_;
  std::uint64_t round_;
};

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
