// SPDX-License-Identifier: Apache-2.0
#include "disk/parameters.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/quote.h"
#include "base/units.h"

namespace fairlead::disk {
namespace {

base::Result<std::int64_t> read(Unit unit, std::string_view text) {
  if (unit == Unit::kNs) return base::parse_duration_ns(text);
  FL_TRY(const std::uint64_t value, base::parse_unsigned(text, 0, INT64_MAX));
  return static_cast<std::int64_t>(value);
}

}  // namespace

std::int64_t Parameters::operator[](std::string_view name) const {
  const auto found = std::ranges::find(all_, name, &Parameter::name);
  FL_CHECK(found != all_.end());
  return found->value;
}

std::uint32_t Parameters::count(std::string_view name) const {
  return static_cast<std::uint32_t>((*this)[name]);
}

base::Status Parameters::set(std::string_view name, std::string_view text) {
  const auto found = std::ranges::find(all_, name, &Parameter::name);
  if (found == all_.end()) {
    std::string known;
    for (const Parameter& one : all_) known.append(known.empty() ? "" : ", ").append(one.name);
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("no parameter {}; there is {}", base::quoted(name),
                                  known.empty() ? "none" : known));
  }
  const auto value = read(found->unit, text);
  if (!value) return base::fail(base::Error(value.error()).at(std::string(name)));
  if (*value < found->least || *value > found->most) {
    Parameter least = *found;
    Parameter most = *found;
    least.value = found->least;
    most.value = found->most;
    return base::fail(base::ErrorKind::kInvalid, fmt::format("{}: {} is not from {} to {}", name,
                                                             text, text_of(least), text_of(most)));
  }
  found->value = *value;
  return {};
}

base::Status Parameters::set_all(std::string_view list) {
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(word.size() + 1, list.size()));
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      return base::fail(base::ErrorKind::kInvalid,
                        fmt::format("{} is not NAME=VALUE", base::quoted(word)));
    }
    FL_TRY_STATUS(set(word.substr(0, equals), word.substr(equals + 1)));
  }
  return {};
}

std::string text_of(const Parameter& parameter) {
  if (parameter.unit != Unit::kNs) return fmt::format("{}", parameter.value);
  const auto value = parameter.value;
  if (value % 1'000'000 == 0) return fmt::format("{}ms", value / 1'000'000);
  if (value % 1000 == 0) return fmt::format("{}us", value / 1000);
  return fmt::format("{}ns", value);
}

}  // namespace fairlead::disk
