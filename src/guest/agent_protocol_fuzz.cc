// SPDX-License-Identifier: Apache-2.0
//
// The words between host and agent, from a hostile guest or host: whatever arrives, in whatever
// pieces, lines have their bounds, what is read can be written and read again, and a load that is
// accepted can be run.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "guest/agent_protocol.h"
#include "guest/load_shape.h"

namespace fairlead::guest {
namespace {

void check_load(std::string_view word) {
  const auto shape = parse_load(word);
  if (!shape) {
    FL_CHECK(std::string_view(shape.error()).size() < 200);
    return;
  }
  const CpuLoad& cpu = shape->cpu;
  if (shape->kind == LoadShape::Kind::kMemory) {
    FL_CHECK(shape->memory.rate_bytes_per_s >= 4096);
    return;
  }
  FL_CHECK(cpu.phase_count > 0 && cpu.phase_count <= kMostPhases);
  FL_CHECK(cpu.threads <= kMostLoadThreads);
  for (std::uint32_t i = 0; i < cpu.phase_count; ++i) {
    const CpuPhase& phase = cpu.phases[i];
    FL_CHECK(phase.lasts_ns > 0 || i + 1 == cpu.phase_count);
    FL_CHECK(phase.pattern == CpuPattern::kIdle || phase.pattern == CpuPattern::kShare ||
             phase.steps > 0);
    FL_CHECK(phase.share >= 0 && phase.share <= 1);
    FL_CHECK(phase.sleep_ns >= 0);
  }
}

void check_trace(std::string_view arguments) {
  const auto command = parse_trace(arguments);
  if (!command) return;
  FL_CHECK(command->disk_count <= kMostTracedDisks);
  FL_CHECK(command->start || command->disk_count == 0);
  FL_CHECK(command->buffer_kib > 0 && command->pause_us > 0);
  for (std::size_t i = 0; i < command->disk_count; ++i) {
    FL_CHECK(!command->disks[i].empty() && command->disks[i].size() < 32);
    FL_CHECK(command->disks[i].find_first_of("./ ") == std::string_view::npos);
  }
}

void check_line(std::string_view line) {
  FL_CHECK(line.size() < kLineBytes);
  FL_CHECK(!line.contains('\n'));
  char plain[kLineBytes];
  if (const auto length = unescape_output(line, plain)) {
    char again[4 * kLineBytes];
    const Escaped escaped = escape_output({plain, *length}, again, sizeof again);
    FL_CHECK(escaped.taken == *length);
    FL_CHECK(unescape_output({again, escaped.length}, plain) == *length);
  }
  if (const auto request = parse_request(line)) {
    std::string_view rest = request->arguments;
    for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
      check_load(word);
    }
    check_trace(request->arguments);
  }
  if (const auto answer = parse_answer(line)) FL_CHECK(answer->text.size() < line.size());
  if (const auto report = parse_report(line)) {
    char text[kLineBytes];
    const std::size_t size = format_report(*report, text, sizeof text);
    FL_CHECK(size > 0 && parse_report({text, size}) == *report);
  }
  if (const auto sums = parse_sums(line)) {
    char text[kLineBytes];
    const std::size_t size = format_sums(*sums, text, sizeof text);
    FL_CHECK(size > 0 && parse_sums({text, size}) == *sums);
  }
}

}  // namespace
}  // namespace fairlead::guest

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fairlead::guest;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  if (rest.empty()) return 0;
  // The first byte says in how large pieces the rest arrives.
  const std::size_t piece = data[0] + std::size_t{1};
  rest.remove_prefix(1);
  LineBuffer lines;
  while (!rest.empty()) {
    std::string_view part = rest.substr(0, piece);
    rest.remove_prefix(part.size());
    while (!part.empty()) {
      part.remove_prefix(lines.push(part));
      while (const auto line = lines.next()) check_line(*line);
    }
  }
  return 0;
}
