// SPDX-License-Identifier: Apache-2.0
#include "trace/block_text.h"

#include <array>

#include <fmt/format.h>

#include "base/quote.h"

namespace fairlead::trace {

std::string_view act_letter(std::uint16_t act) noexcept {
  constexpr std::array<std::string_view, kLastAct + 1> kLetters = {
      "?", "Q", "M",  "F", "G", "S", "R", "D",     "C",
      "P", "U", "UT", "I", "X", "B", "A", "abort", "drv"};
  return kLetters[act <= kLastAct ? act : 0];
}

std::string flags_text(const abi::BlockEvent& event) {
  using enum abi::BlockCategory;
  const auto has = [&](abi::BlockCategory category) {
    return ((event.action >> (16 + unsigned(category))) & 1) != 0;
  };
  std::string text;
  if (has(kFlush)) text += 'F';
  if (has(kDiscard)) {
    text += 'D';
  } else if (has(kWrite)) {
    text += 'W';
  } else {
    text += event.bytes != 0 ? 'R' : 'N';
  }
  if (has(kFua)) text += 'F';
  if (has(kAhead)) text += 'A';
  if (has(kSync)) text += 'S';
  if (has(kMeta)) text += 'M';
  return text;
}

std::string device_text(std::uint32_t device) {
  return fmt::format("{},{}", device >> 20, device & 0xfffff);
}

std::string cause_text(abi::TraceLossCause cause) {
  using enum abi::TraceLossCause;
  switch (cause) {
    case kFull: return "full";
    case kBig: return "big";
    case kState: return "state";
    case kNested: return "nested";
    case kOverwritten: return "overwritten";
    case kCorrupt: return "corrupt";
    case kKernel: return "kernel";
  }
  return fmt::format("cause{}", static_cast<std::uint32_t>(cause));
}

std::string kind_text(SourceKind kind) {
  switch (kind) {
    case SourceKind::kHost: return "host";
    case SourceKind::kGuest: return "guest";
    case SourceKind::kService: return "service";
    case SourceKind::kFile: return "file";
  }
  return fmt::format("kind{}", static_cast<unsigned>(kind));
}

std::string device_name(const Trace& trace, std::uint16_t source, std::uint32_t device) {
  for (const Device& known : trace.devices) {
    if (known.source == source && known.device == device && !known.name.empty()) {
      return base::printable(known.name);
    }
  }
  return device_text(device);
}

std::string source_name(const Trace& trace, std::uint16_t source) {
  if (source < trace.sources.size() && !trace.sources[source].name.empty()) {
    return base::printable(trace.sources[source].name);
  }
  return fmt::format("source {}", source);
}

std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> process_names(const Trace& trace) {
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> names;
  for (const ProcessName& name : trace.names) {
    names[{name.source, name.pid}] = base::printable(name.name);
  }
  return names;
}

}  // namespace fairlead::trace
