// SPDX-License-Identifier: Apache-2.0
//
// For tests: where two traces differ.
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "trace/trace.h"

namespace fairlead::trace {

inline auto all_of(const Event& e) {
  const abi::BlockEvent& b = e.block;
  return std::tuple(e.time_ns, e.source, e.stream, b.sector, b.request, b.aux, b.bytes, b.action,
                    b.device, b.pid, b.cpu, b.error, b.queue, b.vm);
}
inline auto all_of(const Loss& l) {
  return std::tuple(l.last_ns, l.first_ns, l.records, l.bytes, l.source, l.stream, l.cause);
}
inline auto all_of(const Source& s) {
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  steps.reserve(s.steps.size());
  for (const Span& step : s.steps) steps.emplace_back(step.from_ns, step.to_ns);
  return std::tuple(s.kind, s.name, s.bound_ns, s.clock_known, steps);
}
inline auto all_of(const Device& d) { return std::tuple(d.source, d.device, d.name); }
inline auto all_of(const ProcessName& n) { return std::tuple(n.source, n.pid, n.name); }

template <typename T>
std::string first_difference(const char* what, const std::vector<T>& one, const std::vector<T>& two,
                             bool in_order) {
  if (one.size() != two.size()) return fmt::format("{} and {} {}", one.size(), two.size(), what);
  using All = decltype(all_of(one.front()));
  std::vector<All> left;
  std::vector<All> right;
  left.reserve(one.size());
  right.reserve(two.size());
  for (const T& item : one) left.push_back(all_of(item));
  for (const T& item : two) right.push_back(all_of(item));
  if (!in_order) {
    std::ranges::sort(left);
    std::ranges::sort(right);
  }
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i]) return fmt::format("{}: number {} differs", what, i);
  }
  return {};
}

// Empty: they are equal.  `in_order`: also in the order of what is of one time.
inline std::string difference(const Trace& one, const Trace& two, bool in_order = true) {
  if (one.wall_start_ns != two.wall_start_ns) return "the wall clock differs";
  if (one.cut != two.cut) return "one is cut";
  for (const std::string& found : {first_difference("sources", one.sources, two.sources, true),
                                   first_difference("devices", one.devices, two.devices, true),
                                   first_difference("names", one.names, two.names, true),
                                   first_difference("events", one.events, two.events, in_order),
                                   first_difference("losses", one.losses, two.losses, in_order)}) {
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace fairlead::trace
