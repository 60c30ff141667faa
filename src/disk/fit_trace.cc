// SPDX-License-Identifier: Apache-2.0
#include "disk/fit_trace.h"

#include <algorithm>
#include <tuple>

namespace fairlead::disk {
namespace {

// By dispatch; begin_ns is that as yet.
std::vector<FitTransfer> transfers_of(const RequestTrace& trace, std::uint64_t& untimed) {
  std::vector<FitTransfer> all;
  for (const RecordedRequest& one : trace.requests) {
    if (!one.served() || one.ended_ns == one.dispatched_ns) {
      ++untimed;
      continue;
    }
    all.push_back({.begin_ns = one.dispatched_ns,
                   .end_ns = one.ended_ns,
                   .sector = one.sector,
                   .sector_count = one.sector_count,
                   .op = one.op});
  }
  std::ranges::sort(all, {}, [](const FitTransfer& one) {
    return std::tuple(one.begin_ns, one.end_ns, one.sector);
  });
  std::size_t kept = 0;
  for (const FitTransfer& one : all) {
    FitTransfer* const last = kept == 0 ? nullptr : &all[kept - 1];
    if (last != nullptr && last->begin_ns == one.begin_ns && last->end_ns == one.end_ns &&
        last->op == one.op && last->sector + last->sector_count == one.sector) {
      last->sector_count += one.sector_count;
    } else {
      all[kept++] = one;
    }
  }
  all.resize(kept);
  return all;
}

}  // namespace

FitTrace fit_trace(const RequestTrace& trace, FitQueue queue) {
  FitTrace out;
  out.transfers = transfers_of(trace, out.untimed);
  std::int64_t before_ns = 0;  // all that began before had ended by then
  for (std::size_t i = 0; i < out.transfers.size(); ++i) {
    FitTransfer& one = out.transfers[i];
    if (queue == FitQueue::kAlone) {
      const bool last = i + 1 == out.transfers.size();
      one.counts =
          one.begin_ns >= before_ns && (last || out.transfers[i + 1].begin_ns >= one.end_ns);
    } else {
      one.counts = one.end_ns > before_ns;
      if (one.counts) one.begin_ns = std::max(one.begin_ns, before_ns);
    }
    before_ns = std::max(before_ns, one.end_ns);
    out.counted += one.counts ? 1 : 0;
  }
  out.crowded = out.transfers.size() - out.counted;
  std::size_t left = out.counted - out.counted / 3;
  while (left > 0) left -= out.transfers[out.held_out_from++].counts ? 1 : 0;
  return out;
}

FitTrace half_of(FitTrace trace, base::Random& random) {
  constexpr std::size_t kStretch = 100;
  bool first = false;  // of two stretches
  for (std::size_t i = 0; i < trace.held_out_from; ++i) {
    if (i % (2 * kStretch) == 0) first = random.below(2) == 0;
    FitTransfer& one = trace.transfers[i];
    if (!one.counts || (i / kStretch % 2 == 0) == first) continue;
    one.counts = false;
    --trace.counted;
  }
  return trace;
}

}  // namespace fairlead::disk
