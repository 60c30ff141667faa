// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_writer.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/quote.h"
#include "trace/blktrace_format.h"
#include "trace/blktrace_note.h"
#include "trace/block_text.h"

namespace fairlead::trace {
namespace {

void append_big_endian(std::string& out, std::uint64_t number, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out += static_cast<char>(number >> (8 * i));
}

// Writes one file of the set.
class BlktracePartWriter {
 public:
  BlktracePartWriter(const Trace& trace, const BlktraceLayout& layout, std::size_t number,
                     BufferedOutput& out)
      : trace_(trace),
        layout_(layout),
        part_(layout.parts()[number]),
        number_(static_cast<std::uint32_t>(number)),
        device_(layout.shown_device(part_.source, part_.device)),
        out_(out) {}

  void write() {
    if (number_ == 0) begin_set();
    note(-layout_.zero_ns(), NoteWriter("file")
                                 .with("version", 1)
                                 .with("source", part_.source)
                                 .with("stream", part_.stream)
                                 .with("zero_ns", layout_.zero_ns())
                                 .with("pids_from", layout_.pids_from(part_.source))
                                 .with_device("device", part_.device)
                                 .with_device("shown", device_));
    auto loss = part_.losses.begin();
    std::size_t left = part_.events.size();
    for (const std::size_t at : part_.events) {
      const Event& event = trace_.events[at];
      for (; loss != part_.losses.end() && trace_.losses[*loss].last_ns <= event.time_ns; ++loss) {
        lose(trace_.losses[*loss], left);
      }
      put(event);
      --left;
    }
    for (; loss != part_.losses.end(); ++loss) lose(trace_.losses[*loss], 0);
    if (number_ == 0) end_set();
  }

 private:
  BlktraceRecord record(std::int64_t time_ns, std::uint32_t action) const {
    BlktraceRecord record{};
    record.magic = kBlktraceMagic | kBlktraceVersion;
    record.time_ns =
        static_cast<std::uint64_t>(time_ns) + static_cast<std::uint64_t>(layout_.zero_ns());
    record.action = action;
    record.device = device_;
    record.cpu = number_;
    return record;
  }

  void append(BlktraceRecord record, std::string_view pdu) {
    record.pdu_bytes = static_cast<std::uint16_t>(pdu.size());
    out_.append({reinterpret_cast<const char*>(&record), sizeof record});
    out_.append(pdu);
  }

  void note(std::int64_t time_ns, const NoteWriter& note) {
    constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();
    append(record(time_ns, kNotifyMessage), std::string_view(note.text()).substr(0, kMost));
  }

  void begin_set() {
    const std::int64_t begin_ns = -layout_.zero_ns();
    note(begin_ns, NoteWriter("set")
                       .with("version", 1)
                       .with("sources", trace_.sources.size())
                       .with("wall_start_ns", trace_.wall_start_ns)
                       .with("cut", trace_.cut ? 1 : 0));
    put_wall_clock();
    for (std::size_t i = 0; i < trace_.sources.size(); ++i) put_source(i);
    put_devices();
    for (std::size_t i = 0; i < trace_.names.size(); ++i) put_name(i);
  }

  // Seconds without a sign are all that blkparse reads.
  void put_wall_clock() {
    const std::int64_t wall_ns = trace_.wall_start_ns;
    if (wall_ns < 0 || wall_ns / kWallNsPerS > std::numeric_limits<std::uint32_t>::max()) return;
    const std::uint32_t clock[] = {static_cast<std::uint32_t>(wall_ns / kWallNsPerS),
                                   static_cast<std::uint32_t>(wall_ns % kWallNsPerS)};
    append(record(0, kNotifyTime), {reinterpret_cast<const char*>(clock), sizeof clock});
  }

  void put_source(std::size_t index) {
    const std::int64_t begin_ns = -layout_.zero_ns();
    const Source& source = trace_.sources[index];
    const auto number = static_cast<std::uint16_t>(index);
    note(begin_ns, NoteWriter("source")
                       .with("source", index)
                       .with("kind", static_cast<unsigned>(source.kind))
                       .with("bound_ns", source.bound_ns)
                       .with("clock_known", source.clock_known ? 1U : 0U)
                       .with("pids_from", layout_.pids_from(number))
                       .with("name", source.name));
    for (const Span& step : source.steps) {
      note(begin_ns, NoteWriter("step")
                         .with("source", index)
                         .with("from_ns", step.from_ns)
                         .with("to_ns", step.to_ns));
    }
  }

  void put_devices() {
    const std::int64_t begin_ns = -layout_.zero_ns();
    for (const auto& [key, shown] : layout_.devices()) {
      note(begin_ns, NoteWriter("shown")
                         .with("source", key.first)
                         .with_device("device", key.second)
                         .with_device("as", shown));
    }
    for (const Device& device : trace_.devices) {
      note(begin_ns, NoteWriter("device")
                         .with("source", device.source)
                         .with_device("device", device.device)
                         .with("name", device.name));
    }
  }

  // A name that does not fit stands in a note as well.  Whose it is says the sector, which no tool
  // looks at.
  void put_name(std::size_t number) {
    const ProcessName& name = trace_.names[number];
    BlktraceRecord process = record(-layout_.zero_ns(), kNotifyProcess);
    process.pid = name.pid + layout_.pids_from(name.source);
    process.sector = name.source;
    std::string shown = process_record_name(name.name);
    const bool exact = shown == name.name;
    shown.resize(kProcessNameBytes);
    append(process, shown);
    if (exact) return;
    note(-layout_.zero_ns(), NoteWriter("name").with("number", number).with("name", name.name));
  }

  // Numbers are left out as long as there are enough for the events that are left.
  void lose(const Loss& loss, std::size_t left) {
    note(loss.last_ns, NoteWriter("loss")
                           .with("records", loss.records)
                           .with("bytes", loss.bytes)
                           .with("cause", cause_text(loss.cause))
                           .with("first_ns", loss.first_ns)
                           .with("last_ns", loss.last_ns));
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
    if (left != 0 && left + sequence_ <= kMost && loss.records <= kMost - sequence_ - left) {
      sequence_ += static_cast<std::uint32_t>(loss.records);
    }
  }

  void put(const Event& event) {
    const abi::BlockEvent& block = event.block;
    BlktraceRecord written = record(event.time_ns, block.action & ~kNotifyCategory);
    written.sequence = ++sequence_;
    written.sector = block.sector;
    written.bytes = block.bytes;
    written.pid = block.pid + layout_.pids_from(event.source);
    written.error = block.error;
    append(written, pdu_of(event));
  }

  std::string pdu_of(const Event& event) const {
    const abi::BlockEvent& block = event.block;
    const bool remap = event.act() == abi::BlockAct::kRemap;
    const std::uint32_t standard = standard_pdu_bytes(block.action & 0xffff);
    const bool no_device = remap && block.request >> 32 != 0;
    std::string pdu;
    if (remap) {
      const auto from = static_cast<std::uint32_t>(block.request);
      append_big_endian(pdu, no_device ? 0 : layout_.shown_origin(event.source, from), 4);
      append_big_endian(pdu, device_, 4);
    }
    if (standard != 0) append_big_endian(pdu, block.aux, 8);
    if (block.cpu != event.stream || block.queue != 0 || block.vm != 0 || no_device ||
        (standard == 0 && block.aux != 0)) {
      append_big_endian(pdu, block.request, 8);
      append_big_endian(pdu, block.aux, 8);
      append_big_endian(pdu, block.cpu, 2);
      append_big_endian(pdu, block.queue, 2);
      append_big_endian(pdu, block.vm, 2);
      append_big_endian(pdu, 0, 2);
    } else if (!remap && block.request != 0) {
      append_big_endian(pdu, block.request, 8);
    }
    return pdu;
  }

  void end_set() {
    note(layout_.end_ns(), NoteWriter("end")
                               .with("lost", trace_.lost())
                               .with("losses", trace_.losses.size())
                               .with("events", trace_.events.size()));
  }

  const Trace& trace_;
  const BlktraceLayout& layout_;
  const BlktracePart& part_;
  std::uint32_t number_;
  std::uint32_t device_;  // as shown
  std::uint32_t sequence_ = 0;
  BufferedOutput& out_;
};

}  // namespace

std::string process_record_name(std::string_view name) {
  return base::printable(name).substr(0, kProcessNameBytes - 1);
}

void write_blktrace_part(const Trace& trace, const BlktraceLayout& layout, std::size_t number,
                         BufferedOutput& out) {
  BlktracePartWriter(trace, layout, number, out).write();
}

}  // namespace fairlead::trace
