// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "trace/blktrace_file.h"
#include "trace/blktrace_format.h"
#include "trace/blktrace_note.h"
#include "trace/block_text.h"
#include "trace/time_order.h"
#include "trace/trace_file.h"

namespace fairlead::trace {
namespace {

constexpr std::uint16_t kMostSources = kMaxSources;
constexpr std::int64_t kLatestNs = std::numeric_limits<std::int64_t>::max();

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t count) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < count; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return number;
}

template <typename T>
T copied(std::string_view bytes) noexcept {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// One record, copied, and the place of its pdu.
struct ReadRecord {
  BlktraceRecord head{};
  std::string_view pdu;
};

std::optional<abi::TraceLossCause> cause_of(const std::string& text) {
  for (std::uint32_t i = std::uint32_t(abi::TraceLossCause::kFull);
       i <= std::uint32_t(abi::TraceLossCause::kKernel); ++i) {
    if (cause_text(abi::TraceLossCause(i)) == text) return abi::TraceLossCause(i);
  }
  return {};
}

// The records of one file after the other.  Stops at a record that is cut off by the file's end.
class BlktraceCursor {
 public:
  explicit BlktraceCursor(const BlktraceBytes& file) : file_(file), left_(file.bytes) {}

  // False: there is none.
  base::Result<bool> next(ReadRecord& record) {
    begin_ = file_.bytes.size() - left_.size();
    if (left_.empty()) return false;
    if (left_.size() < sizeof(BlktraceRecord)) return cut();
    record.head = copied<BlktraceRecord>(left_);
    FL_TRY_STATUS(check_magic(record.head.magic));
    left_.remove_prefix(sizeof(BlktraceRecord));
    if (left_.size() < record.head.pdu_bytes) return cut();
    record.pdu = left_.substr(0, record.head.pdu_bytes);
    left_.remove_prefix(record.head.pdu_bytes);
    return true;
  }

  bool is_cut() const noexcept { return cut_; }

  base::Error wrong(std::string_view what, base::ErrorKind kind = base::ErrorKind::kCorrupt) const {
    return {kind, fmt::format("{}: at byte {}: {}", file_.name, begin_, what)};
  }

 private:
  bool cut() {
    cut_ = true;
    left_ = {};
    return false;
  }

  base::Status check_magic(std::uint32_t magic) const {
    if (magic == (kBlktraceMagic | kBlktraceVersion)) return {};
    if ((magic & 0xffffff00) == kBlktraceMagic) {
      return base::fail(wrong(fmt::format("version {} of blktrace; there is only version {} here",
                                          magic & 0xff, kBlktraceVersion),
                              base::ErrorKind::kUnsupported));
    }
    if ((__builtin_bswap32(magic) & 0xffffff00) == kBlktraceMagic) {
      return base::fail(
          wrong("written by a machine of the other byte order", base::ErrorKind::kUnsupported));
    }
    return base::fail(wrong("no record of blktrace"));
  }

  const BlktraceBytes& file_;
  std::string_view left_;
  std::size_t begin_ = 0;  // of the record that is looked at
  bool cut_ = false;
};

// What the notes say of one file of ours.
struct NotedFile {
  std::uint16_t source = 0;
  std::uint16_t stream = 0;
  std::uint32_t device = 0;
  std::int64_t zero_ns = 0;
  std::uint64_t told = 0;   // losses in it
  std::uint64_t gaps = 0;   // of its sequence
  std::int64_t gap_ns = 0;  // the first of them
};

// First the notes of all files are taken, which blkparse -d may put behind what they speak of.
class BlktraceReader {
 public:
  BlktraceReader(std::span<const BlktraceBytes> files, const std::string& name)
      : files_(files), name_(name) {}

  base::Result<Trace> read() {
    FL_TRY_STATUS(each(&BlktraceReader::look_ahead));
    if (trace_.sources.empty()) trace_.sources.push_back({SourceKind::kFile, name_, 0, true, {}});
    if (noted_.empty()) find_beginning();
    FL_TRY_STATUS(each(&BlktraceReader::take));
    for (const auto& [number, name] : exact_names_) {
      if (number < trace_.names.size()) trace_.names[number].name = name;
    }
    for (const auto& [cpu, file] : noted_) tell_untold_gaps(file);
    order_by(trace_.events, &Event::time_ns);
    order_by(trace_.losses, &Loss::last_ns);
    return std::move(trace_);
  }

 private:
  // What is wrong with the record; empty: nothing.
  using Take = std::string (BlktraceReader::*)(const ReadRecord& record);

  base::Status each(Take look) {
    for (const BlktraceBytes& file : files_) {
      BlktraceCursor cursor(file);
      ReadRecord record;
      for (;;) {
        FL_TRY(const bool more, cursor.next(record));
        if (!more) break;
        if (const std::string problem = (this->*look)(record); !problem.empty()) {
          return base::fail(cursor.wrong(problem));
        }
      }
      trace_.cut = trace_.cut || cursor.is_cut();
    }
    return {};
  }

  static bool is_notify(const ReadRecord& record) noexcept {
    return (record.head.action & kNotifyCategory) != 0;
  }

  // ---- first pass ----

  std::string look_ahead(const ReadRecord& record) {
    if (!is_notify(record)) first_event_ns_ = std::min(first_event_ns_, record.head.time_ns);
    if (record.head.action == kNotifyTime && record.pdu.size() == 8 && !wall_) {
      wall_ = copied<std::uint32_t>(record.pdu) * kWallNsPerS +
              copied<std::uint32_t>(record.pdu.substr(4));
      wall_at_ns_ = record.head.time_ns;
    }
    if (record.head.action == kNotifyMessage) return take_note(record);
    return {};
  }

  std::string take_note(const ReadRecord& record) {
    NoteReader note(record.pdu);
    if (note.verb() == "set") note_set(note);
    if (note.verb() == "file") note_file(note, record.head.cpu);
    if (note.verb() == "source") note_source(note);
    if (note.verb() == "step") {
      Source& source = source_of(note);
      const auto from_ns = note.number<std::int64_t>("from_ns");
      source.steps.push_back({from_ns, note.number<std::int64_t>("to_ns")});
    }
    if (note.verb() == "shown") note_shown(note);
    if (note.verb() == "device") {
      source_of(note);
      trace_.devices.push_back({number_of(note), note.device("device"), note.text("name")});
    }
    if (note.verb() == "name") note_name(note);
    if (note.verb() == "loss") note_loss(note, record.head.cpu);
    return note.problem();
  }

  void note_set(NoteReader& note) {
    if (note.number<unsigned>("version") != 1) note.wrong("version");
    trace_.wall_start_ns = note.number<std::int64_t>("wall_start_ns");
    trace_.cut = trace_.cut || note.number<unsigned>("cut") != 0;
    const auto sources = note.number<std::uint16_t>("sources");
    if (sources > kMostSources) note.wrong("sources");
    if (sources > trace_.sources.size()) trace_.sources.resize(std::min(sources, kMostSources));
  }

  void note_file(NoteReader& note, std::uint32_t cpu) {
    if (note.number<unsigned>("version") != 1) note.wrong("version");
    NotedFile& file = noted_[cpu];
    source_of(note);
    file.source = number_of(note);
    file.stream = note.number<std::uint16_t>("stream");
    file.device = note.device("device");
    file.zero_ns = note.number<std::int64_t>("zero_ns");
    if (file.zero_ns < 0) note.wrong("zero_ns");
    pids_from_[file.source] = note.number<std::uint32_t>("pids_from");
    shown_[note.device("shown")] = file.device;
  }

  void note_source(NoteReader& note) {
    Source& source = source_of(note);
    const auto kind = note.number<std::uint8_t>("kind");
    if (kind < std::uint8_t(SourceKind::kHost) || kind > std::uint8_t(SourceKind::kFile)) {
      note.wrong("kind");
    }
    source.kind = SourceKind(kind);
    source.bound_ns = note.number<std::int64_t>("bound_ns");
    source.clock_known = note.number<unsigned>("clock_known") != 0;
    source.name = note.text("name");
    pids_from_[number_of(note)] = note.number<std::uint32_t>("pids_from");
  }

  void note_shown(NoteReader& note) { shown_[note.device("as")] = note.device("device"); }

  void note_name(NoteReader& note) {
    exact_names_.emplace_back(note.number<std::size_t>("number"), note.text("name"));
  }

  void note_loss(NoteReader& note, std::uint32_t cpu) {
    const auto cause = cause_of(note.text("cause"));
    if (!cause) note.wrong("cause");
    NotedFile& file = noted_[cpu];
    Loss loss;
    loss.first_ns = note.number<std::int64_t>("first_ns");
    loss.last_ns = note.number<std::int64_t>("last_ns");
    loss.records = note.number<std::uint64_t>("records");
    loss.bytes = note.number<std::uint64_t>("bytes");
    loss.source = file.source;
    loss.stream = file.stream;
    loss.cause = cause.value_or(abi::TraceLossCause::kCorrupt);
    file.told += loss.records;
    trace_.losses.push_back(loss);
  }

  // What no recording can hold is wrong, and counts as the first.
  static std::uint16_t number_of(NoteReader& note) {
    const auto number = note.number<std::uint16_t>("source");
    if (number < kMostSources) return number;
    note.wrong("source");
    return 0;
  }

  Source& source_of(NoteReader& note) {
    const std::size_t number = number_of(note);
    if (number >= trace_.sources.size()) {
      trace_.sources.resize(number + 1, {SourceKind::kFile, name_, 0, true, {}});
    }
    return trace_.sources[number];
  }

  // Of files that others wrote.  blkparse -d counts from the first event, and leaves the wall
  // clock's record as it was.
  void find_beginning() {
    if (first_event_ns_ == std::numeric_limits<std::uint64_t>::max()) first_event_ns_ = 0;
    if (!wall_) return;
    trace_.wall_start_ns = *wall_;
    const std::uint64_t later_ns = first_event_ns_ - wall_at_ns_;
    if (wall_at_ns_ <= first_event_ns_ && later_ns < std::uint64_t(kLatestNs - *wall_)) {
      trace_.wall_start_ns += static_cast<std::int64_t>(later_ns);
    }
  }

  // ---- second pass ----

  std::string take(const ReadRecord& record) {
    if (!is_notify(record)) return take_event(record);
    if (record.head.action == kNotifyProcess) take_name(record);
    return {};
  }

  void take_name(const ReadRecord& record) {
    const std::string_view text = record.pdu.substr(0, kProcessNameBytes);
    ProcessName name{0, record.head.pid, std::string(text.substr(0, text.find('\0')))};
    if (!noted_.empty()) {
      name.source = static_cast<std::uint16_t>(
          std::min<std::uint64_t>(record.head.sector, trace_.sources.size() - 1));
      name.pid -= pids_from(name.source);
    } else if (!known_names_.insert({name.pid, name.name}).second) {
      return;  // blktrace tells each once for every processor
    }
    trace_.names.push_back(std::move(name));
  }

  std::uint32_t pids_from(std::uint16_t source) const {
    const auto from = pids_from_.find(source);
    return from == pids_from_.end() ? 0 : from->second;
  }

  std::string take_event(const ReadRecord& record) {
    const auto noted = noted_.find(record.head.cpu);
    NotedFile* file = noted == noted_.end() ? nullptr : &noted->second;
    Event event;
    if (std::string problem = place(record, file, event); !problem.empty()) return problem;
    abi::BlockEvent& block = event.block;
    block.sector = record.head.sector;
    block.bytes = record.head.bytes;
    block.action = record.head.action;
    block.device = file != nullptr ? file->device : record.head.device;
    block.pid = record.head.pid;
    block.cpu = event.stream;
    block.error = record.head.error;
    if (file != nullptr) {
      block.pid -= pids_from(file->source);
      if (!take_our_pdu(record.pdu, event)) {
        return fmt::format("a pdu of {} bytes, which no event of ours has", record.pdu.size());
      }
    } else {
      take_kernel_pdu(record.pdu, block);
    }
    look_for_gap(record, file, event);
    trace_.events.push_back(event);
    return {};
  }

  std::string place(const ReadRecord& record, const NotedFile* file, Event& event) const {
    std::uint64_t time_ns = record.head.time_ns;
    if (file == nullptr) time_ns -= first_event_ns_;
    if (time_ns > std::uint64_t(kLatestNs)) return "a time that no clock has";
    event.time_ns = static_cast<std::int64_t>(time_ns);
    if (file != nullptr) {
      event.time_ns -= file->zero_ns;
      event.source = file->source;
      event.stream = file->stream;
      return {};
    }
    if (record.head.cpu > std::numeric_limits<std::uint16_t>::max()) {
      return fmt::format("processor {}, which no machine has", record.head.cpu);
    }
    event.stream = static_cast<std::uint16_t>(record.head.cpu);
    return {};
  }

  static void take_kernel_pdu(std::string_view pdu, abi::BlockEvent& block) {
    if ((block.action & kCgroupAct) != 0) {
      block.action &= ~kCgroupAct;
      pdu.remove_prefix(std::min<std::size_t>(pdu.size(), 8));
    }
    const std::uint32_t standard = standard_pdu_bytes(block.action & 0xffff);
    if (standard == 0 || pdu.size() < standard) return;
    if (standard == 16) block.request = big_endian(pdu, 0, 4);
    block.aux = big_endian(pdu, standard - 8, 8);
  }

  bool take_our_pdu(std::string_view pdu, Event& event) const {
    abi::BlockEvent& block = event.block;
    const std::uint32_t standard = standard_pdu_bytes(block.action & 0xffff);
    if (pdu.size() < standard) return false;
    if (standard == 16) {
      const auto from = static_cast<std::uint32_t>(big_endian(pdu, 0, 4));
      const auto real = shown_.find(from);
      block.request = real == shown_.end() ? from : real->second;
    }
    if (standard != 0) block.aux = big_endian(pdu, standard - 8, 8);
    pdu.remove_prefix(standard);
    if (pdu.empty()) return true;
    if (pdu.size() != kShortExtra && pdu.size() != kLongExtra) return false;
    block.request = big_endian(pdu, 0, 8);
    if (pdu.size() == kShortExtra) return true;
    block.aux = big_endian(pdu, 8, 8);
    block.cpu = static_cast<std::uint16_t>(big_endian(pdu, 16, 2));
    block.queue = static_cast<std::uint16_t>(big_endian(pdu, 18, 2));
    block.vm = static_cast<std::uint16_t>(big_endian(pdu, 20, 2));
    return true;
  }

  // Numbers begin anywhere, go back where a trace was started anew, and are 0 where nobody counts.
  void look_for_gap(const ReadRecord& record, NotedFile* file, const Event& event) {
    Seen& last = last_[{record.head.cpu, record.head.device}];
    const std::uint32_t sequence = record.head.sequence;
    const bool first = last.sequence == 0 && file == nullptr;
    if (!first && sequence > last.sequence && sequence - last.sequence > 1) {
      const std::uint32_t missing = sequence - last.sequence - 1;
      if (file != nullptr) {
        if (file->gaps == 0) file->gap_ns = event.time_ns;
        file->gaps += missing;
      } else {
        trace_.losses.push_back({last.time_ns, event.time_ns, missing, 0, event.source,
                                 event.stream, abi::TraceLossCause::kKernel});
      }
    }
    last = {sequence, event.time_ns};
  }

  // Events of ours that somebody has taken out of a file.
  void tell_untold_gaps(const NotedFile& file) {
    if (file.gaps <= file.told) return;
    trace_.losses.push_back({file.gap_ns, file.gap_ns, file.gaps - file.told, 0, file.source,
                             file.stream, abi::TraceLossCause::kCorrupt});
  }

  struct Seen {
    std::uint32_t sequence = 0;
    std::int64_t time_ns = 0;
  };

  std::span<const BlktraceBytes> files_;
  const std::string& name_;
  Trace trace_;
  std::map<std::uint32_t, NotedFile> noted_;      // by processor; empty: none of ours
  std::map<std::uint32_t, std::uint32_t> shown_;  // devices, to what they really are
  std::map<std::uint16_t, std::uint32_t> pids_from_;
  std::set<std::pair<std::uint32_t, std::string>> known_names_;
  std::vector<std::pair<std::size_t, std::string>> exact_names_;  // by number in Trace::names
  std::map<std::pair<std::uint32_t, std::uint32_t>, Seen> last_;  // by processor and device
  std::uint64_t first_event_ns_ = std::numeric_limits<std::uint64_t>::max();
  std::optional<std::int64_t> wall_;
  std::uint64_t wall_at_ns_ = 0;
};

}  // namespace

base::Result<Trace> parse_blktrace(std::span<const BlktraceBytes> files, const std::string& name) {
  return BlktraceReader(files, name).read();
}

}  // namespace fairlead::trace
