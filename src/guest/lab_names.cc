// SPDX-License-Identifier: Apache-2.0
#include "guest/lab_names.h"

#include <fmt/format.h>

#include "base/units.h"

namespace fairlead::guest {

using base::ErrorKind;

base::Status check_prefix(std::string_view prefix) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  const bool good = !prefix.empty() && prefix.size() <= 40 && prefix.front() != '.' &&
                    prefix.front() != '-' &&
                    prefix.find_first_not_of(kAllowed) == std::string_view::npos;
  if (good) return {};
  return base::fail(ErrorKind::kInvalid,
                    "a name has 1 to 40 of A-Z a-z 0-9 _ . - and begins with no dot or dash");
}

base::Result<std::vector<std::uint32_t>> parse_pins(std::string_view text, std::uint32_t count,
                                                    std::uint32_t online) {
  std::vector<std::uint32_t> pins;
  while (true) {
    const std::size_t end = text.find(',');
    FL_TRY(const std::uint64_t cpu, base::parse_unsigned(text.substr(0, end), 0, online - 1));
    pins.push_back(static_cast<std::uint32_t>(cpu));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  if (pins.size() == 1 || pins.size() == count) return pins;
  return base::fail(ErrorKind::kInvalid, fmt::format("{} processors for {} guests: give one for "
                                                     "all or one for each",
                                                     pins.size(), count));
}

std::optional<std::uint32_t> pin_of(const std::vector<std::uint32_t>& pins, std::uint32_t guest) {
  if (pins.empty()) return std::nullopt;
  return pins.size() == 1 ? pins.front() : pins[guest];
}

std::string relay_name(std::string_view folder, std::string_view guest) {
  std::uint64_t digest = 0xcbf2'9ce4'8422'2325;  // FNV-1a, 64 bits
  for (const char c : folder) {
    digest = (digest ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  }
  return fmt::format("fairlead-{:016x}-{}", digest, guest);
}

}  // namespace fairlead::guest
