// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/fd.h"
#include "trace/time_order.h"
#include "trace/trace_file.h"
#include "trace/trace_file_format.h"

namespace fairlead::trace {
namespace {

using base::ErrorKind;

constexpr std::uint64_t kMostHz = 1'000'000'000'000;  // 10 min of it fit 64 bits with ease

template <typename Payload>
Payload payload_of(const FileRecord& record) {
  Payload payload;
  std::memcpy(&payload, record.payload, sizeof payload);
  return payload;
}

template <std::size_t kSize>
std::string text_of(const char (&text)[kSize]) {
  return {text, ::strnlen(text, kSize)};
}

// A file's records, from the first one, as often as wanted.
class Records {
 public:
  static base::Result<Records> open(const std::string& path) {
    base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return base::fail_errno(errno, "open " + path);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return base::fail_errno(errno, "look at " + path);
    if (!S_ISREG(status.st_mode)) {
      return base::fail(base::Error(ErrorKind::kInvalid, path + " is no regular file")
                            .advise("a recording is read from many places; name a file"));
    }
    Records records(path, std::move(file));
    FL_TRY_STATUS(records.read_header());
    return records;
  }

  const FileHeader& header() const noexcept { return header_; }

  // visit(record, number) → Status.  What follows the last whole record is no part of it.
  template <typename Visit>
  base::Status each(Visit visit) {
    std::vector<FileRecord> buffer(kTraceBufferBytes / sizeof(FileRecord));
    std::uint64_t number = 0;
    for (;;) {
      FL_TRY(const std::size_t bytes, read_at(buffer.data(), buffer.size() * sizeof(FileRecord),
                                              sizeof(FileHeader) + number * sizeof(FileRecord)));
      const std::size_t whole = bytes / sizeof(FileRecord);
      for (std::size_t i = 0; i < whole; ++i, ++number) {
        FL_TRY_STATUS(visit(buffer[i], number));
      }
      if (whole < buffer.size()) return {};
    }
  }

  std::unexpected<base::Error> corrupt(std::uint64_t number, std::string_view what) const {
    return base::fail(ErrorKind::kCorrupt,
                      fmt::format("{}, offset {}: {}", path_,
                                  sizeof(FileHeader) + number * sizeof(FileRecord), what));
  }

 private:
  Records(std::string path, base::Fd file) : path_(std::move(path)), file_(std::move(file)) {}

  base::Status read_header() {
    FL_TRY(const std::size_t bytes, read_at(&header_, sizeof header_, 0));
    if (bytes < sizeof header_ || header_.magic != kTraceFileMagic) {
      return base::fail(base::Error(ErrorKind::kCorrupt, path_ + " is no recording of fairlead")
                            .advise("blktrace's files are read by `fairlead trace import`"));
    }
    if (header_.version != kTraceFileVersion || header_.record_bytes != kTraceRecordBytes) {
      return base::fail(ErrorKind::kUnsupported,
                        fmt::format("{}: version {} of the format, with {} bytes a record; this "
                                    "program knows version {} with {}",
                                    path_, header_.version, header_.record_bytes, kTraceFileVersion,
                                    kTraceRecordBytes));
    }
    if (header_.hz == 0 || header_.hz > kMostHz) {
      return base::fail(ErrorKind::kCorrupt,
                        fmt::format("{}: a clock of {} Hz", path_, header_.hz));
    }
    return {};
  }

  base::Result<std::size_t> read_at(void* to, std::size_t room, std::uint64_t offset) const {
    std::size_t done = 0;
    while (done < room) {
      const ssize_t got = ::pread(file_.get(), static_cast<char*>(to) + done, room - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return base::fail_errno(errno, "read " + path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  std::string path_;
  base::Fd file_;
  FileHeader header_{};
};

// One source's clock against ours, over the whole file.
class SourceClock {
 public:
  explicit SourceClock(bool own_clock) : own_clock_(own_clock) {}

  bool own_clock() const noexcept { return own_clock_; }

  void learn(std::uint64_t number, const ClockRecord& clock) {
    if (epochs_.empty() || epochs_.back().number != clock.epoch) {
      epochs_.push_back({clock.epoch, clock, clock.at_stamp, number});
    } else {
      epochs_.back().best = clock;
      epochs_.back().last_record = number;
    }
    epochs_.back().last_at = clock.at_stamp;
  }

  bool known() const noexcept { return !own_clock_ || !epochs_.empty(); }

  // Our stamp for one of the source's, in the record of this number.
  __extension__ using Wide = __int128;
  Wide ours(std::uint64_t number, std::uint64_t stamp) const noexcept {
    if (!own_clock_ || epochs_.empty()) return stamp;
    const auto at = std::ranges::lower_bound(epochs_, number, {}, &Epoch::last_record);
    const Epoch& epoch = at == epochs_.end() ? epochs_.back() : *at;
    return Wide(stamp) - epoch.best.offset_ticks;
  }

  std::uint64_t half_width() const noexcept {
    std::uint64_t most = 0;
    for (const Epoch& epoch : epochs_) most = std::max(most, epoch.best.half_width_ticks);
    return most;
  }

  // Between which of our stamps it stepped.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> steps() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> steps;
    for (std::size_t i = 1; i < epochs_.size(); ++i) {
      steps.emplace_back(epochs_[i - 1].last_at, epochs_[i].first_at);
    }
    return steps;
  }

 private:
  struct Epoch {
    std::uint32_t number = 0;
    ClockRecord best;  // the last one: it was intersected with all before
    std::uint64_t first_at = 0;
    std::uint64_t last_record = 0;
    std::uint64_t last_at = 0;
  };

  bool own_clock_;
  std::vector<Epoch> epochs_;
};

class Reader {
 public:
  explicit Reader(Records records) : records_(std::move(records)) {}

  base::Result<Trace> read() {
    trace_.wall_start_ns = records_.header().wall_ns;
    trace_.cut = true;
    FL_TRY_STATUS(records_.each(
        [&](const FileRecord& record, std::uint64_t number) { return learn(record, number); }));
    FL_TRY_STATUS(records_.each(
        [&](const FileRecord& record, std::uint64_t number) { return take(record, number); }));
    tell_clocks();
    order_by(trace_.events, &Event::time_ns);
    bound_losses();
    order_by(trace_.losses, &Loss::last_ns);
    return std::move(trace_);
  }

 private:
  // First pass: sources, their clocks, and whether all is in order.
  base::Status learn(const FileRecord& record, std::uint64_t number) {
    if (ended_) return records_.corrupt(number, "something follows the end");
    if (RecordKind(record.kind) == RecordKind::kSource) return learn_source(record, number);
    if (RecordKind(record.kind) == RecordKind::kEnd) return ended_ = true, base::Status();
    if (record.kind < std::uint16_t(RecordKind::kBlock) ||
        record.kind > std::uint16_t(RecordKind::kEnd)) {
      return records_.corrupt(number, fmt::format("a record of unknown kind {}", record.kind));
    }
    if (record.source >= clocks_.size()) {
      return records_.corrupt(number, fmt::format("source {} was not named before", record.source));
    }
    if (RecordKind(record.kind) == RecordKind::kClock) {
      const auto clock = payload_of<ClockPayload>(record);
      clocks_[record.source].learn(number,
                                   {clock.offset, clock.half_width, record.stamp, clock.epoch});
    }
    return {};
  }

  base::Status learn_source(const FileRecord& record, std::uint64_t number) {
    const auto source = payload_of<SourcePayload>(record);
    if (record.source != clocks_.size() || clocks_.size() == kMaxSources) {
      return records_.corrupt(number, fmt::format("source {} out of turn", record.source));
    }
    if (source.kind < std::uint8_t(SourceKind::kHost) ||
        source.kind > std::uint8_t(SourceKind::kFile)) {
      return records_.corrupt(number, fmt::format("a source of unknown kind {}", source.kind));
    }
    clocks_.emplace_back(source.own_clock != 0);
    trace_.sources.push_back(
        {.kind = SourceKind(source.kind), .name = text_of(source.name), .steps = {}});
    return {};
  }

  base::Status take(const FileRecord& record, std::uint64_t number) {
    switch (RecordKind(record.kind)) {
      case RecordKind::kBlock:
        trace_.events.push_back({time_of(record.source, number, record.stamp), record.source,
                                 record.stream, payload_of<abi::BlockEvent>(record)});
        return {};
      case RecordKind::kName: {
        const auto name = payload_of<abi::TraceName>(record);
        trace_.names.push_back({record.source, name.pid, text_of(name.name)});
        return {};
      }
      case RecordKind::kDevice: {
        const auto device = payload_of<abi::TraceDevice>(record);
        trace_.devices.push_back({record.source, device.device, text_of(device.name)});
        return {};
      }
      case RecordKind::kLoss: return take_loss(record, number);
      case RecordKind::kEnd: return take_end(payload_of<EndPayload>(record), number);
      case RecordKind::kSource:
      case RecordKind::kClock: break;
    }
    return {};
  }

  base::Status take_loss(const FileRecord& record, std::uint64_t number) {
    const auto loss = payload_of<abi::TraceLoss>(record);
    if (loss.cause < abi::TraceLossCause::kFull || loss.cause > abi::TraceLossCause::kKernel) {
      return records_.corrupt(number,
                              fmt::format("a loss of unknown cause {}", std::uint32_t(loss.cause)));
    }
    const auto time = [&](std::uint64_t stamp, std::int64_t otherwise) {
      return stamp == 0 ? otherwise : time_of(record.source, number, stamp);
    };
    trace_.losses.push_back({.first_ns = time(loss.first_stamp, kEarliest),
                             .last_ns = time(loss.last_stamp, kLatest),
                             .records = loss.records,
                             .bytes = loss.bytes,
                             .source = record.source,
                             .stream = record.stream,
                             .cause = loss.cause});
    return {};
  }

  base::Status take_end(const EndPayload& end, std::uint64_t number) {
    if (end.events != trace_.events.size() || end.lost != trace_.lost()) {
      return records_.corrupt(
          number, fmt::format("its end counts {} events and {} lost, there are {} and {}",
                              end.events, end.lost, trace_.events.size(), trace_.lost()));
    }
    trace_.cut = false;
    return {};
  }

  std::int64_t time_of(std::uint16_t source, std::uint64_t number, std::uint64_t stamp) const {
    return to_ns(clocks_[source].ours(number, stamp) - records_.header().stamp);
  }

  // Saturates: a stamp may be anything.
  std::int64_t to_ns(SourceClock::Wide ticks) const {
    const SourceClock::Wide ns =
        ticks * base::kNanosPerSecond / SourceClock::Wide(records_.header().hz);
    if (ns > kLatest) return kLatest;
    if (ns < kEarliest) return kEarliest;
    return static_cast<std::int64_t>(ns);
  }

  // Where it is not known when it began or ended, it is as long as the trace.
  void bound_losses() {
    const std::int64_t first = trace_.events.empty() ? 0 : trace_.events.front().time_ns;
    const std::int64_t last = trace_.events.empty() ? 0 : trace_.events.back().time_ns;
    for (Loss& loss : trace_.losses) {
      if (loss.first_ns == kEarliest) loss.first_ns = std::min(first, loss.last_ns);
      if (loss.last_ns == kLatest) loss.last_ns = std::max(last, loss.first_ns);
    }
  }

  void tell_clocks() {
    for (std::size_t i = 0; i < clocks_.size(); ++i) {
      Source& source = trace_.sources[i];
      source.clock_known = clocks_[i].known();
      source.bound_ns = to_ns(clocks_[i].half_width());
      for (const auto& [from, to] : clocks_[i].steps()) {
        const auto start = SourceClock::Wide(records_.header().stamp);
        source.steps.push_back({to_ns(from - start), to_ns(to - start)});
      }
    }
  }

  Records records_;
  Trace trace_;
  std::vector<SourceClock> clocks_;
  bool ended_ = false;
};

}  // namespace

bool begins_recording(std::string_view bytes) noexcept {
  std::uint64_t magic = 0;
  if (bytes.size() < sizeof magic) return false;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  return magic == kTraceFileMagic;
}

base::Result<Trace> read_trace(const std::string& path) {
  FL_TRY(Records records, Records::open(path));
  return Reader(std::move(records)).read();
}

}  // namespace fairlead::trace
