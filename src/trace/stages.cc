// SPDX-License-Identifier: Apache-2.0
#include "trace/stages.h"

#include <algorithm>
#include <compare>
#include <cstdlib>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace fairlead::trace {
namespace {

constexpr std::size_t kSample = 1000;  // requests that are enough to know a device by

// Finds the back's bios for a request of the front's.  Of bios, because the back may have merged
// what belongs to several.  Of those of one sector, which may be all, only such as were queued in
// the request's time are looked at.
class BackIndex {
 public:
  BackIndex(const DeviceRequests& back, const Pairing& pairing) : back_(back), pairing_(pairing) {
    for (std::uint32_t i = 0; i < back.bios.size(); ++i) {
      const Request& request = back.requests[back.bios[i].request];
      if (request.id != 0) {
        by_id_.emplace(std::pair(request.queue, request.id), i);
      } else {
        by_sector_.push_back({request.writes, back.bios[i].sector, back.bios[i].queue_ns, i});
      }
    }
    std::ranges::sort(by_sector_);
  }

  // visit(index of a bio) for each that may belong to the front's request, until it says false.
  template <typename Visit>
  void each(const Request& front, std::int64_t bound_ns, Visit visit) const {
    const Span time{front.issue_ns - bound_ns, front.complete_ns + bound_ns};
    if (front.id == 0) return each_of_sectors(front, time, visit);
    const auto found = by_id_.find({front.queue, front.id});
    if (found != by_id_.end() && request_of(found->second).writes == front.writes &&
        in_time(found->second, time)) {
      visit(found->second);
    }
  }

 private:
  struct Place {
    bool writes;
    std::uint64_t sector;
    std::int64_t queue_ns;
    std::uint32_t bio;
    auto operator<=>(const Place&) const = default;
  };

  template <typename Visit>
  void each_of_sectors(const Request& front, const Span& time, Visit visit) const {
    const auto begin = static_cast<std::uint64_t>(static_cast<std::int64_t>(front.sector) +
                                                  pairing_.sector_offset);
    for (std::uint64_t sector = begin; sector < begin + front.sectors; ++sector) {
      auto at = std::ranges::lower_bound(by_sector_, Place{front.writes, sector, time.from_ns, 0});
      if (at == by_sector_.end() || at->writes != front.writes) return;
      if (at->sector != sector) {
        sector = at->sector - 1;  // the next one that has any may be far
        continue;
      }
      for (; at != by_sector_.end() && at->writes == front.writes && at->sector == sector &&
             at->queue_ns <= time.to_ns;
           ++at) {
        if (in_time(at->bio, time) && !visit(at->bio)) return;
      }
    }
  }

  const Request& request_of(std::uint32_t bio) const {
    return back_.requests[back_.bios[bio].request];
  }
  bool in_time(std::uint32_t bio, const Span& time) const {
    return back_.bios[bio].queue_ns >= time.from_ns && request_of(bio).complete_ns <= time.to_ns;
  }

  const DeviceRequests& back_;
  const Pairing& pairing_;
  std::map<std::pair<std::uint16_t, std::uint64_t>, std::uint32_t> by_id_;
  std::vector<Place> by_sector_;  // sorted
};

// How many of the front's requests each of the back's bios may belong to: several, where the same
// sectors are in flight more than once.
class Claims {
 public:
  Claims(const DeviceRequests& front, const BackIndex& index, std::int64_t bound_ns) {
    for (const Request& request : front.requests) {
      index.each(request, bound_ns, [&](std::uint32_t bio) { return ++claims_[bio] > 0; });
    }
  }

  bool sole(std::uint32_t bio) const { return claims_.at(bio) == 1; }

 private:
  std::unordered_map<std::uint32_t, std::uint32_t> claims_;
};

class Stager {
 public:
  Stager(const Trace& trace, const DeviceRequests& front, const DeviceRequests& back,
         const Pairing& pairing)
      : front_(front), back_(back), index_(back, pairing) {
    out_.pairing = pairing;
    const Source& front_source = trace.sources[pairing.front_source];
    const Source& back_source = trace.sources[pairing.back_source];
    comparable_ = front_source.clock_known && back_source.clock_known;
    out_.bound_ns = front_source.bound_ns + back_source.bound_ns;
  }

  Staged run() {
    out_.front_requests = front_.requests.size();
    if (!comparable_) {
      out_.unmatched = out_.front_requests;
      return std::move(out_);
    }
    const Claims claims(front_, index_, out_.bound_ns);
    for (std::uint32_t i = 0; i < front_.requests.size(); ++i) follow(i, claims);
    return std::move(out_);
  }

 private:
  void follow(std::uint32_t front, const Claims& claims) {
    std::optional<std::uint32_t> last;
    bool sole = true;
    index_.each(front_.requests[front], out_.bound_ns, [&](std::uint32_t bio) {
      sole &= claims.sole(bio);
      if (!last || request_of(bio).complete_ns > request_of(*last).complete_ns) last = bio;
      return true;
    });
    if (!last || front_.requests[front].issue_ns == kNever) {
      ++out_.unmatched;
    } else if (!sole) {
      ++out_.ambiguous;
    } else {
      chain(front, back_.bios[*last]);
    }
  }

  const Request& request_of(std::uint32_t bio) const {
    return back_.requests[back_.bios[bio].request];
  }

  void chain(std::uint32_t front_index, const Bio& back_bio) {
    const Request& front = front_.requests[front_index];
    const Request& back = back_.requests[back_bio.request];
    const std::int64_t queued = back_bio.queue_ns;
    // What was answered without the device spent no time there.
    const std::int64_t issued = back.issue_ns == kNever ? back.complete_ns : back.issue_ns;
    for (std::uint32_t i = 0; i < front.bios; ++i) {
      const Bio& bio = front_.bios[front.first_bio + i];
      Chain chain{.ns = {front.issue_ns - bio.queue_ns, queued - front.issue_ns, issued - queued,
                         back.complete_ns - issued, front.complete_ns - back.complete_ns},
                  .q2c_ns = front.complete_ns - bio.queue_ns,
                  .front_request = front_index,
                  .back_request = back_bio.request};
      std::int64_t sum = 0;
      for (const std::int64_t ns : chain.ns) sum += ns;
      out_.residual_ns = std::max(out_.residual_ns, std::abs(sum - chain.q2c_ns));
      if (std::ranges::min(chain.ns) < -out_.bound_ns) ++out_.violations;
      out_.chains.push_back(chain);
    }
  }

  const DeviceRequests& front_;
  const DeviceRequests& back_;
  BackIndex index_;
  Staged out_;
  bool comparable_ = false;
};

bool is_front(const Trace& trace, const DeviceRequests& device) {
  const SourceKind kind = trace.sources[device.source].kind;
  return kind == SourceKind::kGuest ||
         (kind == SourceKind::kService && device.device == abi::kServiceFrontDevice);
}

// Of the first requests of the front, how many the back holds.
std::size_t shared(const DeviceRequests& front, const DeviceRequests& back) {
  const Pairing same{};
  const BackIndex index(back, same);
  std::size_t found = 0;
  for (std::size_t i = 0; i < std::min(front.requests.size(), kSample); ++i) {
    bool any = false;
    index.each(front.requests[i], kLatest / 2, [&](std::uint32_t) {
      any = true;
      return false;
    });
    found += any ? 1 : 0;
  }
  return found;
}

}  // namespace

std::vector<Pairing> natural_pairings(const Trace& trace,
                                      const std::vector<DeviceRequests>& devices) {
  std::vector<Pairing> pairings;
  for (const DeviceRequests& front : devices) {
    if (!is_front(trace, front)) continue;
    const bool of_service = trace.sources[front.source].kind == SourceKind::kService;
    const DeviceRequests* best = nullptr;
    std::size_t most = 0;
    for (const DeviceRequests& back : devices) {
      if (of_service != (back.source == front.source) || is_front(trace, back)) continue;
      const std::size_t common = shared(front, back);
      if (common > most) best = &back;
      most = std::max(most, common);
    }
    // Half of what the front asked for: a stray sector that two devices share is no pairing.
    if (best != nullptr && 2 * most >= std::min(front.requests.size(), kSample)) {
      pairings.push_back({front.source, front.device, best->source, best->device, 0});
    }
  }
  return pairings;
}

Staged stage(const Trace& trace, const DeviceRequests& front, const DeviceRequests& back,
             const Pairing& pairing) {
  return Stager(trace, front, back, pairing).run();
}

}  // namespace fairlead::trace
