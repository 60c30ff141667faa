// SPDX-License-Identifier: Apache-2.0
//
// Tests only.  ClosedLoopSim: clients whose threads each keep one request outstanding, a queue that
// orders them, and a device whose latency grows with what it holds, in virtual time.
//
//     latency(d) = base + d · each,  d = requests at the device with this one      (pipelined)
//     one batch of d at a time, all done after base + d · each                     (batched)
//     either way completions are seen at multiples of `coalesce`
//
// The defaults are what was measured on the target device: 47 us + 10.6 us · depth.
// A thread asks again `wake` after its completion was seen, uniform in [wake / 2, wake · 3 / 2).
// The same seed replays the same run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <queue>
#include <tuple>
#include <vector>

#include "base/random.h"

namespace fairlead::disk {

struct SimDevice {
  std::int64_t base_ns = 47'000;
  std::int64_t each_ns = 10'600;
  std::int64_t coalesce_ns = 20'000;
  bool batched = false;
};

struct SimClient {
  std::uint32_t threads = 1;
  std::uint32_t weight = 1;
  std::uint32_t cost = 1;
};

struct SimResult {
  struct Client {
    std::uint64_t sectors = 0;
    std::vector<std::int64_t> latencies_ns;  // from asking to seen completed
  };
  std::vector<Client> clients;
  std::uint64_t requests = 0;

  std::int64_t percentile_ns(std::size_t client, double fraction) const {
    auto sorted = clients[client].latencies_ns;
    if (sorted.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(fraction * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
    return sorted[static_cast<std::size_t>(at)];
  }
  double share(std::size_t client) const {
    double all = 0;
    for (const auto& each : clients) all += static_cast<double>(each.sectors);
    return static_cast<double>(clients[client].sectors) / all;
  }
  // Jain, Chiu and Hawe 1984, of sectors: 1 is equal, 1/n is one client alone.
  double jain() const {
    double sum = 0;
    double squares = 0;
    for (const auto& each : clients) {
      const auto sectors = static_cast<double>(each.sectors);
      sum += sectors;
      squares += sectors * sectors;
    }
    return sum * sum / (static_cast<double>(clients.size()) * squares);
  }
};

// Queue: add, push, next, completed as FairQueue has them.
template <typename Queue>
class ClosedLoopSim {
 public:
  ClosedLoopSim(Queue& queue, std::vector<SimClient> clients, SimDevice device = {},
                std::int64_t wake_ns = 6'000, std::uint64_t seed = 1)
      : queue_(queue),
        clients_(std::move(clients)),
        device_(device),
        wake_ns_(wake_ns),
        random_(seed) {
    for (std::uint32_t c = 0; c < clients_.size(); ++c) {
      index_.push_back(*queue_.add(clients_[c].weight, clients_[c].threads));
      asked_ns_.emplace_back(clients_[c].threads);
      for (std::uint32_t t = 0; t < clients_[c].threads; ++t) wake(0, c, t);
    }
    result_.clients.resize(clients_.size());
  }

  // Counts only what completes after `warm_up_ns`.
  SimResult run(std::int64_t until_ns, std::int64_t warm_up_ns = 50'000'000) {
    while (!events_.empty() && events_.top().time_ns < until_ns) {
      const std::int64_t now = events_.top().time_ns;
      for (; !events_.empty() && events_.top().time_ns == now; events_.pop()) {
        const Event event = events_.top();
        event.completion ? complete(event, now >= warm_up_ns) : ask(event);
      }
      while (const auto pick = queue_.next(now)) issue(now, pick->client, pick->tag);
      start_batch(now);
    }
    return std::move(result_);
  }

 private:
  struct Event {
    std::int64_t time_ns;
    std::uint64_t order;
    bool completion;
    std::uint32_t client;
    std::uint32_t thread;
    bool operator<(const Event& other) const {
      return std::tie(time_ns, order) > std::tie(other.time_ns, other.order);
    }
  };

  void at(std::int64_t time_ns, bool completion, std::uint32_t client, std::uint32_t thread) {
    events_.push({time_ns, order_++, completion, client, thread});
  }
  void wake(std::int64_t now, std::uint32_t client, std::uint32_t thread) {
    const auto jitter = random_.below(static_cast<std::uint64_t>(wake_ns_) + 1);
    at(now + wake_ns_ / 2 + static_cast<std::int64_t>(jitter), false, client, thread);
  }
  void ask(const Event& event) {
    asked_ns_[event.client][event.thread] = event.time_ns;
    queue_.push(index_[event.client], event.thread, clients_[event.client].cost);
  }
  std::int64_t seen(std::int64_t done) const {
    if (device_.coalesce_ns == 0) return done;
    return (done + device_.coalesce_ns - 1) / device_.coalesce_ns * device_.coalesce_ns;
  }
  void issue(std::int64_t now, std::uint32_t index, std::uint32_t thread) {
    const auto found = std::find(index_.begin(), index_.end(), index) - index_.begin();
    const auto client = static_cast<std::uint32_t>(found);
    ++at_device_;
    if (device_.batched) {
      gathered_.emplace_back(client, thread);
    } else {
      at(seen(now + device_.base_ns + at_device_ * device_.each_ns), true, client, thread);
    }
  }
  void start_batch(std::int64_t now) {
    if (running_ > 0 || gathered_.empty()) return;
    running_ = static_cast<std::int64_t>(gathered_.size());
    const std::int64_t done = seen(now + device_.base_ns + running_ * device_.each_ns);
    for (const auto& [client, thread] : gathered_) at(done, true, client, thread);
    gathered_.clear();
  }
  void complete(const Event& event, bool counted) {
    --at_device_;
    if (running_ > 0) --running_;
    queue_.completed(index_[event.client]);
    if (counted) {
      auto& client = result_.clients[event.client];
      client.sectors += clients_[event.client].cost;
      client.latencies_ns.push_back(event.time_ns - asked_ns_[event.client][event.thread]);
      ++result_.requests;
    }
    wake(event.time_ns, event.client, event.thread);
  }

  Queue& queue_;
  std::vector<SimClient> clients_;
  SimDevice device_;
  std::int64_t wake_ns_;
  base::Random random_;
  std::vector<std::uint32_t> index_;
  std::vector<std::vector<std::int64_t>> asked_ns_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::int64_t at_device_ = 0;
  std::int64_t running_ = 0;  // batched: of the batch at work
  std::vector<std::pair<std::uint32_t, std::uint32_t>> gathered_;
  SimResult result_;
};

}  // namespace fairlead::disk
