// SPDX-License-Identifier: Apache-2.0
//
// Tests only.  NaiveQueue: what FairQueue must do, written plainly: lists, walks over everyone, no
// kept minimum or maximum.  The model of the property tests.  Its switches make the wrong queues
// that the fairness tests must find.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "disk/depth_rule.h"
#include "disk/fair_queue.h"

namespace fairlead::disk {

struct NaiveFaults {
  bool first_come = false;  // one queue for everybody
  bool no_deficit = false;  // one request a turn, whatever it costs
  bool no_sparse = false;   // nobody passes the depth
  bool no_debt = false;     // who passes the depth is not charged
};

class NaiveQueue {
 public:
  explicit NaiveQueue(std::uint32_t max_clients = 64, DepthLimits limits = {},
                      NaiveFaults faults = {})
      : depth_(max_clients, limits), faults_(faults) {
    for (std::uint32_t i = max_clients; i > 0; --i) free_.push_back(i - 1);
  }

  std::optional<ClientIndex> add(std::uint32_t weight, std::uint32_t capacity) {
    if (free_.empty()) return std::nullopt;
    const ClientIndex index = free_.back();
    free_.pop_back();
    clients_[index] = {.weight = weight, .capacity = capacity};
    depth_.add(index, weight);
    return index;
  }

  std::vector<std::uint32_t> remove(ClientIndex index) {
    std::vector<std::uint32_t> dropped;
    for (const auto& item : clients_[index].items) dropped.push_back(item.tag);
    if (!turns_.empty() && turns_.front() == index) granted_ = false;
    turns_.remove(index);
    sparse_.remove(index);
    std::erase_if(arrivals_, [&](ClientIndex c) { return c == index; });
    depth_.remove(index);
    if (clients_[index].in_flight == 0) free_.push_back(index);
    leaving_[index] = clients_[index].in_flight;
    clients_.erase(index);
    return dropped;
  }

  bool push(ClientIndex index, std::uint32_t tag, std::uint32_t cost) {
    Client& client = clients_.at(index);
    if (client.items.size() == client.capacity) return false;
    client.items.push_back({tag, cost});
    arrivals_.push_back(index);
    depth_.arrived(index, cost);
    if (client.items.size() == 1) turns_.push_back(index);
    note_sparse(index);
    return true;
  }

  std::optional<FairQueue::Pick> next(std::int64_t now_ns) {
    if (turns_.empty()) return std::nullopt;
    if (in_flight_ >= depth_.depth(now_ns)) {
      if (sparse_.empty() || faults_.no_sparse) return std::nullopt;
      return send(sparse_.front(), !faults_.no_debt);
    }
    if (faults_.first_come) return send(arrivals_.front(), false);
    if (faults_.no_deficit) {
      const ClientIndex index = turns_.front();
      turns_.splice(turns_.end(), turns_, turns_.begin());
      return send(index, false);
    }
    return send(turn(), true);
  }

  void completed(ClientIndex index) {
    --in_flight_;
    if (!clients_.contains(index)) {
      if (--leaving_[index] == 0) free_.push_back(index);
      return;
    }
    depth_.finished(index);
    Client& client = clients_.at(index);
    --client.in_flight;
    if (client.in_flight == 0 && client.items.empty()) client.deficit = 0;
    note_sparse(index);
  }

 private:
  struct Item {
    std::uint32_t tag;
    std::uint32_t cost;
  };
  struct Client {
    std::uint32_t weight = 1;
    std::uint32_t capacity = 1;
    std::int64_t deficit = 0;
    std::uint32_t in_flight = 0;
    std::deque<Item> items{};
  };

  ClientIndex turn() {
    for (;;) {
      Client& client = clients_.at(turns_.front());
      if (!granted_) {
        std::uint32_t least = FairQueue::kMaxWeight;
        std::uint32_t small = FairQueue::kMaxCost;
        std::uint32_t great = 1;
        for (const ClientIndex index : turns_) {
          least = std::min(least, clients_.at(index).weight);
          for (const Item& item : clients_.at(index).items) {
            small = std::min(small, std::bit_ceil(item.cost));
            great = std::max(great, std::bit_ceil(item.cost));
          }
        }
        const std::int64_t base = std::int64_t{std::max(small, great / 128)} << 16;
        const std::int64_t grant = base * client.weight / least;
        client.deficit = std::max(client.deficit, -128 * grant) + grant;
        granted_ = true;
      }
      if (client.deficit >= std::int64_t{client.items.front().cost} << 16) return turns_.front();
      note_sparse(turns_.front());
      turns_.splice(turns_.end(), turns_, turns_.begin());
      granted_ = false;
    }
  }

  FairQueue::Pick send(ClientIndex index, bool charged) {
    Client& client = clients_.at(index);
    const Item item = client.items.front();
    client.items.pop_front();
    arrivals_.erase(std::find(arrivals_.begin(), arrivals_.end(), index));
    if (charged) client.deficit -= std::int64_t{item.cost} << 16;
    ++client.in_flight;
    ++in_flight_;
    if (client.items.empty()) {
      if (turns_.front() == index) granted_ = false;
      turns_.remove(index);
      client.deficit = std::min<std::int64_t>(client.deficit, 0);
    }
    note_sparse(index);
    return {index, item.tag, item.cost};
  }

  void note_sparse(ClientIndex index) {
    const Client& client = clients_.at(index);
    const bool sparse = !client.items.empty() && client.in_flight == 0 && client.deficit >= 0;
    const bool there = std::find(sparse_.begin(), sparse_.end(), index) != sparse_.end();
    if (sparse && !there) sparse_.push_back(index);
    if (!sparse && there) sparse_.remove(index);
  }

  DepthRule depth_;
  NaiveFaults faults_;
  std::map<ClientIndex, Client> clients_;
  std::map<ClientIndex, std::uint32_t> leaving_;
  std::vector<ClientIndex> free_;
  std::list<ClientIndex> turns_;
  std::list<ClientIndex> sparse_;
  std::deque<ClientIndex> arrivals_;
  std::uint32_t in_flight_ = 0;
  bool granted_ = false;
};

}  // namespace fairlead::disk
