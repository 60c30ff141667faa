// SPDX-License-Identifier: Apache-2.0
//
// Order of time, in which what is of one time stays as it was.  (std::stable_sort does the same;
// that of libstdc++ 12 uses what clang takes for deprecated.)
//
// Thread-safety: a pure function.  Needs room for a second copy, unless all is in order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace fairlead::trace {

template <typename T>
void order_by(std::vector<T>& items, std::int64_t T::* time_ns) {
  if (std::ranges::is_sorted(items, {}, time_ns)) return;
  std::vector<std::pair<std::int64_t, std::size_t>> order;
  order.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) order.emplace_back(items[i].*time_ns, i);
  std::ranges::sort(order);
  std::vector<T> ordered;
  ordered.reserve(items.size());
  for (const auto& [time, index] : order) ordered.push_back(std::move(items[index]));
  items = std::move(ordered);
}

}  // namespace fairlead::trace
