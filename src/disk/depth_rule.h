// SPDX-License-Identifier: Apache-2.0
//
// DepthRule: how many requests may be at the device at once, so that the order stays ours.  What
// the device holds it serves in its own order; what waits here is ordered by FairQueue.
//
// With o_c the most requests client c had outstanding (waiting or at the device) in the last one
// to two windows, r_c = weight / mean cost the rate of requests that its share comes to, and R the
// sum of r over the active clients (o_c > 0):
//
//     one active client    depth = max_depth
//     several              depth = clamp(min_c(o_c · R / r_c) / 2 - 1, min_depth, max_depth)
//
// Client c's share of the depth is depth · r_c / R < o_c / 2: more than half of what it has waits
// here, so that even when the device gives all back at once it does not run dry and lose its turn,
// and the turns alone decide the shares.
//
// Cost: O(1) for each call but one: depth() walks over the clients when a window ends, and at most
// every 1/16 window while peaks grow.  A newly active client lowers the depth at once.
// Thread-safety: none.  Times in nanoseconds of one monotonic clock.
#pragma once

#include <cstdint>
#include <vector>

namespace fairlead::disk {

struct DepthLimits {
  std::uint32_t min_depth = 8;
  std::uint32_t max_depth = 256;
  std::int64_t window_ns = 10'000'000;
};

class DepthRule {
 public:
  DepthRule(std::uint32_t max_clients, DepthLimits limits);

  void add(std::uint32_t client, std::uint32_t weight);
  // What the client still has at the device no longer counts, and must not be reported finished.
  void remove(std::uint32_t client);

  void arrived(std::uint32_t client, std::uint32_t cost) noexcept;
  void finished(std::uint32_t client, std::uint32_t count = 1) noexcept;

  std::uint32_t depth(std::int64_t now_ns) noexcept;
  std::uint32_t active_clients() const noexcept { return active_clients_; }

 private:
  struct Client {
    std::uint32_t weight = 0;
    std::uint32_t outstanding = 0;
    std::uint32_t peak = 0;           // in this window
    std::uint32_t previous_peak = 0;  // in the window before
    float mean_cost = 0;              // of about the last 16

    double rate() const noexcept { return weight / static_cast<double>(mean_cost); }
  };

  void start_window(std::int64_t now_ns) noexcept;
  void scan() noexcept;

  DepthLimits limits_;
  std::vector<Client> clients_;
  std::uint32_t clients_end_ = 0;  // none at or past this index
  std::uint32_t active_clients_ = 0;
  double rates_ = 0;        // of the active
  double least_ratio_ = 0;  // min_c(o_c / r_c); may be too low until a scan
  bool peaks_grew_ = false;
  std::int64_t window_start_ns_ = 0;
  std::int64_t scanned_ns_ = 0;
};

}  // namespace fairlead::disk
