// SPDX-License-Identifier: Apache-2.0
#include "manage/recording.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace fairlead::manage {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;

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

template <typename T>
void get(const Json& json, const char* name, T& value) {
  json.at(name).get_to(value);
}

template <typename T>
void get(const Json& json, const char* name, std::optional<T>& value) {
  if (json.contains(name)) value = json.at(name).get<T>();
}

BalloonSample balloon_from(const Json& json) {
  BalloonSample balloon;
  get(json, "current_bytes", balloon.current_bytes);
  get(json, "maximum_bytes", balloon.maximum_bytes);
  get(json, "rss_bytes", balloon.rss_bytes);
  get(json, "usable_bytes", balloon.usable_bytes);
  get(json, "unused_bytes", balloon.unused_bytes);
  get(json, "available_bytes", balloon.available_bytes);
  get(json, "swap_in_bytes", balloon.swap_in_bytes);
  get(json, "major_faults", balloon.major_faults);
  get(json, "updated_s", balloon.updated_s);
  return balloon;
}

CpuSet mask_from(const Json& json) {
  const auto text = json.get<std::string>();
  if (text.empty()) return {};
  auto mask = CpuSet::parse(text);
  if (!mask) throw std::invalid_argument(mask.error().message());
  return *std::move(mask);
}

GuestSample guest_from(const Json& json) {
  GuestSample guest;
  get(json, "uuid", guest.uuid);
  get(json, "name", guest.name);
  get(json, "run_id", guest.run_id);
  const auto state = json.at("state").get<unsigned>();
  guest.state = static_cast<GuestState>(std::min(state, 2U));
  get(json, "memory_node", guest.memory_node);
  for (const Json& one : json.at("vcpus")) {
    VcpuSample vcpu;
    get(one, "index", vcpu.index);
    get(one, "online", vcpu.online);
    get(one, "run_ns", vcpu.run_ns);
    get(one, "delay_ns", vcpu.delay_ns);
    vcpu.allowed = mask_from(one.at("allowed"));
    guest.vcpus.push_back(std::move(vcpu));
  }
  get(json, "process_ns", guest.process_ns);
  if (json.contains("helpers_allowed")) guest.helpers_allowed = mask_from(json["helpers_allowed"]);
  if (json.contains("memory")) guest.memory = balloon_from(json.at("memory"));
  return guest;
}

Sample sample_from(const Json& json) {
  Sample sample;
  get(json, "at_ns", sample.at_ns);
  get(json, "wall_s", sample.wall_s);
  get(json, "total_bytes", sample.memory.total_bytes);
  get(json, "available_bytes", sample.memory.available_bytes);
  get(json, "pressure_some", sample.memory.pressure_some);
  for (const Json& one : json.at("pcpus")) {
    PcpuSample pcpu;
    get(one, "cpu", pcpu.cpu);
    if (pcpu.cpu >= CpuSet::kMostCpus) throw std::invalid_argument("processor number too large");
    get(one, "busy_ns", pcpu.busy_ns);
    get(one, "core", pcpu.core);
    get(one, "cache", pcpu.cache);
    get(one, "node", pcpu.node);
    sample.pcpus.push_back(pcpu);
  }
  for (const Json& one : json.at("guests")) sample.guests.push_back(guest_from(one));
  return sample;
}

base::Error bad_line(std::uint64_t line, const std::string& why) {
  return {base::ErrorKind::kCorrupt, fmt::format("line {}: {}", line, why)};
}

// The settings in a recording's first line.
base::Result<std::string> config_of_start(const Json& json, std::uint64_t line,
                                          const std::string& manager) {
  if (json.at("version").get<int>() != kVersion) {
    return base::fail(bad_line(line, "another version of recordings"));
  }
  const auto recorded = json.at("manager").get<std::string>();
  if (recorded != manager) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("this is a recording of '{}', not of '{}'", recorded, manager));
  }
  return json.value("config", std::string());
}

class Replay {
 public:
  Replay(std::string manager, const Decide& decide, const Undone& undone)
      : manager_(std::move(manager)), decide_(decide), undone_(undone) {}

  base::Status take(const Json& json, std::uint64_t line) {
    const auto event = json.at("event").get<std::string>();
    if (event == "start") {
      FL_TRY(const auto config, config_of_start(json, line, manager_));
      (void)config;  // whoever decides has it
      started_ = true;
      return {};
    }
    if (!started_) return base::fail(bad_line(line, "no start before it"));
    if (event == "sample") {
      decided_ = decide_(sample_from(json));
      waits_ = true;
      return {};
    }
    if (event == "undone") {
      const auto action = json.at("action").get<std::string>();
      if (undone_) undone_(action);
      return {};
    }
    if (event != "plan") return {};  // later versions may tell more
    const auto recorded = json.at("actions").get<std::vector<std::string>>();
    if (!waits_) return base::fail(bad_line(line, "a plan without a sample"));
    waits_ = false;
    ++compared_;
    if (recorded == decided_) return {};
    return base::fail(
        bad_line(line, fmt::format("the plan differs: recorded [{}], now [{}]",
                                   fmt::join(recorded, "; "), fmt::join(decided_, "; "))));
  }

  std::uint64_t compared() const { return compared_; }

 private:
  const std::string manager_;
  const Decide& decide_;
  const Undone& undone_;
  bool started_ = false;
  bool waits_ = false;
  std::vector<std::string> decided_;
  std::uint64_t compared_ = 0;
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
  std::uint64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    try {
      const Json json = Json::parse(line);
      if (json.at("event").get<std::string>() != "start") {
        return base::fail(bad_line(number, "no start before it"));
      }
      return config_of_start(json, number, manager);
    } catch (const std::exception& error) {  // of nlohmann
      return base::fail(bad_line(number, fmt::format("no recording: {}", error.what())));
    }
  }
  return base::fail(base::ErrorKind::kCorrupt, "the recording is empty");
}

base::Result<std::uint64_t> replay(std::istream& in, const std::string& manager,
                                   const Decide& decide, const Undone& undone) {
  Replay replay(manager, decide, undone);
  std::uint64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    try {
      FL_TRY_STATUS(replay.take(Json::parse(line), number));
    } catch (const std::exception& error) {  // of nlohmann, and of sample_from
      return base::fail(bad_line(number, fmt::format("no recording: {}", error.what())));
    }
  }
  if (in.bad()) return base::fail(base::ErrorKind::kIo, "reading the recording failed");
  if (number == 0) return base::fail(base::ErrorKind::kCorrupt, "the recording is empty");
  return replay.compared();
}

}  // namespace fairlead::manage
