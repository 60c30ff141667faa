// SPDX-License-Identifier: Apache-2.0
#include "trace/ctf_writer.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "trace/block_text.h"
#include "trace/ctf_metadata.h"
#include "trace/output_file.h"

namespace fairlead::trace {
namespace {

using ProcessNames = std::map<std::pair<std::uint16_t, std::uint32_t>, std::string>;
using DeviceNames = ProcessNames;

struct CtfStream {
  std::vector<std::size_t> events;
  std::vector<std::size_t> losses;
};
using CtfStreams = std::map<std::pair<std::uint16_t, std::uint16_t>, CtfStream>;

template <typename T>
void append_little_endian(std::string& out, T number) {
  const auto value = static_cast<std::uint64_t>(number);
  for (unsigned i = 0; i < sizeof number; ++i) out += static_cast<char>(value >> (8 * i));
}

// What events are called by; looked up once for each device and process.
struct CtfNames {
  ProcessNames processes;
  DeviceNames devices;
};

class CtfStreamWriter {
 public:
  CtfStreamWriter(const Trace& trace, const CtfNames& names, std::int64_t zero_ns,
                  std::pair<std::uint16_t, std::uint16_t> stream, BufferedOutput& out)
      : trace_(trace), names_(names), zero_ns_(zero_ns), stream_(stream), out_(out) {}

  void write(const CtfStream& stream) {
    auto loss = stream.losses.begin();
    for (const std::size_t at : stream.events) {
      const Event& event = trace_.events[at];
      for (; loss != stream.losses.end() && trace_.losses[*loss].last_ns <= event.time_ns; ++loss) {
        lose(trace_.losses[*loss]);
      }
      put(event);
    }
    for (; loss != stream.losses.end(); ++loss) lose(trace_.losses[*loss]);
    end_packet();
  }

 private:
  std::uint64_t ticks(std::int64_t time_ns) const noexcept {
    return static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(zero_ns_);
  }

  void put(const Event& event) {
    event_.clear();
    append_event(event);
    if (kCtfPacketHeaderBytes + events_.size() + event_.size() > kCtfPacketBytes) end_packet();
    end_ = ticks(event.time_ns);
    if (events_.empty()) begin_ = end_;
    events_ += event_;
  }

  // A reader takes what is discarded to be between the packet before and the end of this one; of a
  // first packet it knows no number, as it does not know how many there were before.
  void lose(const Loss& loss) {
    end_packet();
    const std::uint64_t last = ticks(loss.last_ns);
    const std::uint64_t first =
        std::min(std::max(ticks(std::max(loss.first_ns, zero_ns_)), end_), last);
    if (packets_ == 0) append_packet(first, first);
    discarded_ += std::min(loss.records, std::numeric_limits<std::uint64_t>::max() - discarded_);
    append_packet(first, last);
    end_ = last;
  }

  void end_packet() {
    if (events_.empty()) return;
    append_packet(begin_, end_);
    events_.clear();
  }

  void append_packet(std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t bits = 8 * (kCtfPacketHeaderBytes + events_.size());
    std::string head;
    append_little_endian(head, kCtfMagic);
    append_little_endian(head, std::uint32_t{0});
    for (const std::uint64_t word : {begin, end, bits, bits, packets_, discarded_}) {
      append_little_endian(head, word);
    }
    append_little_endian(head, stream_.first);
    append_little_endian(head, stream_.second);
    out_.append(head);
    out_.append(events_);
    ++packets_;
  }

  void append_text(const std::map<std::pair<std::uint16_t, std::uint32_t>, std::string>& names,
                   std::uint32_t number) {
    const auto name = names.find({stream_.first, number});
    if (name != names.end()) event_ += name->second.substr(0, name->second.find('\0'));
    event_ += '\0';
  }

  // In the order of the fields in the metadata.
  void append_event(const Event& event) {
    const abi::BlockEvent& block = event.block;
    append_little_endian(event_, ctf_event_id(block));
    append_little_endian(event_, ticks(event.time_ns));
    append_little_endian(event_, static_cast<std::uint16_t>(block.action));
    event_ += flags_text(block) + '\0';
    append_little_endian(event_, static_cast<std::uint16_t>(block.action >> 16));
    append_little_endian(event_, block.device);
    append_text(names_.devices, block.device);
    append_little_endian(event_, block.sector);
    append_little_endian(event_, block.bytes);
    append_little_endian(event_, block.error);
    append_little_endian(event_, block.pid);
    append_text(names_.processes, block.pid);
    append_little_endian(event_, block.request);
    append_little_endian(event_, block.aux);
    append_little_endian(event_, block.cpu);
    append_little_endian(event_, block.queue);
    append_little_endian(event_, block.vm);
  }

  const Trace& trace_;
  const CtfNames& names_;
  std::int64_t zero_ns_;
  std::pair<std::uint16_t, std::uint16_t> stream_;
  BufferedOutput& out_;
  std::string event_;
  std::string events_;       // of the packet that is being filled
  std::uint64_t begin_ = 0;  // of that packet
  std::uint64_t end_ = 0;    // of the last event or loss
  std::uint64_t packets_ = 0;
  std::uint64_t discarded_ = 0;
};

base::Result<CtfStreams> ctf_streams(const Trace& trace) {
  CtfStreams streams;
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    streams[{trace.events[i].source, trace.events[i].stream}].events.push_back(i);
  }
  for (std::size_t i = 0; i < trace.losses.size(); ++i) {
    streams[{trace.losses[i].source, trace.losses[i].stream}].losses.push_back(i);
  }
  if (!streams.empty() && streams.rbegin()->first.first >= trace.sources.size()) {
    return base::fail(base::ErrorKind::kInvalid, "the trace names a source that it does not have");
  }
  return streams;
}

std::int64_t ctf_zero(const Trace& trace) {
  std::int64_t zero_ns = 0;
  for (const Event& event : trace.events) zero_ns = std::min(zero_ns, event.time_ns);
  for (const Loss& loss : trace.losses) zero_ns = std::min(zero_ns, loss.last_ns);
  return zero_ns;
}

CtfNames ctf_names(const Trace& trace) {
  CtfNames names{process_names(trace), {}};
  for (const Device& device : trace.devices) {
    names.devices[{device.source, device.device}] =
        device_name(trace, device.source, device.device);
  }
  return names;
}

base::Status write_ctf_files(const Trace& trace, const CtfStreams& streams,
                             const std::string& folder) {
  const std::int64_t zero_ns = ctf_zero(trace);
  FL_TRY(OutputFile metadata, OutputFile::create(folder + "/metadata"));
  metadata.out().append(ctf_metadata(trace, zero_ns));
  FL_TRY_STATUS(metadata.close());
  const CtfNames names = ctf_names(trace);
  for (const auto& [key, stream] : streams) {
    FL_TRY(OutputFile file,
           OutputFile::create(fmt::format("{}/stream_{}_{}", folder, key.first, key.second)));
    CtfStreamWriter(trace, names, zero_ns, key, file.out()).write(stream);
    FL_TRY_STATUS(file.close());
  }
  return {};
}

}  // namespace

base::Status write_ctf(const Trace& trace, const std::string& folder) {
  FL_TRY(const CtfStreams streams, ctf_streams(trace));
  if (::mkdir(folder.c_str(), 0755) != 0)
    return base::fail_errno(errno, "make the folder " + folder);
  if (auto written = write_ctf_files(trace, streams, folder); !written) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return written;
  }
  return {};
}

}  // namespace fairlead::trace
