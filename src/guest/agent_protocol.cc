// SPDX-License-Identifier: Apache-2.0
#include "guest/agent_protocol.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

namespace fairlead::guest {
namespace {

struct VerbName {
  std::string_view name;
  Verb verb;
};
constexpr VerbName kVerbs[] = {{"ping", Verb::kPing},        {"load", Verb::kLoad},
                               {"add", Verb::kAdd},          {"stop", Verb::kStop},
                               {"report", Verb::kReport},    {"trace", Verb::kTrace},
                               {"poweroff", Verb::kPowerOff}};

template <typename T>
struct Field {
  const char* name;
  std::uint64_t T::* value;
};
constexpr Field<Report> kReportFields[] = {
    {"up_ms", &Report::up_ms},
    {"boot_ms", &Report::boot_ms},
    {"cpus", &Report::cpus},
    {"total_kib", &Report::total_kib},
    {"free_kib", &Report::free_kib},
    {"available_kib", &Report::available_kib},
    {"loads", &Report::loads},
    {"rounds", &Report::rounds},
    {"memory_kib", &Report::memory_kib},
    {"peak_kib", &Report::peak_kib},
    {"ended", &Report::ended},
    {"oom_kills", &Report::oom_kills},
    {"pressure", &Report::pressure},
};
constexpr Field<TraceSums> kSumFields[] = {
    {"events", &TraceSums::events},
    {"kernel_lost", &TraceSums::kernel_lost},
    {"unreadable", &TraceSums::unreadable},
    {"relay_lost", &TraceSums::relay_lost},
};

constexpr std::uint32_t kLeastBufferKib = 4;
constexpr std::uint32_t kMostBufferKib = 65'536;
constexpr std::uint32_t kLeastPauseUs = 100;
constexpr std::uint32_t kMostPauseUs = 1'000'000;
constexpr std::uint32_t kLeastQueueKib = 8;
constexpr std::uint32_t kMostQueueKib = 65'536;
constexpr std::size_t kMostDiskBytes = 31;  // of a name

template <typename T>
std::optional<T> number(std::string_view text) {
  T value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

template <typename T, std::size_t kCount>
std::size_t format(const Field<T> (&fields)[kCount], const T& from, char* out, std::size_t size) {
  std::size_t used = 0;
  for (const Field<T>& field : fields) {
    const int length =
        std::snprintf(out + used, size - used, "%s%s=%llu", used == 0 ? "" : " ", field.name,
                      static_cast<unsigned long long>(from.*field.value));
    if (length < 0 || static_cast<std::size_t>(length) >= size - used) return 0;
    used += static_cast<std::size_t>(length);
  }
  return used;
}

template <typename T, std::size_t kCount>
std::optional<T> parse(const Field<T> (&fields)[kCount], std::string_view text) {
  T out;
  while (true) {
    const std::string_view word = next_word(text);
    if (word.empty()) return out;
    const std::size_t sign = word.find('=');
    if (sign == std::string_view::npos) return std::nullopt;
    const std::string_view key = word.substr(0, sign);
    const Field<T>* const field =
        std::ranges::find_if(fields, [&](const Field<T>& known) { return key == known.name; });
    if (field == std::end(fields)) continue;
    const auto value = number<std::uint64_t>(word.substr(sign + 1));
    if (!value) return std::nullopt;
    out.*field->value = *value;
  }
}

bool take_number(std::string_view text, std::uint32_t least, std::uint32_t most,
                 std::uint32_t& to) {
  const auto value = number<std::uint32_t>(text);
  if (!value || *value < least || *value > most) return false;
  to = *value;
  return true;
}

// Names become paths.
bool is_disk(std::string_view name) {
  return !name.empty() && name.size() <= kMostDiskBytes && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool take_trace_word(std::string_view word, TraceCommand& command) {
  const std::size_t sign = word.find('=');
  if (sign == std::string_view::npos) return false;
  const std::string_view key = word.substr(0, sign);
  const std::string_view value = word.substr(sign + 1);
  if (key == "buffer_kib") {
    return take_number(value, kLeastBufferKib, kMostBufferKib, command.buffer_kib);
  }
  if (key == "queue_kib") {
    return take_number(value, kLeastQueueKib, kMostQueueKib, command.queue_kib);
  }
  if (key == "port") {
    const auto session = number<std::uint64_t>(value);
    command.port = session.value_or(0);
    return command.port != 0;
  }
  if (key == "pause_us") return take_number(value, kLeastPauseUs, kMostPauseUs, command.pause_us);
  if (key != "disk" || !is_disk(value) || command.disk_count == kMostTracedDisks) return false;
  command.disks[command.disk_count++] = value;
  return true;
}

}  // namespace

std::string_view next_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

std::optional<Request> parse_request(std::string_view line) {
  const auto id = number<std::uint32_t>(next_word(line));
  const std::string_view word = next_word(line);
  const VerbName* const known = std::ranges::find(kVerbs, word, &VerbName::name);
  if (!id || known == std::end(kVerbs)) return std::nullopt;
  return Request{*id, known->verb, line};
}

std::optional<Answer> parse_answer(std::string_view line) {
  const auto id = number<std::uint32_t>(next_word(line));
  const std::string_view word = next_word(line);
  if (!id || (word != "ok" && word != "error")) return std::nullopt;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return Answer{*id, word == "ok", line};
}

std::size_t format_report(const Report& report, char* out, std::size_t size) {
  return format(kReportFields, report, out, size);
}

std::optional<Report> parse_report(std::string_view text) { return parse(kReportFields, text); }

std::optional<TraceCommand> parse_trace(std::string_view arguments) {
  TraceCommand command;
  const std::string_view verb = next_word(arguments);
  command.start = verb == "start";
  if (!command.start && verb != "stop") return std::nullopt;
  while (true) {
    const std::string_view word = next_word(arguments);
    if (word.empty()) return command;
    if (!command.start || !take_trace_word(word, command)) return std::nullopt;
  }
}

std::size_t format_sums(const TraceSums& sums, char* out, std::size_t size) {
  return format(kSumFields, sums, out, size);
}

std::optional<TraceSums> parse_sums(std::string_view text) { return parse(kSumFields, text); }

std::size_t LineBuffer::push(std::string_view bytes) {
  if (taken_ != 0) {
    std::memmove(bytes_.data(), bytes_.data() + taken_, used_ - taken_);
    used_ -= std::exchange(taken_, 0);
  }
  const std::size_t fits = std::min(bytes.size(), bytes_.size() - used_);
  std::copy_n(bytes.data(), fits, bytes_.data() + used_);
  used_ += fits;
  return fits;
}

std::optional<std::string_view> LineBuffer::next() {
  while (true) {
    const std::string_view waiting(bytes_.data() + taken_, used_ - taken_);
    const std::size_t end = waiting.find('\n');
    if (end == std::string_view::npos) {
      if (waiting.size() == bytes_.size() || (skipping_ && !waiting.empty())) {
        skipping_ = true;
        used_ = taken_ = 0;
      }
      return std::nullopt;
    }
    taken_ += end + 1;
    if (!std::exchange(skipping_, false)) return waiting.substr(0, end);
    ++dropped_;
  }
}

}  // namespace fairlead::guest
