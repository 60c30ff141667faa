// SPDX-License-Identifier: Apache-2.0
#include "disk/depth_rule.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace fairlead::disk {
namespace {

constexpr std::int64_t kScansPerWindow = 16;
constexpr float kNewestCostWeight = 1.0F / 16;
constexpr double kNoRatio = std::numeric_limits<double>::infinity();

}  // namespace

DepthRule::DepthRule(std::uint32_t max_clients, DepthLimits limits)
    : limits_(limits), clients_(max_clients), least_ratio_(kNoRatio) {
  FL_CHECK(limits.min_depth >= 1 && limits.min_depth <= limits.max_depth);
}

void DepthRule::add(std::uint32_t client, std::uint32_t weight) {
  FL_CHECK(weight > 0 && clients_[client].weight == 0);
  clients_[client] = {.weight = weight};
  clients_end_ = std::max(clients_end_, client + 1);
}

void DepthRule::remove(std::uint32_t client) {
  clients_[client] = {};
  while (clients_end_ > 0 && clients_[clients_end_ - 1].weight == 0) --clients_end_;
  scan();
}

void DepthRule::arrived(std::uint32_t index, std::uint32_t cost) noexcept {
  Client& client = clients_[index];
  if (client.peak == 0 && client.previous_peak == 0) {
    ++active_clients_;
    client.mean_cost = static_cast<float>(cost);
    rates_ += client.rate();
    least_ratio_ = std::min(least_ratio_, 1 / client.rate());
  }
  client.mean_cost += (static_cast<float>(cost) - client.mean_cost) * kNewestCostWeight;
  ++client.outstanding;
  if (client.outstanding > client.peak) {
    client.peak = client.outstanding;
    peaks_grew_ = peaks_grew_ || client.peak > client.previous_peak;
  }
}

void DepthRule::finished(std::uint32_t client, std::uint32_t count) noexcept {
  FL_CHECK(clients_[client].outstanding >= count);
  clients_[client].outstanding -= count;
}

std::uint32_t DepthRule::depth(std::int64_t now_ns) noexcept {
  if (now_ns - window_start_ns_ >= limits_.window_ns) {
    start_window(now_ns);
  } else if (peaks_grew_ && now_ns - scanned_ns_ >= limits_.window_ns / kScansPerWindow) {
    scanned_ns_ = now_ns;
    scan();
  }
  if (active_clients_ <= 1) return limits_.max_depth;
  const double wanted = least_ratio_ * rates_ / 2 - 1;
  return static_cast<std::uint32_t>(
      std::clamp<double>(wanted, limits_.min_depth, limits_.max_depth));
}

void DepthRule::start_window(std::int64_t now_ns) noexcept {
  const bool slept = now_ns - window_start_ns_ >= 2 * limits_.window_ns;
  for (std::uint32_t i = 0; i < clients_end_; ++i) {
    Client& client = clients_[i];
    client.previous_peak = slept ? client.outstanding : client.peak;
    client.peak = client.outstanding;
  }
  window_start_ns_ = now_ns;
  scanned_ns_ = now_ns;
  scan();
}

void DepthRule::scan() noexcept {
  active_clients_ = 0;
  rates_ = 0;
  least_ratio_ = kNoRatio;
  peaks_grew_ = false;
  for (std::uint32_t i = 0; i < clients_end_; ++i) {
    const Client& client = clients_[i];
    const std::uint32_t peak = std::max(client.peak, client.previous_peak);
    if (peak == 0) continue;
    ++active_clients_;
    rates_ += client.rate();
    least_ratio_ = std::min(least_ratio_, peak / client.rate());
  }
}

}  // namespace fairlead::disk
