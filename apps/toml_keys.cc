// SPDX-License-Identifier: Apache-2.0
#include "apps/toml_keys.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"

namespace fairlead::apps {

base::Error wrong_at(const std::string& origin, const toml::node& node, const std::string& why) {
  return {base::ErrorKind::kInvalid,
          fmt::format("{} line {}: {}", origin, node.source().begin.line, why)};
}

base::Status refuse(const std::string& what) { return base::fail(base::ErrorKind::kInvalid, what); }

Setter number(double& to, double least, double most) {
  return [&to, least, most](const toml::node& node) -> base::Status {
    const auto value = node.value<double>();
    if (!value || !(*value >= least && *value <= most)) {
      return refuse(fmt::format("a number from {} to {} is expected", least, most));
    }
    to = *value;
    return {};
  };
}

Setter count(std::uint32_t& to, std::uint32_t most) {
  return [&to, most](const toml::node& node) -> base::Status {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0 || *value > most) {
      return refuse(fmt::format("a whole number from 0 to {} is expected", most));
    }
    to = static_cast<std::uint32_t>(*value);
    return {};
  };
}

Setter flag(bool& to) {
  return [&to](const toml::node& node) -> base::Status {
    const auto value = node.value_exact<bool>();
    if (!value) return refuse("true or false is expected");
    to = *value;
    return {};
  };
}

base::Status take_keys(const std::string& origin, const toml::table& table,
                       const std::string& section, const Setters& setters,
                       const std::vector<std::string>& others) {
  for (const auto& [key, node] : table) {
    const std::string word(key.str());
    const auto setter = setters.find(word);
    if (setter == setters.end()) {
      // A key of the other manager is none of ours: one file may serve both.
      if (std::ranges::find(others, word) != others.end()) continue;
      return base::fail(
          wrong_at(origin, node, fmt::format("{} has no key {}", section, base::quoted(word))));
    }
    if (auto set = setter->second(node); !set) {
      return base::fail(wrong_at(origin, node, fmt::format("{}: {}", word, set.error().message())));
    }
  }
  return {};
}

base::Result<toml::table> parse_toml(const std::string& text, const std::string& origin) {
  try {
    return toml::parse(text, origin);
  } catch (const toml::parse_error& error) {
    return base::fail(
        base::ErrorKind::kInvalid,
        fmt::format("{} line {}: {}", origin, error.source().begin.line, error.description()));
  }
}

}  // namespace fairlead::apps
