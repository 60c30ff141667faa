// SPDX-License-Identifier: Apache-2.0
#include "relay/stamp.h"

#include <time.h>

#include <algorithm>
#include <limits>

namespace fairlead::relay {
namespace {

#if defined(__x86_64__)
struct Pair {
  std::uint64_t ns;
  std::uint64_t stamp;
};

// The pair whose two halves lie closest together of a few: an interrupt spoils one, hardly all.
Pair closest_pair() noexcept {
  Pair best{};
  std::uint64_t least = ~std::uint64_t{0};
  for (int i = 0; i < 16; ++i) {
    const std::uint64_t before = stamp();
    const std::uint64_t ns = monotonic_raw_ns();
    const std::uint64_t took = stamp() - before;
    if (took < least) {
      least = took;
      best = {ns, before + took / 2};
    }
  }
  return best;
}

// 20 ms: the pairs' own error of some 20 ns is then one in a million.
std::uint64_t measure() noexcept {
  constexpr timespec kPause{0, 20'000'000};
  const Pair first = closest_pair();
  ::nanosleep(&kPause, nullptr);
  const Pair second = closest_pair();
  const auto ticks = static_cast<unsigned __int128>(second.stamp - first.stamp);
  return static_cast<std::uint64_t>(ticks * base::kNanosPerSecond / (second.ns - first.ns));
}
#endif

__extension__ using Wide = __int128;

constexpr Wide kMostNs = std::numeric_limits<std::int64_t>::max();

// A time on CLOCK_MONOTONIC, and a stamp that was taken within `half_width` of it.
struct Look {
  std::int64_t ns;
  std::uint64_t stamp;
  std::uint64_t half_width;
};

// The narrowest of a few: an interrupt spoils one, hardly all.
Look look_at_both() noexcept {
  Look best{0, 0, ~std::uint64_t{0}};
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t before = ordered_stamp();
    const std::int64_t ns = base::monotonic_ns();
    const std::uint64_t took = ordered_stamp() - before;
    const std::uint64_t half = took / 2 + took % 2;
    if (half < best.half_width) best = {ns, before + took / 2, half};
  }
  return best;
}

}  // namespace

std::uint64_t stamps_in(std::chrono::nanoseconds time) noexcept {
  return static_cast<std::uint64_t>(static_cast<double>(time.count()) *
                                    static_cast<double>(stamp_hz()) * 1e-9);
}

std::uint64_t ns_in(std::uint64_t stamps) noexcept {
  const Wide ns = (Wide{stamps} * base::kNanosPerSecond + stamp_hz() - 1) / stamp_hz();
  return static_cast<std::uint64_t>(std::min<Wide>(ns, std::numeric_limits<std::uint64_t>::max()));
}

MonotonicTime monotonic_of(std::uint64_t stamp) noexcept {
  constexpr std::uint64_t kSteered = 1000;  // a thousandth
  const Look now = look_at_both();
  const auto since = static_cast<std::int64_t>(stamp - now.stamp);
  const Wide distance = Wide{since} * base::kNanosPerSecond / static_cast<Wide>(stamp_hz());
  const auto away =
      static_cast<std::uint64_t>(std::min(distance < 0 ? -distance : distance, kMostNs));
  // The clock's nanoseconds and the division are rounded.
  return {static_cast<std::int64_t>(std::clamp<Wide>(now.ns + distance, -kMostNs - 1, kMostNs)),
          ns_in(now.half_width) + away / kSteered + 2};
}

std::uint64_t stamp_hz() noexcept {
#if defined(__x86_64__)
  static const std::uint64_t hz = measure();
  return hz;
#else
  return base::kNanosPerSecond;
#endif
}

}  // namespace fairlead::relay
