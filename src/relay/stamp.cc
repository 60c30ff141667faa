// SPDX-License-Identifier: Apache-2.0
#include "relay/stamp.h"

#include <time.h>

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

}  // namespace

std::uint64_t stamp_hz() noexcept {
#if defined(__x86_64__)
  static const std::uint64_t hz = measure();
  return hz;
#else
  return base::kNanosPerSecond;
#endif
}

}  // namespace fairlead::relay
