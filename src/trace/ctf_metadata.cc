// SPDX-License-Identifier: Apache-2.0
#include "trace/ctf_metadata.h"

#include <array>

#include <fmt/format.h>

#include "trace/block_text.h"

namespace fairlead::trace {
namespace {

constexpr std::int64_t kCtfTicksPerS = 1'000'000'000;

constexpr std::array<std::string_view, kLastAct + 1> kCtfNames = {
    "other",   "queue", "back_merge", "front_merge", "get_request", "sleep",
    "requeue", "issue", "complete",   "plug",        "unplug",      "unplug_timer",
    "insert",  "split", "bounce",     "remap",       "abort",       "driver_data"};

constexpr std::string_view kCtfTypes = R"(/* CTF 1.8 */

typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;

trace {
  major = 1;
  minor = 8;
  byte_order = le;
  packet.header := struct { uint32_t magic; uint32_t stream_id; };
};
)";

constexpr std::string_view kCtfStream = R"(
typealias integer {
  size = 64; align = 8; signed = false; map = clock.trace.value;
} := stamp_t;

stream {
  id = 0;
  packet.context := struct {
    stamp_t timestamp_begin;
    stamp_t timestamp_end;
    uint64_t content_size;
    uint64_t packet_size;
    uint64_t packet_seq_num;
    uint64_t events_discarded;
    enum source_name source;
    uint16_t stream_number;
  };
  event.header := struct { uint16_t id; stamp_t timestamp; };
};
)";

constexpr std::string_view kCtfFields = R"(
struct block_fields {
  enum act action;
  string flags;
  integer { size = 16; align = 8; signed = false; base = 16; } categories;
  uint32_t device;
  string device_name;
  uint64_t sector;
  uint32_t bytes;
  uint16_t error;
  uint32_t pid;
  string process;
  uint64_t request;
  uint64_t aux;
  uint16_t cpu;
  uint16_t queue;
  uint16_t vm;
};
)";

// A string in TSDL: printable ASCII only, as readers differ in the rest.
std::string ctf_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c < ' ' || c > '~' ? '?' : c;
  }
  return out + '"';
}

std::string ctf_clock(std::int64_t start_ns) {
  std::int64_t seconds = start_ns / kCtfTicksPerS;
  std::int64_t ticks = start_ns % kCtfTicksPerS;
  if (ticks < 0) {
    --seconds;
    ticks += kCtfTicksPerS;
  }
  return fmt::format(
      "\nclock {{ name = trace; freq = {}; offset_s = {}; offset = {}; absolute = true; }};\n",
      kCtfTicksPerS, seconds, ticks);
}

std::string ctf_sources(const Trace& trace) {
  std::string text = "\nenum source_name : uint16_t { ";
  std::string env = "\nenv {\n  tracer_name = \"fairlead\";\n";
  // An enumeration without a label is none.
  if (trace.sources.empty()) text += "\"none\" = 0 ";
  for (std::size_t i = 0; i < trace.sources.size(); ++i) {
    const std::string name = source_name(trace, static_cast<std::uint16_t>(i));
    text += fmt::format("{}{} = {}", i == 0 ? "" : ", ", ctf_quoted(name), i);
    env += fmt::format("  source_{}_kind = {};\n  source_{}_bound_ns = {};\n", i,
                       ctf_quoted(kind_text(trace.sources[i].kind)), i, trace.sources[i].bound_ns);
  }
  env += fmt::format("  cut = {};\n}};\n", trace.cut ? 1 : 0);
  return env + text + " };\n";
}

}  // namespace

std::uint16_t ctf_event_id(const abi::BlockEvent& event) noexcept {
  const std::uint32_t act = event.action & 0xffff;
  return static_cast<std::uint16_t>(act <= kLastAct ? act : 0);
}

std::string ctf_metadata(const Trace& trace, std::int64_t zero_ns) {
  // A file may claim any time.
  const auto start_ns = static_cast<std::int64_t>(static_cast<std::uint64_t>(trace.wall_start_ns) +
                                                  static_cast<std::uint64_t>(zero_ns));
  std::string text(kCtfTypes);
  text += ctf_sources(trace) + ctf_clock(start_ns);
  text += kCtfStream;
  text += "\nenum act : uint16_t { ";
  for (std::uint16_t act = 1; act <= kLastAct; ++act) {
    text += fmt::format("{}\"{}\" = {}", act == 1 ? "" : ", ", act_letter(act), act);
  }
  text += " };\n";
  text += kCtfFields;
  for (std::size_t id = 0; id < kCtfNames.size(); ++id) {
    text += fmt::format(
        "\nevent {{ id = {}; stream_id = 0; name = \"block_{}\"; fields := struct block_fields; "
        "}};\n",
        id, kCtfNames[id]);
  }
  return text;
}

}  // namespace fairlead::trace
