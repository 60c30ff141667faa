// SPDX-License-Identifier: Apache-2.0
//
// FairQueue: who goes next to the device.  Deficit round robin (Shreedhar and Varghese, Efficient
// Fair Queuing using Deficit Round Robin, SIGCOMM 1995) over clients, not over their threads: each
// turn grants client c  q · w_c / w_min  sectors, w_min the least weight and q the least cost now
// waiting (at least 1/128 of the greatest; powers of two).  It sends what that pays for and keeps
// the rest for its next turn, unless it runs dry.  Shares follow the weights to within one request,
// whatever the others send.
//
// Depth: next() gives nothing while DepthRule's depth is at the device, but for one: a client with
// nothing at the device, and no debt, may always send one request.  It is charged for it: below
// zero it waits for its turns to repay before it passes the depth again; an idle client owes and
// owns nothing.  So a sparse client never waits for others' requests, and a busy one gains nothing.
//
// Cost: O(1) for push and completed, amortised O(1) for next: a request is paid for in one turn
// among equal costs, in at most 128 among unequal ones; so is a debt.  No allocation but in the
// constructor and in add. Thread-safety: none; the service thread owns it.  Costs are sectors (a
// flush costs 1), times are nanoseconds of one monotonic clock.  Misuse of an index is our bug:
// FL_CHECK.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "disk/count_set.h"
#include "disk/depth_rule.h"
#include "disk/index_list.h"

namespace fairlead::disk {

using ClientIndex = std::uint32_t;

class FairQueue {
 public:
  static constexpr std::uint32_t kMaxWeight = 1000;
  static constexpr std::uint32_t kMaxCost = 1 << 20;

  struct Pick {
    ClientIndex client;
    std::uint32_t tag;
    std::uint32_t cost;
  };

  explicit FairQueue(std::uint32_t max_clients = 1024, DepthLimits limits = {});

  // Nothing when max_clients are there.  1 ≤ weight ≤ kMaxWeight; at most `capacity` items wait.
  std::optional<ClientIndex> add(std::uint32_t weight, std::uint32_t capacity);

  // Drops what waits, oldest first, giving each tag to dropped(tag), which must not call back.
  // What is at the device is still to be reported completed; the index is not given out before.
  template <typename Visitor>
  void remove(ClientIndex client, Visitor&& dropped) {
    while (pending(client) > 0) dropped(pop(client).tag);
    forget(client);
  }

  // False, and nothing done, when the client's queue is full.  1 ≤ cost ≤ kMaxCost.
  bool push(ClientIndex client, std::uint32_t tag, std::uint32_t cost) noexcept;

  // What to send now; call until it gives nothing.
  std::optional<Pick> next(std::int64_t now_ns) noexcept;

  // One request of this client came back from the device.
  void completed(ClientIndex client) noexcept;

  std::uint32_t in_flight(ClientIndex client) const noexcept { return clients_[client].in_flight; }
  std::uint32_t pending(ClientIndex client) const noexcept { return clients_[client].pending; }
  std::uint32_t in_flight() const noexcept { return in_flight_; }
  std::uint32_t pending() const noexcept { return pending_; }
  std::uint32_t clients() const noexcept { return static_cast<std::uint32_t>(live_); }
  std::uint32_t depth(std::int64_t now_ns) noexcept { return depth_rule_.depth(now_ns); }

 private:
  struct Item {
    std::uint32_t tag = 0;
    std::uint32_t cost = 0;
  };
  struct Client {
    std::unique_ptr<Item[]> items;  // a ring of `capacity`
    std::int64_t deficit = 0;       // may send this much; sectors · 2^16; below zero: owes
    std::uint32_t capacity = 0;     // zero: removed
    std::uint32_t first = 0;
    std::uint32_t pending = 0;
    std::uint32_t in_flight = 0;
    std::uint32_t weight = 0;
  };

  Item pop(ClientIndex client) noexcept;
  void forget(ClientIndex client);
  Pick send(ClientIndex client) noexcept;
  ClientIndex whose_turn() noexcept;
  std::int64_t quantum(const Client& client) const noexcept;
  void update_sparse(ClientIndex client) noexcept;

  DepthRule depth_rule_;
  std::vector<Client> clients_;
  std::vector<ClientIndex> free_;
  IndexList turns_;   // clients with something waiting; the front's turn is on
  IndexList sparse_;  // of those, with nothing at the device and no debt
  bool turn_granted_ = false;
  CountSet<kMaxWeight + 1> waiting_weights_;
  CountSet<32> waiting_costs_;  // by bit_width(cost - 1)
  std::uint32_t in_flight_ = 0;
  std::uint32_t pending_ = 0;
  std::size_t live_ = 0;
};

}  // namespace fairlead::disk
