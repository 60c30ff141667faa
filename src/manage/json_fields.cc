// SPDX-License-Identifier: Apache-2.0
#include "manage/json_fields.h"

namespace fairlead::manage {

JsonFields::JsonFields(const Json& json, std::string& problem) : json_(json), problem_(problem) {
  if (!json.is_object()) complain("it is no JSON object where one is due");
}

JsonFields& JsonFields::get(const char* name, bool& value) {
  const Json* field = find(name);
  if (field == nullptr) return *this;
  if (!field->is_boolean()) return complain(fmt::format("'{}' is not true or false", name)), *this;
  value = field->get<bool>();
  return *this;
}

JsonFields& JsonFields::get(const char* name, std::string& value) {
  const Json* field = find(name);
  if (field == nullptr) return *this;
  if (!field->is_string()) return complain(fmt::format("'{}' is no text", name)), *this;
  value = field->get<std::string>();
  return *this;
}

JsonFields& JsonFields::get(const char* name, std::vector<std::string>& value) {
  return each(name, [&](const Json& element) {
    if (!element.is_string()) return complain(fmt::format("'{}' is no list of texts", name));
    value.push_back(element.get<std::string>());
  });
}

JsonFields& JsonFields::get(const char* name, CpuSet& value) {
  std::string text;
  get(name, text);
  if (!fine() || text.empty()) return *this;
  auto set = CpuSet::parse(text);
  if (!set) return complain(fmt::format("'{}': {}", name, set.error().message())), *this;
  value = *std::move(set);
  return *this;
}

JsonFields& JsonFields::get(const char* name, double& value, double least, double most) {
  const Json* field = find(name);
  if (field == nullptr) return *this;
  const double number = field->is_number() ? field->get<double>() : least - 1;
  if (!(number >= least && number <= most)) {
    return complain(fmt::format("'{}' is no number from {} to {}", name, least, most)), *this;
  }
  value = number;
  return *this;
}

const JsonFields::Json* JsonFields::find(const char* name) {
  if (!fine()) return nullptr;
  const auto field = json_.find(name);
  if (field != json_.end()) return &*field;
  complain(fmt::format("'{}' is missing", name));
  return nullptr;
}

void JsonFields::complain(std::string what) {
  if (fine()) problem_ = std::move(what);
}

}  // namespace fairlead::manage
