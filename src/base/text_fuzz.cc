// SPDX-License-Identifier: Apache-2.0
//
// Text from outside: whatever a size or a duration is made of, parsing answers or refuses on one
// line, and whatever a name is made of, JSON of it is valid and one line.
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/json.h"
#include "base/units.h"

namespace fairlead::base {
namespace {

template <typename T>
void check_refusal(const Result<T>& result) {
  if (result) return;
  FL_CHECK(result.error().message().size() < 300);
  FL_CHECK(result.error().message().find('\n') == std::string::npos);
}

void check(std::string_view text) {
  check_refusal(parse_bytes(text));
  check_refusal(parse_duration_ns(text));
  check_refusal(parse_unsigned(text, 1, 4096));
  if (const auto bytes = parse_bytes(text)) FL_CHECK(parse_bytes(std::to_string(*bytes)) == *bytes);

  std::string line;
  JsonWriter(line).begin_object().member(text, text).end_object();
  FL_CHECK(line.find('\n') == std::string::npos);
  FL_CHECK(nlohmann::json::accept(line));
}

}  // namespace
}  // namespace fairlead::base

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fairlead::base::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
