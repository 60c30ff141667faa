// SPDX-License-Identifier: Apache-2.0
#include "trace/requests.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace fairlead::trace {
namespace {

using abi::BlockAct;

std::uint32_t sectors_of(const abi::BlockEvent& event) { return event.bytes / kSectorBytes; }

// Follows one device through its events.
class Follower {
 public:
  Follower(std::uint16_t source, std::uint32_t device, std::span<const Span> gaps) : gaps_(gaps) {
    out_.source = source;
    out_.device = device;
  }

  void take(const Event& event) {
    pass_gaps(event.time_ns);
    // A flush has no sectors, and a split tells where, not how much.
    if (event.block.bytes == 0 && event.block.request == 0 && event.act() != BlockAct::kSplit) {
      return;
    }
    switch (event.act()) {
      case BlockAct::kQueue: return queue(event);
      case BlockAct::kSplit: return split(event);
      case BlockAct::kBackMerge: return merge(event, out_.back_merges);
      case BlockAct::kFrontMerge: return merge(event, out_.front_merges);
      case BlockAct::kIssue: return issue(event);
      case BlockAct::kRequeue: return requeue(event);
      case BlockAct::kComplete: return complete(event);
      default: return;
    }
  }

  DeviceRequests finish() {
    pass_gaps(kLatest);
    out_.open_bios = waiting_.size();
    out_.open_requests = issued_.size();
    return std::move(out_);
  }

 private:
  using Key = RequestKey;  // several of one: the oldest first
  struct Issued {
    std::int64_t opened_ns;  // when its oldest bio, or it, came
    Request request;
    std::vector<Bio> bios;
    std::uint32_t left;  // sectors not yet back
  };

  static Key key_of(const Request& request, std::uint64_t sector) {
    return request_key(request.id, request.queue, sector);
  }
  static Key key_of(const abi::BlockEvent& block) {
    return request_key(block.request, block.queue, block.sector);
  }

  // find() may give any of several.
  template <typename Map>
  static auto oldest(Map& map, const Key& key) {
    const auto found = map.lower_bound(key);
    return found != map.end() && found->first == key ? found : map.end();
  }

  template <typename Map>
  static auto newest(Map& map, const Key& key) {
    const auto [from, to] = map.equal_range(key);
    return from == to ? map.end() : std::prev(to);
  }

  // What was open when events began to be missing is not to be trusted from then on; what opens
  // while they are is not either.
  void pass_gaps(std::int64_t now_ns) {
    while (next_gap_ < gaps_.size() && gaps_[next_gap_].to_ns < now_ns) {
      ++next_gap_;
      out_.unknown += waiting_.size() + issued_.size();
      waiting_.clear();
      issued_.clear();
    }
  }
  bool in_gap(std::int64_t now_ns) const {
    return next_gap_ < gaps_.size() && gaps_[next_gap_].from_ns <= now_ns;
  }

  void queue(const Event& event) {
    ++out_.queued;
    const std::uint32_t sectors = sectors_of(event.block);
    waiting_.emplace(key_of(event.block), Bio{.queue_ns = event.time_ns,
                                              .sector = event.block.sector,
                                              .sectors = sectors,
                                              .pid = event.block.pid});
  }

  // The bio that holds `aux` goes on as two; no other Q comes for the second.
  void split(const Event& event) {
    ++out_.splits;
    const auto bio = oldest(waiting_, Key{event.block.sector, 0});
    if (bio == waiting_.end()) return;
    const std::uint64_t at = event.block.aux;
    if (at <= bio->second.sector || at - bio->second.sector >= bio->second.sectors) return;
    Bio rest = bio->second;
    bio->second.sectors = static_cast<std::uint32_t>(at - rest.sector);
    rest.sectors -= bio->second.sectors;
    rest.sector = at;
    waiting_.emplace(Key{at, 0}, rest);
  }

  void merge(const Event& event, std::uint64_t& count) {
    ++count;
    out_.merged_sectors += sectors_of(event.block);
  }

  void issue(const Event& event) {
    ++out_.issued;
    const abi::BlockEvent& block = event.block;
    Issued issued{.opened_ns = event.time_ns,
                  .request = {.issue_ns = event.time_ns,
                              .sector = block.sector,
                              .id = block.request,
                              .sectors = sectors_of(block),
                              .queue = block.queue,
                              .writes = event.writes()},
                  .bios = {},
                  .left = sectors_of(block)};
    collect_bios(block, issued);
    issued_.emplace(key_of(block), std::move(issued));
  }

  // Those within the request's span, each sector once: of several that begin at one the oldest, the
  // others wait for requests of their own.  Or that of its id.
  void collect_bios(const abi::BlockEvent& block, Issued& issued) {
    if (block.request != 0) {
      const auto bio = oldest(waiting_, key_of(block));
      if (bio != waiting_.end()) take_bio(bio, issued);
      return;
    }
    const std::uint64_t end = block.sector + sectors_of(block);
    std::uint64_t next = block.sector;
    for (auto bio = waiting_.lower_bound(Key{next, 0});
         bio != waiting_.end() && bio->first.number < end;) {
      const std::uint64_t behind = bio->second.sector + bio->second.sectors;
      const bool fits = !bio->first.by_id() && bio->second.sector >= next && behind <= end;
      if (!fits) {
        ++bio;
        continue;
      }
      bio = take_bio(bio, issued);
      next = behind;
    }
  }

  std::multimap<Key, Bio>::iterator take_bio(std::multimap<Key, Bio>::iterator bio,
                                             Issued& issued) {
    issued.opened_ns = std::min(issued.opened_ns, bio->second.queue_ns);
    issued.bios.push_back(bio->second);
    return waiting_.erase(bio);
  }

  // It waits again, and will be issued anew.
  void requeue(const Event& event) {
    ++out_.requeues;
    const auto issued = newest(issued_, key_of(event.block));
    if (issued == issued_.end()) return;
    for (const Bio& bio : issued->second.bios) {
      waiting_.emplace(key_of(issued->second.request, bio.sector), bio);
    }
    issued_.erase(issued);
  }

  void complete(const Event& event) {
    ++out_.completed;
    const abi::BlockEvent& block = event.block;
    const auto issued = oldest(issued_, key_of(block));
    if (issued == issued_.end()) return complete_unissued(event);
    const std::uint32_t back = sectors_of(block);
    if (back < issued->second.left && block.error == 0 && block.request == 0) {
      // In part: the rest comes back under the sector that follows.
      auto part = issued_.extract(issued);
      part.mapped().left -= back;
      part.key() = Key{block.sector + back, 0};
      issued_.insert(std::move(part));
      return;
    }
    issued->second.request.complete_ns = event.time_ns;
    issued->second.request.error = block.error;
    keep(std::move(issued->second), event.time_ns);
    issued_.erase(issued);
  }

  // A ring's request that was answered without the device has its Q and its C.
  void complete_unissued(const Event& event) {
    const abi::BlockEvent& block = event.block;
    const auto bio = block.request != 0 ? oldest(waiting_, key_of(block)) : waiting_.end();
    if (bio == waiting_.end()) {
      ++(in_gap(event.time_ns) ? out_.unknown : out_.strange);
      return;
    }
    Issued answered{.opened_ns = bio->second.queue_ns,
                    .request = {.complete_ns = event.time_ns,
                                .sector = block.sector,
                                .id = block.request,
                                .sectors = sectors_of(block),
                                .queue = block.queue,
                                .error = block.error,
                                .writes = event.writes()},
                    .bios = {bio->second},
                    .left = 0};
    waiting_.erase(bio);
    keep(std::move(answered), event.time_ns);
  }

  void keep(Issued issued, std::int64_t now_ns) {
    if (crosses(gaps_, issued.opened_ns, now_ns)) {
      ++out_.unknown;
      return;
    }
    const auto index = static_cast<std::uint32_t>(out_.requests.size());
    issued.request.first_bio = static_cast<std::uint32_t>(out_.bios.size());
    issued.request.bios = static_cast<std::uint32_t>(issued.bios.size());
    std::ranges::sort(issued.bios, {},
                      [](const Bio& bio) { return std::pair(bio.sector, bio.queue_ns); });
    for (Bio& bio : issued.bios) {
      bio.request = index;
      out_.bios.push_back(bio);
    }
    out_.requests.push_back(issued.request);
  }

  std::span<const Span> gaps_;
  std::size_t next_gap_ = 0;
  DeviceRequests out_;
  std::multimap<Key, Bio> waiting_;
  std::multimap<Key, Issued> issued_;
};

}  // namespace

RequestKey request_key(std::uint64_t id, std::uint16_t queue, std::uint64_t sector) noexcept {
  if (id != 0) return {id, std::uint32_t{queue} + 1};
  return {sector, 0};
}

std::vector<Span> gaps(const Trace& trace, std::uint16_t source) {
  std::vector<Span> spans;
  if (source < trace.sources.size()) spans = trace.sources[source].steps;
  for (const Loss& loss : trace.losses) {
    if (loss.source == source) spans.push_back({loss.first_ns, loss.last_ns});
  }
  std::ranges::sort(spans, {}, &Span::from_ns);
  std::vector<Span> merged;
  for (const Span& span : spans) {
    if (!merged.empty() && span.from_ns <= merged.back().to_ns) {
      merged.back().to_ns = std::max(merged.back().to_ns, span.to_ns);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

bool crosses(std::span<const Span> gaps, std::int64_t from_ns, std::int64_t to_ns) noexcept {
  const auto after = std::ranges::lower_bound(gaps, from_ns, {}, &Span::to_ns);
  return after != gaps.end() && after->from_ns <= to_ns;
}

std::vector<DeviceRequests> find_requests(const Trace& trace) {
  std::vector<std::vector<Span>> all_gaps;
  all_gaps.reserve(trace.sources.size());
  for (std::size_t i = 0; i < trace.sources.size(); ++i) {
    all_gaps.push_back(gaps(trace, static_cast<std::uint16_t>(i)));
  }
  std::map<std::pair<std::uint16_t, std::uint32_t>, Follower> followers;
  for (const Event& event : trace.events) {
    const std::pair key(event.source, event.block.device);
    auto follower = followers.find(key);
    if (follower == followers.end()) {
      follower =
          followers.try_emplace(key, event.source, event.block.device, all_gaps[event.source])
              .first;
    }
    follower->second.take(event);
  }
  std::vector<DeviceRequests> out;
  out.reserve(followers.size());
  for (auto& [key, follower] : followers) out.push_back(follower.finish());
  return out;
}

}  // namespace fairlead::trace
