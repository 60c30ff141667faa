// SPDX-License-Identifier: Apache-2.0
#include "sim/resampled_workload.h"

#include <algorithm>
#include <span>
#include <unordered_map>

namespace fairlead::sim {
namespace {

constexpr std::size_t kOpenStretches = 20;
constexpr std::size_t kLeastStretch = 100;  // requests

disk::IoRequest request_of(const disk::RecordedRequest& one, std::uint32_t owner) {
  return {.sector = one.sector, .sector_count = one.sector_count, .op = one.op, .owner = owner};
}

using Requests = std::span<const disk::RecordedRequest>;

void add_open(Requests requests, std::uint32_t owners, Chains& out) {
  std::int64_t last_ns = requests.front().arrived_ns;
  out.chains.emplace_back();
  for (const disk::RecordedRequest& one : requests) {
    out.chains.front().push_back({one.arrived_ns - last_ns, request_of(one, one.owner)});
    last_ns = one.arrived_ns;
  }
  out.owners = owners;
}

void add_closed(Requests requests, Chains& out) {
  struct Chain {
    std::uint32_t number;
    std::int64_t answered_ns;
  };
  std::unordered_map<std::uint32_t, Chain> chains;
  const std::int64_t begin_ns = requests.front().arrived_ns;
  for (const disk::RecordedRequest& one : requests) {
    if (one.ended_ns == disk::RecordedRequest::kUnknown) continue;
    const auto number = static_cast<std::uint32_t>(out.chains.size());
    const auto [found, fresh] = chains.try_emplace(one.owner, Chain{number, begin_ns});
    if (fresh) out.chains.emplace_back();
    Chain& chain = found->second;
    const std::int64_t thought_ns = one.arrived_ns - chain.answered_ns;
    out.early += thought_ns < 0 ? 1 : 0;
    out.chains[chain.number].push_back(
        {std::max<std::int64_t>(thought_ns, 0), request_of(one, chain.number)});
    chain.answered_ns = std::max(chain.answered_ns, one.ended_ns);
  }
  out.owners = std::max(static_cast<std::uint32_t>(out.chains.size()), 1U);
}

}  // namespace

Chains chains_of(const disk::RequestTrace& trace, Loop loop, std::size_t warm_up) {
  Chains out{.loop = loop, .chains = {}};
  const Requests requests = Requests(trace.requests).subspan(warm_up);
  if (loop == Loop::kOpen) {
    add_open(requests, trace.owners, out);
  } else {
    add_closed(requests, out);
  }
  return out;
}

ResampledWorkload::ResampledWorkload(const Chains& chains, std::uint64_t seed) : chains_(chains) {
  base::Random random(seed);
  for (std::size_t i = 0; i < chains.chains.size(); ++i) {
    places_.push_back({.random = random.fork()});
  }
}

std::optional<DiskAsk> ResampledWorkload::next(std::uint32_t process) {
  const std::vector<DiskAsk>& chain = chains_.chains[process];
  Place& place = places_[process];
  if (place.left == 0) {
    place.next = place.random.below(chain.size());
    place.left = open() ? std::max(chain.size() / kOpenStretches, kLeastStretch) : SIZE_MAX;
  }
  --place.left;
  const DiskAsk ask = chain[place.next];
  place.next = (place.next + 1) % chain.size();
  return ask;
}

}  // namespace fairlead::sim
