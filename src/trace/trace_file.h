// SPDX-License-Identifier: Apache-2.0
//
// The recording's file: a header, then records of 64 bytes in the order in which they came; little
// endian.  Stamps are ticks of their source's clock; reading corrects them by the file's own clock
// records (docs/design/trace.md).
//
// Thread-safety: none.  Ownership: the writer owns its descriptor.
// Errors: write errors are kept and told by flush() and end().  Reading: kCorrupt with the offset
// for what no writer writes; a file without its end is no error (Trace::cut).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fairlead/abi/trace.h"
#include "trace/recording_file.h"
#include "trace/trace.h"

namespace fairlead::trace {

inline constexpr std::size_t kMaxSources = 64;

// What a source's clock showed against ours: ahead by offset ± half_width.
struct ClockRecord {
  std::int64_t offset_ticks = 0;
  std::uint64_t half_width_ticks = 0;
  std::uint64_t at_stamp = 0;  // of ours
  std::uint32_t epoch = 0;     // grows where the clock stepped
};

class TraceFileWriter {
 public:
  struct Beginning {
    std::int64_t wall_ns = 0;
    std::uint64_t stamp = 0;  // of our clock, at that time
    std::uint64_t hz = 0;
  };

  // Replaces what stands at `path`, if that is a recording (RecordingFile), at the first flush.
  static base::Result<TraceFileWriter> create(const std::string& path, const Beginning& beginning);

  // `own_clock`: not ours; its events have no time before a clock record.  At most kMaxSources.
  std::uint16_t add_source(SourceKind kind, std::string_view name, bool own_clock);
  void event(std::uint16_t source, std::uint16_t stream, std::uint64_t stamp,
             const abi::BlockEvent& event);
  void loss(std::uint16_t source, std::uint16_t stream, const abi::TraceLoss& loss);
  void name(std::uint16_t source, const abi::TraceName& name);
  void device(std::uint16_t source, const abi::TraceDevice& device);
  void clock(std::uint16_t source, const ClockRecord& clock);

  std::uint64_t events() const noexcept { return events_; }
  std::uint64_t lost() const noexcept { return lost_; }

  base::Status flush();
  base::Status end();
  void discard() noexcept { file_.discard(); }  // removes the file

 private:
  explicit TraceFileWriter(RecordingFile file) : file_(std::move(file)) {}
  template <typename Payload>
  void put(std::uint16_t kind, std::uint16_t source, std::uint16_t stream, std::uint64_t stamp,
           const Payload& payload);

  RecordingFile file_;
  std::vector<char> pending_;
  base::Status failed_;
  std::uint16_t sources_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t lost_ = 0;
};

// Whether a file that begins with these bytes is one.
bool begins_recording(std::string_view bytes) noexcept;

base::Result<Trace> read_trace(const std::string& path);

// As if it had been recorded: of events of one time the order is kept, of losses it is not.
base::Status write_trace(const Trace& trace, const std::string& path);

}  // namespace fairlead::trace
