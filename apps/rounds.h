// SPDX-License-Identifier: Apache-2.0
//
// Rounds: what a program that looks every so many seconds waits for between two looks; and how such
// an interval is given on a command line.
//
// A late round is left out, not made up for.  The end is asked for between two rounds.
//
// Thread-safety: none.
#pragma once

#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "apps/command_line.h"
#include "base/clock.h"
#include "base/units.h"
#include "daemon/end_watch.h"

namespace fairlead::apps {

class Rounds {
 public:
  // The first round is now.
  Rounds(double interval_s, const daemon::EndWatch& end)
      : interval_ns_(static_cast<std::int64_t>(interval_s * 1e9)),
        end_(end),
        next_ns_(clock_.now_ns()) {}

  // Returns when the next one is due.  False: the end is asked for.
  bool await_next() {
    const std::int64_t now_ns = clock_.now_ns();
    next_ns_ = std::max(next_ns_ + interval_ns_, now_ns + interval_ns_ / 2);
    for (;;) {
      const std::int64_t left_ns = next_ns_ - clock_.now_ns();
      pollfd waiting{.fd = end_.fd(), .events = POLLIN, .revents = 0};
      const auto left_ms = std::max<std::int64_t>(0, (left_ns + 999'999) / base::kNanosPerMilli);
      if (::poll(&waiting, 1, static_cast<int>(left_ms)) > 0) return false;
      if (clock_.now_ns() >= next_ns_) return true;
    }
  }

 private:
  const base::SystemClock clock_;
  const std::int64_t interval_ns_;
  const daemon::EndWatch& end_;
  std::int64_t next_ns_;
};

// Seconds from 0.1 to an hour.
inline Check accepts_interval() {
  constexpr double kLeast = 0.1;
  constexpr double kMost = 3600;
  const auto why_not = [](const std::string& text) {
    return base::parse_real(text, kLeast, kMost)
               ? std::string()
               : fmt::format("'{}' is no interval: seconds from 0.1 to 3600", text);
  };
  return {.why_not = why_not, .in_help = "SECONDS"};
}

}  // namespace fairlead::apps
