// SPDX-License-Identifier: Apache-2.0
#include "trace/chrome_json.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/json.h"
#include "trace/block_text.h"
#include "trace/output_file.h"
#include "trace/requests.h"

namespace fairlead::trace {
namespace {

using abi::BlockAct;
using abi::BlockCategory;

// Lines of the array; each is one object with its comma.
class ChromeLines {
 public:
  explicit ChromeLines(BufferedOutput& out) : out_(out) { out_.append("{\"traceEvents\":[\n"); }

  // Begins an object with what all have; `more` adds the rest.
  template <typename More>
  void put(std::string_view phase, std::string_view name, std::uint16_t source,
           std::uint32_t stream, std::int64_t time_ns, More&& more) {
    line_.clear();
    base::JsonWriter json(line_);
    json.begin_object()
        .member("ph", phase)
        .member("name", name)
        .member("pid", source + 1U)
        .member("tid", (source + 1U) * kTidsOfSource + stream)
        .member("ts", static_cast<double>(time_ns) / 1000);
    more(json);
    json.end_object();
    if (!first_) out_.append(",\n");
    first_ = false;
    out_.append(line_);
  }

  base::Status end(const std::string& other_data) {
    out_.append("\n],\"displayTimeUnit\":\"ns\",\"otherData\":" + other_data + "}\n");
    return out_.flush();
  }

 private:
  // Perfetto takes threads of one number for one thread.
  static constexpr std::uint32_t kTidsOfSource = 100'000;

  BufferedOutput& out_;
  std::string line_;
  bool first_ = true;
};

// What is waited for: a request of a device.
using DeviceKey = std::pair<std::uint32_t, RequestKey>;

DeviceKey key_of_request(const Event& event) {
  const abi::BlockEvent& block = event.block;
  return {block.device, request_key(block.request, block.queue, block.sector)};
}

std::string_view direction_text(const Event& event) {
  if (event.has(BlockCategory::kDiscard)) return "discard";
  if (event.writes()) return "write";
  if (event.has(BlockCategory::kFlush)) return "flush";
  return "read";
}

class ChromeWriter {
 public:
  ChromeWriter(const Trace& trace, BufferedOutput& out)
      : trace_(trace), lines_(out), processes_(process_names(trace)), open_(sources()) {
    for (std::size_t i = 0; i < open_.size(); ++i) {
      gaps_.push_back(gaps(trace, static_cast<std::uint16_t>(i)));
    }
    passed_.resize(open_.size());
  }

  base::Status write() {
    put_names();
    auto loss = trace_.losses.begin();
    for (const Event& event : trace_.events) {
      for (; loss != trace_.losses.end() && loss->last_ns <= event.time_ns; ++loss) lose(*loss);
      pass_gaps(event);
      take(event);
    }
    for (; loss != trace_.losses.end(); ++loss) lose(*loss);
    for (std::size_t i = 0; i < open_.size(); ++i) forget(static_cast<std::uint16_t>(i));
    return lines_.end(summary());
  }

 private:
  struct Open {
    std::deque<const Event*> queued;
    std::deque<const Event*> issued;
  };
  using Place = std::pair<std::uint32_t, std::uint64_t>;  // device and sector
  // Of one source.
  struct OpenRequests {
    std::map<DeviceKey, Open> by_key;
    std::map<Place, const Event*> begun;  // the last Q or D at a place
  };

  // Those that events and losses name as well.
  std::size_t sources() const {
    std::size_t count = trace_.sources.size();
    for (const Event& event : trace_.events) count = std::max<std::size_t>(count, event.source + 1);
    for (const Loss& loss : trace_.losses) count = std::max<std::size_t>(count, loss.source + 1);
    return count;
  }

  // ---- names ----

  void put_names() {
    std::set<std::pair<std::uint16_t, std::uint16_t>> streams;
    for (const Event& event : trace_.events) streams.insert({event.source, event.stream});
    for (const Loss& loss : trace_.losses) streams.insert({loss.source, loss.stream});
    for (std::size_t i = 0; i < open_.size(); ++i) {
      const auto source = static_cast<std::uint16_t>(i);
      put_name("process_name", source, 0, source_name(trace_, source));
    }
    for (const auto& [source, stream] : streams) {
      const bool service =
          source < trace_.sources.size() && trace_.sources[source].kind == SourceKind::kService;
      put_name("thread_name", source, stream,
               fmt::format("{} {}", service ? "stream" : "cpu", stream));
    }
  }

  void put_name(std::string_view what, std::uint16_t source, std::uint16_t stream,
                const std::string& name) {
    lines_.put("M", what, source, stream, 0, [&](base::JsonWriter& json) {
      json.key("args").begin_object().member("name", name).end_object();
    });
  }

  // ---- what happens ----

  void lose(const Loss& loss) {
    const std::string name = fmt::format("lost {}", loss.records);
    lines_.put("i", name, loss.source, loss.stream, loss.last_ns, [&](base::JsonWriter& json) {
      json.member("cat", "loss").member("s", "p");
      json.key("args")
          .begin_object()
          .member("records", loss.records)
          .member("bytes", loss.bytes)
          .member("cause", cause_text(loss.cause))
          .member("first_ns", loss.first_ns)
          .member("last_ns", loss.last_ns)
          .end_object();
    });
  }

  // What was open when events began to be missing, and when they no longer were.
  void pass_gaps(const Event& event) {
    const std::vector<Span>& gaps = gaps_[event.source];
    std::size_t& passed = passed_[event.source];  // ends of gaps: two of each
    while (passed < 2 * gaps.size()) {
      const Span& gap = gaps[passed / 2];
      const bool over = passed % 2 == 0 ? gap.from_ns <= event.time_ns : gap.to_ns < event.time_ns;
      if (!over) return;
      forget(event.source);
      ++passed;
    }
  }

  void forget(std::uint16_t source) {
    for (const auto& [key, open] : open_[source].by_key) {
      without_end_ += open.queued.size() + open.issued.size();
    }
    open_[source] = {};
    std::erase_if(issued_by_id_, [&](const auto& it) { return it.second->source == source; });
  }

  void take(const Event& event) {
    const std::uint16_t act = event.block.action & 0xffff;
    switch (BlockAct(act)) {
      case BlockAct::kQueue: queue(event); break;
      case BlockAct::kBackMerge:
      case BlockAct::kFrontMerge: merge(event); break;
      case BlockAct::kRequeue: requeue(event); break;
      case BlockAct::kIssue: issue(event); break;
      case BlockAct::kComplete: complete(event); break;
      case BlockAct::kRemap: remap(event); break;
      default: break;
    }
  }

  // Across devices and sources.
  static RequestKey id_of(const Event& event) { return key_of_request(event).second; }

  OpenRequests& open_of(const Event& event) { return open_[event.source]; }

  void queue(const Event& event) {
    open_of(event).by_key[key_of_request(event)].queued.push_back(&event);
    begin(event);
    const auto from = issued_by_id_.find(id_of(event));
    if (from != issued_by_id_.end() && from->second->source != event.source) {
      put_arrow(*from->second, event);
      issued_by_id_.erase(from);
    }
  }

  void begin(const Event& event) {
    open_of(event).begun[{event.block.device, event.block.sector}] = &event;
  }

  // It goes on as part of another one.
  void merge(const Event& event) { drop_last(open_of(event).by_key, event, &Open::queued); }

  // It waits again, and nobody says since when.
  void requeue(const Event& event) { drop_last(open_of(event).by_key, event, &Open::issued); }

  static void drop_last(std::map<DeviceKey, Open>& requests, const Event& event,
                        std::deque<const Event*> Open::* list) {
    const auto open = requests.find(key_of_request(event));
    if (open == requests.end() || (open->second.*list).empty()) return;
    (open->second.*list).pop_back();
    erase_if_empty(requests, open);
  }

  static void erase_if_empty(std::map<DeviceKey, Open>& requests,
                             std::map<DeviceKey, Open>::iterator open) {
    if (open->second.queued.empty() && open->second.issued.empty()) requests.erase(open);
  }

  void issue(const Event& event) {
    auto& requests = open_of(event).by_key;
    const DeviceKey key = key_of_request(event);
    // All that was merged into it; the oldest at each place.
    DeviceKey end = key;
    end.second.number +=
        std::max<std::uint64_t>(key.second.by_id() ? 1 : event.block.bytes / kSectorBytes, 1);
    for (auto open = requests.lower_bound(key); open != requests.end() && open->first < end;) {
      const auto one = open++;
      if (one->first.second.owner != key.second.owner || one->second.queued.empty()) continue;
      put_slice("queue", *one->second.queued.front(), event);
      one->second.queued.pop_front();
      erase_if_empty(requests, one);
    }
    requests[key].issued.push_back(&event);
    begin(event);
    if (event.block.request != 0) issued_by_id_[id_of(event)] = &event;
  }

  void complete(const Event& event) {
    auto& requests = open_of(event).by_key;
    const auto open = requests.find(key_of_request(event));
    open_of(event).begun.erase({event.block.device, event.block.sector});
    if (open == requests.end() || open->second.issued.empty()) {
      ++without_begin_;
      return;
    }
    const Event& issued = *open->second.issued.front();
    ++(put_slice(direction_text(issued), issued, event) ? slices_ : without_end_);
    const auto by_id = issued_by_id_.find(id_of(event));
    if (by_id != issued_by_id_.end() && by_id->second == &issued) issued_by_id_.erase(by_id);
    open->second.issued.pop_front();
    erase_if_empty(requests, open);
  }

  // From its own source, as one device on another is; else from a guest, of which this is the host.
  void remap(const Event& event) {
    if (event.block.request >> 32 != 0) return;
    const Place from{static_cast<std::uint32_t>(event.block.request), event.block.aux};
    const Event* begun = begun_at(event.source, from);
    for (std::size_t i = 0; begun == nullptr && i < trace_.sources.size(); ++i) {
      if (trace_.sources[i].kind == SourceKind::kGuest) {
        begun = begun_at(static_cast<std::uint16_t>(i), from);
      }
    }
    if (begun != nullptr) put_arrow(*begun, event);
  }

  const Event* begun_at(std::uint16_t source, const Place& place) const {
    const auto at = open_[source].begun.find(place);
    return at == open_[source].begun.end() ? nullptr : at->second;
  }

  // ---- lines ----

  // False, and nothing, if events may be missing in between.
  bool put_slice(std::string_view what, const Event& from, const Event& to) {
    if (crosses(gaps_[from.source], from.time_ns, to.time_ns)) return false;
    const std::string device = device_name(trace_, from.source, from.block.device);
    const std::string name = fmt::format("{} {}", device, what);
    const std::uint64_t id = ++ids_;
    lines_.put("b", name, from.source, from.stream, from.time_ns, [&](base::JsonWriter& json) {
      json.member("cat", "block").member("id", fmt::format("{:#x}", id));
      put_arguments(json, from, to, device);
    });
    lines_.put("e", name, from.source, from.stream, to.time_ns, [&](base::JsonWriter& json) {
      json.member("cat", "block").member("id", fmt::format("{:#x}", id));
    });
    return true;
  }

  // Ids are text: as numbers they would lose digits.
  void put_arguments(base::JsonWriter& json, const Event& from, const Event& to,
                     const std::string& device) const {
    const abi::BlockEvent& block = from.block;
    json.key("args")
        .begin_object()
        .member("device", device)
        .member("flags", flags_text(block))
        .member("sector", block.sector)
        .member("bytes", block.bytes)
        .member("pid", block.pid);
    const auto process = processes_.find({from.source, block.pid});
    if (process != processes_.end()) json.member("process", process->second);
    if (block.request != 0) json.member("request", fmt::format("{:#x}", block.request));
    if (to.block.error != 0) json.member("error", to.block.error);
    json.end_object();
  }

  // Arrows hang on slices of threads: there is a short one at either end.
  void put_arrow(const Event& from, const Event& to) {
    const std::uint64_t id = ++arrows_;
    for (const Event* end : {&from, &to}) {
      lines_.put("X", "link", end->source, end->stream, end->time_ns,
                 [](base::JsonWriter& json) { json.member("cat", "link").member("dur", 0.001); });
      lines_.put(end == &from ? "s" : "f", "link", end->source, end->stream, end->time_ns,
                 [&](base::JsonWriter& json) {
                   json.member("cat", "link").member("id", id);
                   if (end == &to) json.member("bp", "e");
                 });
    }
  }

  std::string summary() const {
    std::string text;
    base::JsonWriter(text)
        .begin_object()
        .member("events", trace_.events.size())
        .member("lost", trace_.lost())
        .member("requests", slices_)
        .member("without_end", without_end_)
        .member("without_begin", without_begin_)
        .member("arrows", arrows_)
        .member("wall_start_ns", trace_.wall_start_ns)
        .member("cut", trace_.cut)
        .end_object();
    return text;
  }

  const Trace& trace_;
  ChromeLines lines_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> processes_;
  std::vector<OpenRequests> open_;                   // by source
  std::vector<std::vector<Span>> gaps_;              // by source
  std::vector<std::size_t> passed_;                  // of their ends
  std::map<RequestKey, const Event*> issued_by_id_;  // and in no other source queued yet
  std::uint64_t ids_ = 0;
  std::uint64_t slices_ = 0;
  std::uint64_t arrows_ = 0;
  std::uint64_t without_end_ = 0;
  std::uint64_t without_begin_ = 0;
};

}  // namespace

base::Status write_chrome_json(const Trace& trace, int fd) {
  BufferedOutput out(fd);
  return ChromeWriter(trace, out).write();
}

base::Status write_chrome_file(const Trace& trace, const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const base::Fd stream(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!stream) return base::fail_errno(errno, "open " + path);
    auto written = write_chrome_json(trace, stream.get());
    if (!written) return base::fail(std::move(written).error().at("write " + path));
    return {};
  }
  FL_TRY(OutputFile file, OutputFile::create(path));
  if (auto written = ChromeWriter(trace, file.out()).write(); !written) {
    return base::fail(std::move(written).error().at("write " + path));
  }
  return file.close();
}

}  // namespace fairlead::trace
