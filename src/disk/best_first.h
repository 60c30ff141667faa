// SPDX-License-Identifier: Apache-2.0
//
// BestFirst: algorithm T's choice from a backlog, with weights that grow with age if there is a
// unit of age: 1 + (age / unit)^2, at most kMostWeight.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "disk/algorithm_t.h"
#include "disk/backlog.h"

namespace fairlead::disk {

class BestFirst {
 public:
  static constexpr std::int64_t kMostWeight = 100;

  BestFirst(std::uint32_t slots, std::int64_t age_unit_ns)
      : age_unit_ns_(age_unit_ns), algorithm_(slots), sectors_(slots), weights_(slots) {}

  // Not for an empty backlog.
  Slot of(const Backlog& backlog, std::uint64_t head, std::int64_t now_ns) {
    const std::uint32_t size = backlog.size();
    for (std::uint32_t i = 0; i < size; ++i) sectors_[i] = backlog.sector(backlog.at(i));
    if (age_unit_ns_ == 0) return backlog.at(algorithm_.first(head, {sectors_.data(), size}));
    for (std::uint32_t i = 0; i < size; ++i) {
      weights_[i] = weight(now_ns - backlog.arrived_ns(backlog.at(i)));
    }
    return backlog.at(algorithm_.first(head, {sectors_.data(), size}, {weights_.data(), size}));
  }

 private:
  std::uint32_t weight(std::int64_t age_ns) const noexcept {
    const double ages = static_cast<double>(age_ns) / static_cast<double>(age_unit_ns_);
    return static_cast<std::uint32_t>(std::min(1 + ages * ages, static_cast<double>(kMostWeight)));
  }

  std::int64_t age_unit_ns_;
  AlgorithmT algorithm_;
  std::vector<std::uint64_t> sectors_;
  std::vector<std::uint32_t> weights_;
};

}  // namespace fairlead::disk
