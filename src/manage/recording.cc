// SPDX-License-Identifier: Apache-2.0
#include "manage/recording.h"

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"
#include "manage/json_fields.h"
#include "manage/recorded_sample.h"

namespace fairlead::manage {
namespace {

using base::ErrorKind;
using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr ErrorKind kNoJson = ErrorKind::kCorrupt;  // of parse(); what is too large is kLimit

template <typename T>
void put(base::JsonWriter& json, const char* name, const std::optional<T>& value) {
  if (value) json.member(name, *value);
}

void put(base::JsonWriter& json, const BalloonSample& balloon) {
  json.key("memory").begin_object();
  json.member("current_bytes", balloon.current_bytes)
      .member("maximum_bytes", balloon.maximum_bytes);
  put(json, "rss_bytes", balloon.rss_bytes);
  put(json, "usable_bytes", balloon.usable_bytes);
  put(json, "unused_bytes", balloon.unused_bytes);
  put(json, "available_bytes", balloon.available_bytes);
  put(json, "swap_in_bytes", balloon.swap_in_bytes);
  put(json, "major_faults", balloon.major_faults);
  put(json, "updated_s", balloon.updated_s);
  json.end_object();
}

void put(base::JsonWriter& json, const GuestSample& guest) {
  json.begin_object()
      .member("uuid", guest.uuid)
      .member("name", guest.name)
      .member("run_id", guest.run_id)
      .member("state", static_cast<unsigned>(guest.state));
  put(json, "memory_node", guest.memory_node);
  json.key("vcpus").begin_array();
  for (const VcpuSample& vcpu : guest.vcpus) {
    json.begin_object()
        .member("index", vcpu.index)
        .member("online", vcpu.online)
        .member("run_ns", vcpu.run_ns);
    put(json, "delay_ns", vcpu.delay_ns);
    json.member("allowed", vcpu.allowed.text()).end_object();
  }
  json.end_array();
  put(json, "process_ns", guest.process_ns);
  if (!guest.helpers_allowed.empty()) {
    json.member("helpers_allowed", guest.helpers_allowed.text());
  }
  if (guest.memory) put(json, *guest.memory);
  json.end_object();
}

base::Error bad_line(std::uint64_t line, const std::string& why) {
  return {ErrorKind::kCorrupt, fmt::format("line {}: {}", line, why)};
}

base::Error empty() { return {ErrorKind::kCorrupt, "the recording is empty"}; }
base::Error no_start() { return {ErrorKind::kCorrupt, "no recording: there is no start in it"}; }

// The lines of a text that may be anything: none is read further than a line of ours can be long.
class Lines {
 public:
  explicit Lines(std::istream& in) : in_(in) {}

  // The next line that is not blank; false: there is none.
  base::Result<bool> next() {
    do {
      FL_TRY(const bool more, read());
      if (!more) return false;
      ++number_;
    } while (text_.empty());
    return true;
  }

  const std::string& text() const { return text_; }
  std::uint64_t number() const { return number_; }
  bool whole() const { return whole_; }  // it has its end of line

 private:
  base::Result<bool> read() {
    text_.clear();
    whole_ = false;
    while (!whole_ && !in_.eof()) {
      in_.getline(chunk_.data(), chunk_.size());
      if (in_.bad()) return base::fail(ErrorKind::kIo, "reading the recording failed");
      const auto got = static_cast<std::size_t>(in_.gcount());
      whole_ = in_.good();  // then the end of line is counted, and not stored
      text_.append(chunk_.data(), whole_ ? got - 1 : got);
      if (text_.size() > kLongestLine) {
        return base::fail(bad_line(
            number_ + 1, fmt::format("longer than {} MiB: no recording of ours", kLongestMib)));
      }
      if (in_.fail() && !in_.eof()) in_.clear();  // the chunk is full
    }
    return whole_ || !text_.empty();
  }

  static constexpr std::size_t kLongestMib = 16;  // more than 8192 processors and 100000 vCPUs
  static constexpr std::size_t kLongestLine = kLongestMib * 1024 * 1024;

  std::istream& in_;
  std::array<char, 65536> chunk_{};
  std::string text_;
  std::uint64_t number_ = 0;
  bool whole_ = false;
};

// Bounded in depth and number of values, which take far more memory than their text.
base::Result<Json> parse(const std::string& text) {
  constexpr int kDeepest = 16;
  constexpr std::size_t kMostValues = 2'000'000;
  std::size_t values = 0;
  try {
    Json json = Json::parse(
        text,
        [&](int depth, Json::parse_event_t, const Json&) {
          if (depth > kDeepest || ++values > kMostValues) throw std::length_error("");
          return true;
        },
        false);
    if (!json.is_discarded()) return json;
    return base::fail(kNoJson, "no recording: it is no JSON");
  } catch (const std::length_error&) {
    return base::fail(ErrorKind::kLimit, "no recording: too many values, or too many levels");
  } catch (const std::bad_alloc&) {
    return base::fail(ErrorKind::kLimit, "there is not enough memory to read it");
  }
}

std::string event_of(const Json& json, std::string& problem) {
  std::string event;
  JsonFields(json, problem).get("event", event);
  return event;
}

// The settings in a recording's first line.
base::Result<std::string> config_of_start(const Json& json, std::uint64_t line,
                                          const std::string& manager) {
  std::string problem;
  std::string recorded;
  std::string config;
  int version = 0;
  JsonFields fields(json, problem);
  fields.get("version", version);
  if (problem.empty() && version != kVersion) {
    return base::fail(bad_line(line, "another version of recordings"));
  }
  fields.get("manager", recorded);
  if (fields.has("config")) fields.get("config", config);
  if (!problem.empty()) return base::fail(bad_line(line, "no recording: " + problem));
  if (recorded == manager) return config;
  return base::fail(ErrorKind::kInvalid, fmt::format("this is a recording of {}, not of '{}'",
                                                     base::quoted(recorded), manager));
}

std::string listed(const std::vector<std::string>& actions) {
  return base::printable(fmt::format("[{}]", fmt::join(actions, "; ")));
}

class Replay {
 public:
  Replay(const std::string& manager, const Decide& decide, const Undone& undone)
      : manager_(manager), decide_(decide), undone_(undone) {}

  base::Status take(const Json& json, std::uint64_t line) {
    line_ = line;
    std::string problem;
    const std::string event = event_of(json, problem);
    if (event == "start") return take_start(json);
    if (problem.empty() && !started_) return refuse("no start before it");
    base::Status taken;
    if (event == "sample") taken = take_sample(json, problem);
    if (event == "plan") taken = take_plan(json, problem);
    if (event == "undone") taken = take_undone(json, problem);
    // Later versions may tell more: another event is passed over.
    if (!problem.empty()) return refuse("no recording: " + problem);
    return taken;
  }

  // A last line that was not written to its end, as by a manager that was killed or a full disk.
  base::Error cut_off(std::uint64_t line) const {
    if (done_.plans == 0) return bad_line(line, "cut off, before the first plan");
    return bad_line(
        line,
        done_.plans == 1
            ? "cut off after 1 plan, which is the same as recorded"
            : fmt::format("cut off after {} plans, which are the same as recorded", done_.plans));
  }

  bool started() const { return started_; }

  base::Result<Replayed> end() const {
    if (!started_) return base::fail(no_start());
    if (done_.plans == 0) return base::fail(ErrorKind::kCorrupt, "there are no plans in it");
    return done_;
  }

 private:
  base::Status refuse(const std::string& why) const { return base::fail(bad_line(line_, why)); }

  base::Status take_start(const Json& json) {
    if (started_) return refuse("a second start: a recording holds one run");
    FL_TRY(const auto config, config_of_start(json, line_, manager_));
    (void)config;  // whoever decides has it
    started_ = true;
    return {};
  }

  base::Status take_sample(const Json& json, std::string& problem) {
    if (done_.last_without_plan) return refuse("the sample before it has no plan");
    const Sample sample = recorded_sample(json, problem);
    if (!problem.empty()) return {};
    if (sample.at_ns < at_ns_) return refuse("'at_ns' is less than in the sample before");
    at_ns_ = sample.at_ns;
    decided_ = decide_(sample);
    planned_.clear();
    done_.last_without_plan = true;
    return {};
  }

  base::Status take_plan(const Json& json, std::string& problem) {
    std::vector<std::string> recorded;
    JsonFields(json, problem).get("actions", recorded);
    if (!problem.empty()) return {};
    if (!done_.last_without_plan) return refuse("a plan without a sample");
    done_.last_without_plan = false;
    ++done_.plans;
    planned_ = recorded;
    if (recorded == decided_) return {};
    return refuse(
        fmt::format("the plan differs: recorded {}, now {}", listed(recorded), listed(decided_)));
  }

  // Of an action of the plan before it, once: a manager would pass over any other.
  base::Status take_undone(const Json& json, std::string& problem) {
    std::string action;
    JsonFields(json, problem).get("action", action);
    if (!problem.empty()) return {};
    const auto planned = std::ranges::find(planned_, action);
    if (planned == planned_.end()) {
      return refuse("undone is " + base::quoted(action) +
                    ", which the plan before it does not have");
    }
    planned_.erase(planned);
    if (undone_) undone_(action);
    return {};
  }

  const std::string& manager_;
  const Decide& decide_;
  const Undone& undone_;
  std::uint64_t line_ = 0;
  bool started_ = false;
  std::int64_t at_ns_ = 0;
  std::vector<std::string> decided_;
  std::vector<std::string> planned_;  // of these none is undone yet
  Replayed done_;
};

}  // namespace

std::string start_line(const std::string& manager, const std::string& config) {
  std::string line;
  base::JsonWriter(line)
      .begin_object()
      .member("event", "start")
      .member("version", kVersion)
      .member("manager", manager)
      .member("config", config)
      .end_object();
  return line;
}

std::string sample_line(const Sample& sample) {
  std::string line;
  base::JsonWriter json(line);
  json.begin_object()
      .member("event", "sample")
      .member("at_ns", sample.at_ns)
      .member("wall_s", sample.wall_s)
      .member("total_bytes", sample.memory.total_bytes)
      .member("available_bytes", sample.memory.available_bytes);
  put(json, "pressure_some", sample.memory.pressure_some);
  json.key("pcpus").begin_array();
  for (const PcpuSample& pcpu : sample.pcpus) {
    json.begin_object()
        .member("cpu", pcpu.cpu)
        .member("busy_ns", pcpu.busy_ns)
        .member("core", pcpu.core)
        .member("cache", pcpu.cache)
        .member("node", pcpu.node)
        .end_object();
  }
  json.end_array().key("guests").begin_array();
  for (const GuestSample& guest : sample.guests) put(json, guest);
  json.end_array().end_object();
  return line;
}

std::string plan_line(const std::vector<std::string>& actions) {
  std::string line;
  base::JsonWriter json(line);
  json.begin_object().member("event", "plan").key("actions").begin_array();
  for (const std::string& action : actions) json.value(action);
  json.end_array().end_object();
  return line;
}

std::string undone_line(const std::string& action) {
  std::string line;
  base::JsonWriter(line)
      .begin_object()
      .member("event", "undone")
      .member("action", action)
      .end_object();
  return line;
}

base::Result<std::string> recorded_config(std::istream& in, const std::string& manager) {
  Lines lines(in);
  FL_TRY(const bool found, lines.next());
  if (!found) return base::fail(lines.number() == 0 ? empty() : no_start());
  const std::uint64_t line = lines.number();
  const auto json = parse(lines.text());
  if (!json) return base::fail(bad_line(line, json.error().message()));
  std::string problem;
  const std::string event = event_of(*json, problem);
  if (!problem.empty()) return base::fail(bad_line(line, "no recording: " + problem));
  if (event != "start") return base::fail(bad_line(line, "no start before it"));
  return config_of_start(*json, line, manager);
}

base::Result<Replayed> replay(std::istream& in, const std::string& manager, const Decide& decide,
                              const Undone& undone) {
  Replay replay(manager, decide, undone);
  Lines lines(in);
  for (;;) {
    FL_TRY(const bool more, lines.next());
    if (!more) break;
    const auto json = parse(lines.text());
    if (json) {
      FL_TRY_STATUS(replay.take(*json, lines.number()));
      continue;
    }
    const bool cut = replay.started() && !lines.whole() && json.error().kind() == kNoJson;
    return base::fail(cut ? replay.cut_off(lines.number())
                          : bad_line(lines.number(), json.error().message()));
  }
  if (lines.number() == 0) return base::fail(empty());
  return replay.end();
}

}  // namespace fairlead::manage
