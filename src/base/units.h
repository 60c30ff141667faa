// SPDX-License-Identifier: Apache-2.0
//
// Numbers as people write them, and back.  No locale; nothing is rounded or wraps unseen: what
// does not fit or is not whole is refused, in one line that says what was given and what is
// accepted.  The caller puts the option's name in front: error.at("--cache").
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace fairlead::base {

// "4096", "4K", "4KiB", "1.5G": bytes; B, K, M, G, T, P, E count in powers of 1024, with or without
// "iB", in either case.  "4KB" is refused, because some mean 1000 by it.
Result<std::uint64_t> parse_bytes(std::string_view text);

// The longest duration that is taken, ten years: no sum with a clock's now overflows.
inline constexpr std::int64_t kLongestNs = std::int64_t{10} * 365 * 86'400 * kNanosPerSecond;

// "20ms", "1.5s", "2min": nanoseconds, never negative; ns, us, ms, s, min, h.  A bare number counts
// in `bare_unit_ns`.  At most kLongestNs.
Result<std::int64_t> parse_duration_ns(std::string_view text,
                                       std::int64_t bare_unit_ns = kNanosPerSecond);

// Decimal digits, from `min` to `max` inclusive.
Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t min = 0,
                                     std::uint64_t max = std::numeric_limits<std::uint64_t>::max());

// "0.5", "1e-3": from `min` to `max` inclusive.
Result<double> parse_real(std::string_view text, double min, double max);

// Three digits for people: "512 B", "1.50 GiB"; "850 ns", "1.23 ms", "-2.00 s";
// "12.3 k requests/s"; "1.50 GiB/s".  Not for parsing: write the plain number for that.
std::string format_bytes(std::uint64_t bytes);
std::string format_ns(std::int64_t ns);
std::string format_rate(double per_second, std::string_view unit);
std::string format_byte_rate(double bytes_per_second);

}  // namespace fairlead::base
