// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include <fmt/format.h>

#include "apps/toml_keys.h"
#include "base/file.h"
#include "base/json.h"
#include "base/quote.h"
#include "manage/recording.h"

namespace fairlead::apps {
namespace {

constexpr std::size_t kMostConfigBytes = std::size_t{4} * 1024 * 1024;
constexpr double kMostMib = 1e9;

double to_mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(manage::kMiB);
}

Setter mib(std::uint64_t& to) {
  return [&to](const toml::node& node) -> base::Status {
    const auto value = node.value<double>();
    if (!value || !(*value >= 0 && *value <= kMostMib))
      return refuse("a number of MiB is expected");
    to = static_cast<std::uint64_t>(*value * static_cast<double>(manage::kMiB));
    return {};
  };
}

Setter cpus(manage::CpuSet& to) {
  return [&to](const toml::node& node) -> base::Status {
    const auto text = node.value_exact<std::string>();
    if (!text) return refuse("a text like \"0-3,8\" is expected");
    FL_TRY(to, manage::CpuSet::parse(*text));
    return {};
  };
}

std::string section_of(const std::string& guest) { return "[guest." + base::quoted(guest) + "]"; }

// Calls `visit` for [guest."NAME"], hands [mine] to `setters` and passes over [other].
base::Status walk(
    const std::string& text, const std::string& origin, const std::string& mine,
    const std::string& other, const Setters& setters,
    const std::function<base::Status(const std::string&, const toml::table&)>& visit) {
  FL_TRY(const toml::table file, parse_toml(text, origin));
  for (const auto& [key, node] : file) {
    const toml::table* table = node.as_table();
    const std::string name(key.str());
    if (table == nullptr || (name != mine && name != other && name != "guest")) {
      return base::fail(wrong_at(
          origin, node,
          fmt::format("{} is none of [vcpu], [memory], [guest.\"NAME\"]", base::quoted(name))));
    }
    if (name == mine) FL_TRY_STATUS(take_keys(origin, *table, "[" + name + "]", setters));
    if (name != "guest") continue;
    for (const auto& [guest, rule] : *table) {
      if (rule.as_table() == nullptr) {
        return base::fail(wrong_at(origin, rule, "[guest.\"NAME\"] is expected"));
      }
      FL_TRY_STATUS(visit(std::string(guest.str()), *rule.as_table()));
    }
  }
  return {};
}

Setters keys(manage::CpuSettings& s) {
  constexpr std::uint32_t kMostIntervals = 1'000'000;
  return {{"pcpus", cpus(s.pcpus)},
          {"trigger", number(s.trigger, 0, 10)},
          {"target", number(s.target, 0, 10)},
          {"idle_points", number(s.idle_points, 0, 1)},
          {"best_factor", number(s.best_factor, 1, 100)},
          {"sibling_capacity", number(s.sibling_capacity, 0.01, 1)},
          {"remote_gain", number(s.remote_gain, 0, 100)},
          {"persistence", count(s.persistence, kMostIntervals)},
          {"cooldown", count(s.cooldown, kMostIntervals)}};
}

Setters keys(manage::MemorySettings& s) {
  return {{"pool_mib", mib(s.pool_bytes)},
          {"reserve_mib", mib(s.reserve_bytes)},
          {"room_mib", mib(s.room_bytes)},
          {"min_mib", mib(s.min_bytes)},
          {"max_mib", mib(s.max_bytes)},
          {"headroom_mib", mib(s.headroom_bytes)},
          {"spare_mib", mib(s.spare_bytes)},
          {"step_down_mib", mib(s.step_down_bytes)},
          {"dead_band_mib", mib(s.dead_band_bytes)},
          {"growth_factor", number(s.growth_factor, 0, 100)},
          {"idle_tax", number(s.idle_tax, 0, 0.99)},
          {"stuck_intervals", count(s.stuck_intervals, 1'000'000)},
          {"stats_period_s", count(s.stats_period_s, 3600)}};
}

constexpr const char* manager_of(const manage::CpuSettings&) { return "vcpu"; }
constexpr const char* manager_of(const manage::MemorySettings&) { return "memory"; }

template <typename Settings>
base::Status load(const ConfigSources& sources, Settings& settings) {
  if (!sources.recording.empty()) {
    FL_TRY(std::ifstream in, open_recording(sources.recording));
    auto config = manage::recorded_config(in, manager_of(settings));
    if (!config) return base::fail(std::move(config).error().at("replay " + sources.recording));
    FL_TRY_STATUS(parse_config(*config, "settings in " + sources.recording, settings));
  }
  if (sources.file.empty()) return {};
  FL_TRY(const std::string text, base::read_file(sources.file, kMostConfigBytes));
  return parse_config(text, sources.file, settings);
}

// A guest's name as a TOML key; JSON's escapes are TOML's.
std::string quoted_key(const std::string& name) {
  std::string text;
  base::JsonWriter(text).value(name);
  return text;
}

}  // namespace

base::Status parse_config(const std::string& text, const std::string& origin,
                          manage::CpuSettings& settings) {
  return walk(text, origin, "vcpu", "memory", keys(settings),
              [&](const std::string& guest, const toml::table& table) {
                manage::GuestCpuRule& rule = settings.rules[guest];
                return take_keys(
                    origin, table, section_of(guest),
                    {{"leave_alone", flag(rule.leave_alone)}, {"pcpus", cpus(rule.allowed)}},
                    {"min_mib", "max_mib", "shares"});
              });
}

base::Status parse_config(const std::string& text, const std::string& origin,
                          manage::MemorySettings& settings) {
  return walk(text, origin, "memory", "vcpu", keys(settings),
              [&](const std::string& guest, const toml::table& table) {
                manage::GuestMemoryRule& rule = settings.rules[guest];
                return take_keys(origin, table, section_of(guest),
                                 {{"leave_alone", flag(rule.leave_alone)},
                                  {"min_mib", mib(rule.min_bytes)},
                                  {"max_mib", mib(rule.max_bytes)},
                                  {"shares", number(rule.shares, 1, 1e6)}},
                                 {"pcpus"});
              });
}

base::Status load_config(const ConfigSources& sources, manage::CpuSettings& settings) {
  return load(sources, settings);
}

base::Status load_config(const ConfigSources& sources, manage::MemorySettings& settings) {
  return load(sources, settings);
}

base::Result<std::ifstream> open_recording(const std::string& path) {
  const std::string what = "open the recording " + path;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return base::fail_errno(errno, what);
  if (!S_ISREG(status.st_mode)) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("{}: it is {}, and has to be a regular file", what,
                                  S_ISDIR(status.st_mode) ? "a folder" : "a pipe or a device"));
  }
  std::ifstream in(path);
  if (!in) return base::fail_errno(errno, what);
  return in;
}

base::Status check_record(const ConfigSources& sources, const std::string& record) {
  struct stat ours{};
  if (record.empty() || ::stat(record.c_str(), &ours) != 0) return {};
  for (const auto& [option, path] :
       {std::pair{"--replay", &sources.recording}, std::pair{"--config", &sources.file}}) {
    struct stat other{};
    if (path->empty() || ::stat(path->c_str(), &other) != 0) continue;
    if (ours.st_dev != other.st_dev || ours.st_ino != other.st_ino) continue;
    return refuse(fmt::format("--record {} would replace the file of {}", record, option));
  }
  return {};
}

base::Status check_settings(const manage::MemorySettings& settings) {
  const auto contradict = [](std::uint64_t least, std::uint64_t most) {
    return most > 0 && least > most;
  };
  if (contradict(settings.min_bytes, settings.max_bytes)) {
    return refuse(fmt::format("each guest would keep {} MiB (--min) and get at most {} MiB (--max)",
                              to_mib(settings.min_bytes), to_mib(settings.max_bytes)));
  }
  for (const auto& [guest, rule] : settings.rules) {
    const std::uint64_t most = rule.max_bytes > 0 ? rule.max_bytes : settings.max_bytes;
    if (!contradict(rule.min_bytes, most)) continue;
    return refuse(fmt::format("guest {} would keep {} MiB and get at most {} MiB",
                              base::quoted(guest), to_mib(rule.min_bytes), to_mib(most)));
  }
  return {};
}

base::Status check_settings(const manage::CpuSettings& settings,
                            const std::vector<manage::PcpuSample>& online) {
  const auto ours = [&](const auto& pcpu) { return settings.pcpus.contains(pcpu.cpu); };
  if (settings.pcpus.empty() || std::ranges::any_of(online, ours)) return {};
  return refuse(fmt::format("none of the processors {} is online", settings.pcpus.text()));
}

std::vector<std::string> idle_rules(const manage::CpuSettings& settings,
                                    const std::vector<manage::PcpuSample>& online) {
  manage::CpuSet managed;
  for (const auto& pcpu : online) {
    if (settings.pcpus.empty() || settings.pcpus.contains(pcpu.cpu)) managed.add(pcpu.cpu);
  }
  std::vector<std::string> idle;
  for (const auto& [guest, rule] : settings.rules) {
    if (rule.leave_alone || rule.allowed.empty() || !(rule.allowed & managed).empty()) continue;
    idle.push_back(
        fmt::format("{} pcpus = \"{}\": none of them is managed and online, so the guest "
                    "is left as it is",
                    section_of(guest), rule.allowed.text()));
  }
  return idle;
}

std::string print_config(const manage::CpuSettings& s) {
  std::string text = "[vcpu]\n";
  if (!s.pcpus.empty()) text += fmt::format("pcpus = \"{}\"\n", s.pcpus.text());
  text += fmt::format(
      "trigger = {}\ntarget = {}\nidle_points = {}\nbest_factor = {}\nsibling_capacity = {}\n"
      "remote_gain = {}\npersistence = {}\ncooldown = {}\n",
      s.trigger, s.target, s.idle_points, s.best_factor, s.sibling_capacity, s.remote_gain,
      s.persistence, s.cooldown);
  for (const auto& [guest, rule] : s.rules) {
    text += fmt::format("\n[guest.{}]\nleave_alone = {}\n", quoted_key(guest), rule.leave_alone);
    if (!rule.allowed.empty()) text += fmt::format("pcpus = \"{}\"\n", rule.allowed.text());
  }
  return text;
}

std::string print_config(const manage::MemorySettings& s) {
  std::string text = fmt::format(
      "[memory]\npool_mib = {}\nreserve_mib = {}\nroom_mib = {}\nmin_mib = {}\nmax_mib = {}\n"
      "headroom_mib = {}\nspare_mib = {}\nstep_down_mib = {}\ndead_band_mib = {}\n"
      "growth_factor = {}\nidle_tax = {}\nstuck_intervals = {}\nstats_period_s = {}\n",
      to_mib(s.pool_bytes), to_mib(s.reserve_bytes), to_mib(s.room_bytes), to_mib(s.min_bytes),
      to_mib(s.max_bytes), to_mib(s.headroom_bytes), to_mib(s.spare_bytes),
      to_mib(s.step_down_bytes), to_mib(s.dead_band_bytes), s.growth_factor, s.idle_tax,
      s.stuck_intervals, s.stats_period_s);
  for (const auto& [guest, rule] : s.rules) {
    text += fmt::format("\n[guest.{}]\nleave_alone = {}\nmin_mib = {}\nmax_mib = {}\nshares = {}\n",
                        quoted_key(guest), rule.leave_alone, to_mib(rule.min_bytes),
                        to_mib(rule.max_bytes), rule.shares);
  }
  return text;
}

}  // namespace fairlead::apps
