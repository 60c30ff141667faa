// SPDX-License-Identifier: Apache-2.0
#include "relay/clock_sync.h"

#include <algorithm>

namespace fairlead::relay {

std::optional<ClockInterval> intersection(const ClockInterval& one,
                                          const ClockInterval& other) noexcept {
  const ClockInterval common{std::max(one.low, other.low), std::min(one.high, other.high)};
  if (common.low > common.high) return std::nullopt;
  return common;
}

bool ClockCertificate::add(const ClockInterval& measured) noexcept {
  const auto common = known_ ? intersection(interval_, measured) : measured;
  const bool stepped = !common;
  if (stepped) ++epoch_;
  interval_ = common.value_or(measured);
  known_ = true;
  return !stepped;
}

}  // namespace fairlead::relay
