// SPDX-License-Identifier: Apache-2.0
#include "disk/fair_queue.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace fairlead::disk {
namespace {

constexpr int kFractionBits = 16;

// The greatest request waiting is paid for in at most 2^7 turns.  One turn would be the textbook's
// quantum: a client of small requests would then need as many of them waiting to keep up.
constexpr std::uint32_t kTurnsBits = 7;

// A debt from large requests is not carried far into a time of small ones: that bounds the turns
// that send nothing.
constexpr std::int64_t kMaxDebtTurns = 1 << kTurnsBits;

std::int64_t fixed(std::uint32_t sectors) noexcept {
  return std::int64_t{sectors} << kFractionBits;
}

std::uint32_t cost_class(std::uint32_t cost) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(cost - 1));
}

}  // namespace

FairQueue::FairQueue(std::uint32_t max_clients, DepthLimits limits)
    : depth_rule_(max_clients, limits),
      clients_(max_clients),
      turns_(max_clients),
      sparse_(max_clients) {
  for (std::uint32_t i = max_clients; i > 0; --i) free_.push_back(i - 1);
}

std::optional<ClientIndex> FairQueue::add(std::uint32_t weight, std::uint32_t capacity) {
  FL_CHECK(weight >= 1 && weight <= kMaxWeight && capacity >= 1);
  if (free_.empty()) return std::nullopt;
  const ClientIndex index = free_.back();
  clients_[index] = {
      .items = std::make_unique<Item[]>(capacity), .capacity = capacity, .weight = weight};
  free_.pop_back();
  depth_rule_.add(index, weight);
  ++live_;
  return index;
}

void FairQueue::forget(ClientIndex index) {
  Client& client = clients_[index];
  FL_CHECK(client.capacity > 0);
  client.capacity = 0;
  client.items.reset();
  depth_rule_.remove(index);
  --live_;
  if (client.in_flight == 0) free_.push_back(index);
}

bool FairQueue::push(ClientIndex index, std::uint32_t tag, std::uint32_t cost) noexcept {
  Client& client = clients_[index];
  FL_CHECK(client.capacity > 0 && cost >= 1 && cost <= kMaxCost);
  if (client.pending == client.capacity) return false;
  const std::uint32_t end = client.capacity - client.first;
  const std::uint32_t at =
      client.pending < end ? client.first + client.pending : client.pending - end;
  client.items[at] = {tag, cost};
  ++client.pending;
  ++pending_;
  waiting_costs_.add(cost_class(cost));
  depth_rule_.arrived(index, cost);
  if (client.pending == 1) {
    turns_.push_back(index);
    waiting_weights_.add(client.weight);
    update_sparse(index);
  }
  return true;
}

std::optional<FairQueue::Pick> FairQueue::next(std::int64_t now_ns) noexcept {
  if (turns_.empty()) return std::nullopt;
  if (in_flight_ < depth_rule_.depth(now_ns)) return send(whose_turn());
  if (sparse_.empty()) return std::nullopt;
  return send(sparse_.front());
}

// The first client from the front of the turns that can pay for its oldest request.
ClientIndex FairQueue::whose_turn() noexcept {
  for (;;) {
    const ClientIndex index = turns_.front();
    Client& client = clients_[index];
    if (!turn_granted_) {
      const std::int64_t grant = quantum(client);
      client.deficit = std::max(client.deficit, -kMaxDebtTurns * grant) + grant;
      turn_granted_ = true;
    }
    if (client.deficit >= fixed(client.items[client.first].cost)) return index;
    update_sparse(index);
    turns_.rotate();
    turn_granted_ = false;
  }
}

FairQueue::Pick FairQueue::send(ClientIndex index) noexcept {
  Client& client = clients_[index];
  const Item item = client.items[client.first];
  client.deficit -= fixed(item.cost);
  ++client.in_flight;
  ++in_flight_;
  pop(index);
  update_sparse(index);
  return {index, item.tag, item.cost};
}

FairQueue::Item FairQueue::pop(ClientIndex index) noexcept {
  Client& client = clients_[index];
  const Item item = client.items[client.first];
  if (++client.first == client.capacity) client.first = 0;
  --client.pending;
  --pending_;
  waiting_costs_.drop(cost_class(item.cost));
  if (client.pending == 0) {
    if (turns_.front() == index) turn_granted_ = false;
    turns_.erase(index);
    waiting_weights_.drop(client.weight);
    client.deficit = std::min<std::int64_t>(client.deficit, 0);
    update_sparse(index);
  }
  return item;
}

void FairQueue::completed(ClientIndex index) noexcept {
  Client& client = clients_[index];
  FL_CHECK(client.in_flight > 0);
  --client.in_flight;
  --in_flight_;
  if (client.capacity == 0) {
    if (client.in_flight == 0) free_.push_back(index);
    return;
  }
  depth_rule_.finished(index);
  if (client.in_flight > 0) return;
  if (client.pending == 0) client.deficit = 0;
  update_sparse(index);
}

std::int64_t FairQueue::quantum(const Client& client) const noexcept {
  const std::uint32_t greatest = waiting_costs_.greatest();
  const std::uint32_t enough = greatest > kTurnsBits ? greatest - kTurnsBits : 0;
  const std::int64_t base = fixed(1) << std::max(waiting_costs_.least(), enough);
  return base * client.weight / waiting_weights_.least();
}

void FairQueue::update_sparse(ClientIndex index) noexcept {
  const Client& client = clients_[index];
  const bool sparse = client.pending > 0 && client.in_flight == 0 && client.deficit >= 0;
  if (sparse == sparse_.contains(index)) return;
  sparse ? sparse_.push_back(index) : sparse_.erase(index);
}

}  // namespace fairlead::disk
