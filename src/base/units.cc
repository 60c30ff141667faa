// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/quote.h"

namespace fairlead::base {
namespace {

__extension__ using Wide = unsigned __int128;

struct Unit {
  std::string_view name;  // in lower case
  std::uint64_t size;
};

constexpr std::array<Unit, 14> kByteUnits = {{
    {"", 1},
    {"b", 1},
    {"k", std::uint64_t{1} << 10},
    {"kib", std::uint64_t{1} << 10},
    {"m", std::uint64_t{1} << 20},
    {"mib", std::uint64_t{1} << 20},
    {"g", std::uint64_t{1} << 30},
    {"gib", std::uint64_t{1} << 30},
    {"t", std::uint64_t{1} << 40},
    {"tib", std::uint64_t{1} << 40},
    {"p", std::uint64_t{1} << 50},
    {"pib", std::uint64_t{1} << 50},
    {"e", std::uint64_t{1} << 60},
    {"eib", std::uint64_t{1} << 60},
}};
constexpr std::string_view kBytesAccepted =
    "bytes as in 4096, 64K, 256MiB or 1.5G (powers of 1024)";

constexpr std::array<Unit, 6> kTimeUnits = {{
    {"ns", 1},
    {"us", kNanosPerMicro},
    {"ms", kNanosPerMilli},
    {"s", kNanosPerSecond},
    {"min", 60 * kNanosPerSecond},
    {"h", 3600 * kNanosPerSecond},
}};
constexpr std::string_view kTimeAccepted = "a duration as in 20ms, 1.5s or 2min (ns us ms s min h)";

std::unexpected<Error> refuse(std::string_view text, std::string_view why,
                              std::string_view accepted) {
  return fail(ErrorKind::kInvalid, fmt::format("{} {}; accepted: {}", quoted(text), why, accepted));
}

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::optional<std::uint64_t> size_of_unit(std::string_view name, std::span<const Unit> units) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const auto& unit : units) {
    if (unit.name == lower) return unit.size;
  }
  return std::nullopt;
}

struct Quantity {
  std::string_view whole;     // digits, at least one
  std::string_view fraction;  // digits behind the point, if any
  std::string_view unit;
};

std::optional<Quantity> split(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at])) ++at;
  Quantity quantity{.whole = text.substr(0, at), .fraction = {}, .unit = {}};
  if (quantity.whole.empty()) return std::nullopt;
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    quantity.fraction = text.substr(first, at - first);
    if (quantity.fraction.empty()) return std::nullopt;
  }
  quantity.unit = text.substr(at);
  return quantity;
}

// whole.fraction · unit, exact and at most `max`; else why not.
std::expected<std::uint64_t, std::string_view> product(const Quantity& quantity, std::uint64_t unit,
                                                       std::uint64_t max) {
  std::string_view fraction = quantity.fraction;
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  if (fraction.size() > 18) return std::unexpected("has too many digits");
  std::uint64_t whole = 0;
  const auto* end = quantity.whole.data() + quantity.whole.size();
  if (std::from_chars(quantity.whole.data(), end, whole).ec != std::errc()) {
    return std::unexpected("is too large");
  }
  Wide digits = 0;
  std::uint64_t scale = 1;
  for (const char c : fraction) {
    digits = digits * 10 + static_cast<unsigned>(c - '0');
    scale *= 10;
  }
  const Wide part = digits * unit;  // < 10^18 · 2^60
  if (part % scale != 0) return std::unexpected("is not a whole number of the smallest unit");
  const Wide total = static_cast<Wide>(whole) * unit + part / scale;
  if (total > max) return std::unexpected("is too large");
  return static_cast<std::uint64_t>(total);
}

// Three significant digits; what would round to four of them has gone to the next unit already.
std::string three_digits(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::string scaled(double value, double step, std::span<const std::string_view> units) {
  std::size_t unit = 0;
  while (std::fabs(value) >= step - 0.5 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), units[unit]);
}

constexpr std::array<std::string_view, 7> kByteNames = {"B",   "KiB", "MiB", "GiB",
                                                        "TiB", "PiB", "EiB"};

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto quantity = split(text);
  if (!quantity) return refuse(text, "is not a size", kBytesAccepted);
  const auto unit = size_of_unit(quantity->unit, kByteUnits);
  if (!unit) return refuse(text, "has no known unit", kBytesAccepted);
  const auto bytes = product(*quantity, *unit, std::numeric_limits<std::uint64_t>::max());
  if (!bytes) return refuse(text, bytes.error(), kBytesAccepted);
  return *bytes;
}

Result<std::int64_t> parse_duration_ns(std::string_view text, std::int64_t bare_unit_ns) {
  const auto quantity = split(text);
  if (!quantity) return refuse(text, "is not a duration", kTimeAccepted);
  const auto unit = quantity->unit.empty() ? static_cast<std::uint64_t>(bare_unit_ns)
                                           : size_of_unit(quantity->unit, kTimeUnits);
  if (!unit) return refuse(text, "has no known unit", kTimeAccepted);
  const auto ns = product(*quantity, *unit, kLongestNs);
  if (!ns) return refuse(text, ns.error(), kTimeAccepted);
  return static_cast<std::int64_t>(*ns);
}

Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool digits = !text.empty() && parsed.ptr == end;
  if (digits && parsed.ec == std::errc() && value >= min && value <= max) return value;
  const std::string accepted = max == std::numeric_limits<std::uint64_t>::max()
                                   ? fmt::format("a whole number from {}", min)
                                   : fmt::format("a whole number from {} to {}", min, max);
  return refuse(text, digits ? "is out of range" : "is not a whole number", accepted);
}

Result<double> parse_real(std::string_view text, double min, double max) {
  double value = 0;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool number = !text.empty() && parsed.ptr == end && parsed.ec == std::errc();
  if (number && value >= min && value <= max) return value;
  return refuse(text, number ? "is out of range" : "is not a number",
                fmt::format("a number from {} to {}", min, max));
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  return scaled(static_cast<double>(bytes), 1024, kByteNames);
}

std::string format_ns(std::int64_t ns) {
  constexpr std::array<std::string_view, 4> kNames = {"ns", "us", "ms", "s"};
  if (ns > -1000 && ns < 1000) return fmt::format("{} ns", ns);
  return scaled(static_cast<double>(ns), 1000, kNames);
}

std::string format_rate(double per_second, std::string_view unit) {
  constexpr std::array<std::string_view, 5> kPrefixes = {"", "k ", "M ", "G ", "T "};
  return fmt::format("{}{}/s", scaled(per_second, 1000, kPrefixes), unit);
}

std::string format_byte_rate(double bytes_per_second) {
  return scaled(bytes_per_second, 1024, kByteNames) + "/s";
}

}  // namespace fairlead::base
