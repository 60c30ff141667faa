// SPDX-License-Identifier: Apache-2.0
//
// JsonFields: the fields of one JSON object, from untrusted text, each checked for type and range.
//
//     std::string problem;
//     JsonFields(json, problem).get("index", vcpu.index).get("online", vcpu.online);
//     if (!problem.empty()) …
//
// The first thing that is wrong stands in `problem`, in words for a user, and what comes after it
// changes nothing.  A field for an optional may be missing; any other may not.
//
// Thread-safety: none.  The object and the text must outlive the reader.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "manage/cpu_set.h"

namespace fairlead::manage {

class JsonFields {
 public:
  using Json = nlohmann::json;

  JsonFields(const Json& json, std::string& problem);

  bool has(const char* name) const { return fine() && json_.contains(name); }

  JsonFields& get(const char* name, bool& value);
  JsonFields& get(const char* name, std::string& value);
  JsonFields& get(const char* name, std::vector<std::string>& value);
  JsonFields& get(const char* name, CpuSet& value);  // "" is the empty set
  JsonFields& get(const char* name, double& value, double least, double most);

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  JsonFields& get(const char* name, T& value, T least = std::numeric_limits<T>::min(),
                  T most = std::numeric_limits<T>::max());

  template <typename T, typename... Range>
  JsonFields& get(const char* name, std::optional<T>& value, Range... range) {
    if (has(name)) get(name, value.emplace(), range...);
    return *this;
  }

  // Calls visit(element) for each element of an array, until something is wrong.
  template <typename Visit>
  JsonFields& each(const char* name, Visit&& visit);

 private:
  bool fine() const { return problem_.empty(); }
  const Json* find(const char* name);  // null, and the problem told, where it is missing
  void complain(std::string what);     // the first one stands

  const Json& json_;
  std::string& problem_;
};

template <std::integral T>
  requires(!std::same_as<T, bool>)
JsonFields& JsonFields::get(const char* name, T& value, T least, T most) {
  const Json* field = find(name);
  if (field == nullptr) return *this;
  const auto take = [&](auto number) {
    if (std::cmp_less(number, least) || std::cmp_greater(number, most)) return false;
    value = static_cast<T>(number);
    return true;
  };
  // Not get<T>(): it would cut what is too large, and round what is no whole number.
  const bool taken = field->is_number_unsigned()
                         ? take(field->template get<std::uint64_t>())
                         : field->is_number_integer() && take(field->template get<std::int64_t>());
  if (!taken) complain(fmt::format("'{}' is no whole number from {} to {}", name, least, most));
  return *this;
}

template <typename Visit>
JsonFields& JsonFields::each(const char* name, Visit&& visit) {
  const Json* field = find(name);
  if (field == nullptr) return *this;
  if (!field->is_array()) complain(fmt::format("'{}' is no list", name));
  for (auto element = field->begin(); fine() && element != field->end(); ++element) {
    visit(*element);
  }
  return *this;
}

}  // namespace fairlead::manage
