// SPDX-License-Identifier: Apache-2.0
#include "trace/trace_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "trace/trace_file_format.h"

namespace fairlead::trace {

base::Result<TraceFileWriter> TraceFileWriter::create(const std::string& path,
                                                      const Beginning& beginning) {
  FL_TRY(RecordingFile file, RecordingFile::open(path));
  TraceFileWriter writer(std::move(file));
  const FileHeader header{.magic = kTraceFileMagic,
                          .version = kTraceFileVersion,
                          .record_bytes = kTraceRecordBytes,
                          .wall_ns = beginning.wall_ns,
                          .stamp = beginning.stamp,
                          .hz = beginning.hz,
                          .reserved = {}};
  writer.pending_.resize(sizeof header);
  std::memcpy(writer.pending_.data(), &header, sizeof header);
  return writer;
}

template <typename Payload>
void TraceFileWriter::put(std::uint16_t kind, std::uint16_t source, std::uint16_t stream,
                          std::uint64_t stamp, const Payload& payload) {
  static_assert(sizeof payload == sizeof FileRecord::payload);
  FileRecord record{kind, source, stream, 0, stamp, {}};
  std::memcpy(record.payload, &payload, sizeof payload);
  const auto* bytes = reinterpret_cast<const char*>(&record);
  pending_.insert(pending_.end(), bytes, bytes + sizeof record);
  if (pending_.size() >= kTraceBufferBytes) (void)flush();
}

std::uint16_t TraceFileWriter::add_source(SourceKind kind, std::string_view name, bool own_clock) {
  SourcePayload payload{std::uint8_t(kind), std::uint8_t(own_clock), {}};
  name.copy(payload.name, sizeof payload.name);
  put(std::uint16_t(RecordKind::kSource), sources_, 0, 0, payload);
  return sources_++;
}

void TraceFileWriter::event(std::uint16_t source, std::uint16_t stream, std::uint64_t stamp,
                            const abi::BlockEvent& event) {
  put(std::uint16_t(RecordKind::kBlock), source, stream, stamp, event);
  ++events_;
}

void TraceFileWriter::loss(std::uint16_t source, std::uint16_t stream, const abi::TraceLoss& loss) {
  put(std::uint16_t(RecordKind::kLoss), source, stream, loss.last_stamp, loss);
  lost_ = with_lost(lost_, loss.records);
}

void TraceFileWriter::name(std::uint16_t source, const abi::TraceName& name) {
  put(std::uint16_t(RecordKind::kName), source, 0, 0, name);
}

void TraceFileWriter::device(std::uint16_t source, const abi::TraceDevice& device) {
  put(std::uint16_t(RecordKind::kDevice), source, 0, 0, device);
}

void TraceFileWriter::clock(std::uint16_t source, const ClockRecord& clock) {
  const ClockPayload payload{clock.offset_ticks, clock.half_width_ticks, clock.epoch, {}};
  put(std::uint16_t(RecordKind::kClock), source, 0, clock.at_stamp, payload);
}

base::Status TraceFileWriter::flush() {
  if (failed_ && !pending_.empty()) {
    failed_ = file_.write({pending_.data(), pending_.size()});
  }
  pending_.clear();
  return failed_;
}

base::Status TraceFileWriter::end() {
  put(std::uint16_t(RecordKind::kEnd), 0, 0, 0, EndPayload{events_, lost_, {}});
  return flush();
}

namespace {

template <std::size_t kSize>
void put_text(char (&to)[kSize], const std::string& text) {
  std::ranges::fill(to, '\0');
  text.copy(to, kSize);
}

// Times become stamps of a clock that counts nanoseconds and has not yet begun with the trace.
class Writer {
 public:
  Writer(const Trace& trace, TraceFileWriter file) : trace_(trace), file_(std::move(file)) {}

  base::Status write() {
    for (std::size_t i = 0; i < trace_.sources.size(); ++i) put_source(i);
    for (const Device& device : trace_.devices) {
      abi::TraceDevice out{device.device, {}};
      put_text(out.name, device.name);
      file_.device(device.source, out);
    }
    for (const ProcessName& name : trace_.names) {
      abi::TraceName out{name.pid, {}, {}};
      put_text(out.name, name.name);
      file_.name(name.source, out);
    }
    for (const Event& event : trace_.events) {
      file_.event(event.source, event.stream, stamp(event.time_ns), event.block);
    }
    for (const Loss& loss : trace_.losses) {
      file_.loss(
          loss.source, loss.stream,
          {loss.records, loss.bytes, stamp(loss.first_ns), stamp(loss.last_ns), loss.cause, {}});
    }
    base::Status written = trace_.cut ? file_.flush() : file_.end();
    if (!written) file_.discard();
    return written;
  }

  static constexpr std::uint64_t kBeginning = std::uint64_t{1} << 62;
  static std::uint64_t stamp(std::int64_t ns) {
    return kBeginning + static_cast<std::uint64_t>(ns);
  }

 private:
  // A clock of its own where its bound or its steps are to be told again.
  void put_source(std::size_t number) {
    const Source& source = trace_.sources[number];
    const bool own = !source.clock_known || source.bound_ns > 0 || !source.steps.empty();
    const std::uint16_t put = file_.add_source(source.kind, source.name, own);
    if (!own || !source.clock_known) return;
    const auto half_width = static_cast<std::uint64_t>(source.bound_ns);
    std::uint32_t epoch = 0;
    for (const Span& step : source.steps) {
      file_.clock(put, {0, half_width, stamp(step.from_ns), epoch++});
      file_.clock(put, {0, half_width, stamp(step.to_ns), epoch});
    }
    if (source.steps.empty()) file_.clock(put, {0, half_width, kBeginning, epoch});
  }

  const Trace& trace_;
  TraceFileWriter file_;
};

}  // namespace

base::Status write_trace(const Trace& trace, const std::string& path) {
  FL_TRY(auto file, TraceFileWriter::create(path, {.wall_ns = trace.wall_start_ns,
                                                   .stamp = Writer::kBeginning,
                                                   .hz = base::kNanosPerSecond}));
  return Writer(trace, std::move(file)).write();
}

}  // namespace fairlead::trace
