// SPDX-License-Identifier: Apache-2.0
#include "apps/service_questions.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "base/file.h"
#include "base/text_table.h"
#include "base/units.h"
#include "daemon/lock_file.h"
#include "daemon/runtime_dir.h"
#include "daemon/stop.h"
#include "shm/peer_call.h"

namespace fairlead::apps {

using base::ErrorKind;
using nlohmann::json;

namespace {

constexpr const char* kService = "fairlead-service";
constexpr std::int64_t kAnswerNs = 2 * base::kNanosPerSecond;
constexpr std::int64_t kDrainNs = 10 * base::kNanosPerSecond;
constexpr int kExitMs = 10'000;
constexpr std::int64_t kEndingNs = 2 * base::kNanosPerSecond;
constexpr std::size_t kMostReport = 1 << 20;
constexpr std::size_t kMostLock = 256;

base::Result<daemon::RuntimeFiles> files_of(const ServiceCommand& command) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kUse));
  return folder.files(command.name);
}

// What is known of the last one.  It empties its predecessor's report before it serves, and an end
// in order removes the lock: a lock that nobody holds is what a sudden death leaves.
std::string last_words(const daemon::RuntimeFiles& files) {
  if (const auto lock = base::read_file(files.lock, kMostLock)) {
    const auto dead = daemon::ProcessId::parse(*lock);
    std::string text = "; the last one";
    if (dead) text += " (pid " + std::to_string(dead->pid) + ")";
    text += " died without a report";
    return ::access(files.log.c_str(), F_OK) == 0 ? text + ", see " + files.log : text;
  }
  if (const auto last = base::read_file(files.last, kMostReport); last && !last->empty()) {
    return "; the last one ended with " + summary_line(*last);
  }
  return "";
}

base::Error not_running(const ServiceCommand& command, const daemon::RuntimeFiles* files) {
  std::string text = "no service '" + command.name + "' is running";
  if (files != nullptr) text += last_words(*files);
  return advise_start(base::Error(ErrorKind::kNotFound, text), command.name);
}

struct Running {
  daemon::RuntimeFiles files;
  base::Fd process;  // a pidfd; none if the process ended just now or has not said who it is
};

// The service that holds the lock.
base::Result<Running> find_running(const ServiceCommand& command) {
  auto files = files_of(command);
  if (!files) {
    if (files.error().kind() != ErrorKind::kNotFound) return base::fail(files.error());
    return base::fail(not_running(command, nullptr));
  }
  FL_TRY(const auto holder, daemon::LockFile::holder(files->lock));
  if (!holder) return base::fail(not_running(command, &*files));
  Running running{*std::move(files), base::Fd()};
  if (holder->process) {
    if (auto process = holder->process->open()) running.process = *std::move(process);
  }
  return running;
}

// A process that has let go of its lock still has memory and threads to give back.
base::Status await_exit(const base::Fd& process) {
  pollfd end{process.get(), POLLIN, 0};
  if (!process || ::poll(&end, 1, kExitMs) != 0) return {};
  return base::fail(ErrorKind::kTimeout, "its process does not end");
}

void print_report(const ServiceCommand& command, const std::string& report) {
  if (command.output == "json") {
    std::puts(report.c_str());
  } else {
    std::puts(summary_line(report).c_str());
  }
}

std::string counted(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// What a report must hold; a service may say anything, so nothing is used that was not checked.
constexpr const char* kCounts[] = {"sectors", "requests", "lookups",      "hits",
                                   "errors",  "faults",   "clients_seen", "clients_connected"};
constexpr const char* kReals[] = {"uptime_s", "idle_s", "hit_ratio"};
constexpr const char* kTexts[] = {"image", "engine"};
constexpr const char* kTimes[] = {"p50", "p99"};
constexpr const char* kThrottleCounts[] = {"answered", "late", "within_2_percent"};
constexpr const char* kThrottleTexts[] = {"drive", "scheduler"};
constexpr const char* kThrottleReals[] = {"k"};
constexpr const char* kScheduledCounts[] = {"depth", "requests", "transfers"};
constexpr const char* kScheduledTexts[] = {"scheduler"};
constexpr const char* kLogTexts[] = {"file", "ended"};
constexpr const char* kLogCounts[] = {"requests"};
constexpr const char* kOfClient[] = {"client", "pid",    "weight",     "requests",
                                     "hits",   "errors", "outstanding"};

template <typename Is>
bool all_are(const json& object, std::span<const char* const> names, Is&& is) {
  return object.is_object() && std::all_of(names.begin(), names.end(), [&](const char* name) {
           const auto found = object.find(name);
           return found != object.end() && is(*found);
         });
}

// Counters and positive numbers below 2^63.
bool is_count(const json& value) {
  return value.is_number_unsigned() && value.get<std::uint64_t>() <= INT64_MAX;
}
bool is_real(const json& value) { return value.is_number(); }
bool is_text(const json& value) { return value.is_string(); }

bool throttle_makes_sense(const json& throttle) {
  constexpr const char* kMean[] = {"mean"};
  const auto timed = [&](const char* name) {
    const auto found = throttle.find(name);
    return found != throttle.end() && all_are(*found, kTimes, is_count) &&
           all_are(*found, kMean, is_real);
  };
  const auto log = throttle.find("log");
  if (log != throttle.end() &&
      !(all_are(*log, kLogTexts, is_text) && all_are(*log, kLogCounts, is_count))) {
    return false;
  }
  return all_are(throttle, kThrottleCounts, is_count) &&
         all_are(throttle, kThrottleTexts, is_text) && all_are(throttle, kThrottleReals, is_real) &&
         throttle.contains("k_locked") && throttle["k_locked"].is_boolean() &&
         timed("lateness_ns") && timed("virtual_service_ns") && timed("virtual_response_ns");
}

bool makes_sense(const json& data) {
  if (!all_are(data, kCounts, is_count) || !all_are(data, kReals, is_real) ||
      !all_are(data, kTexts, is_text)) {
    return false;
  }
  if (data.contains("throttle") && !throttle_makes_sense(data["throttle"])) return false;
  if (const auto scheduled = data.find("scheduled");
      scheduled != data.end() && !(all_are(*scheduled, kScheduledCounts, is_count) &&
                                   all_are(*scheduled, kScheduledTexts, is_text))) {
    return false;
  }
  const auto latency = data.find("latency_ns");
  const auto clients = data.find("clients");
  if (latency == data.end() || !all_are(*latency, kTimes, is_count)) return false;
  if (clients == data.end() || !clients->is_array()) return false;
  return std::all_of(clients->begin(), clients->end(), [](const json& client) {
    constexpr const char* kName[] = {"name"};
    return all_are(client, kOfClient, is_count) && all_are(client, kName, is_text);
  });
}

std::optional<json> read_report(const std::string& report) {
  json data = json::parse(report, nullptr, false);
  if (data.is_discarded() || !makes_sense(data)) return std::nullopt;
  return data;
}

base::Error unreadable(const ServiceCommand& command) {
  return {ErrorKind::kCorrupt, "'" + command.name + "' sent a report that makes no sense"};
}

// For a terminal: what comes from outside must not steer it.
std::string printable(const json& text) {
  std::string out = text.get<std::string>();
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return out;
}

std::string count(const json& object, const char* name) {
  return std::to_string(object[name].get<std::uint64_t>());
}

std::string clients_table(const json& report) {
  base::TextTable table(
      {"client", "name", "pid", "weight", "requests", "hits", "errors", "outstanding"});
  for (const auto& client : report["clients"]) {
    table.add({count(client, "client"), printable(client["name"]), count(client, "pid"),
               count(client, "weight"), count(client, "requests"), count(client, "hits"),
               count(client, "errors"), count(client, "outstanding")});
  }
  return table.text();
}

std::string summary_of(const json& data) {
  const auto& latency = data["latency_ns"];
  const auto requests = data["requests"].get<std::uint64_t>();
  std::string line = fmt::format(
      "hit ratio {:.4f} ({} hits / {} lookups), {} (questions for the geometry included) of {}, {}",
      data["hit_ratio"].get<double>(), count(data, "hits"), count(data, "lookups"),
      counted(requests, "request"), counted(data["clients_seen"].get<std::uint64_t>(), "client"),
      counted(data["errors"].get<std::uint64_t>(), "error"));
  if (requests == 0) return line;
  return line + fmt::format(", in the service p50 {} p99 {}",
                            base::format_ns(latency["p50"].get<std::int64_t>()),
                            base::format_ns(latency["p99"].get<std::int64_t>()));
}

std::string throttle_line(const json& throttle) {
  const auto answered = throttle["answered"].get<std::uint64_t>();
  const auto share = [&](const char* name) {
    const auto part = static_cast<double>(throttle[name].get<std::uint64_t>());
    return answered == 0 ? 0 : 100 * part / static_cast<double>(answered);
  };
  const auto mean = [&](const char* name) {
    const double ns = throttle[name]["mean"].get<double>();
    return base::format_ns(static_cast<std::int64_t>(std::clamp(ns, 0.0, 9e18)));
  };
  return fmt::format(
      "as {} under {} · k {:.3g}{} · its service {}, response {} · late data {:.2f} % · within 2 % "
      "of the model {:.2f} %, p99 {} after it\n",
      printable(throttle["drive"]), printable(throttle["scheduler"]), throttle["k"].get<double>(),
      throttle["k_locked"].get<bool>() ? " locked" : "", mean("virtual_service_ns"),
      mean("virtual_response_ns"), share("late"), share("within_2_percent"),
      base::format_ns(throttle["lateness_ns"]["p99"].get<std::int64_t>()));
}

std::string log_line(const json& log) {
  const std::string why = printable(log["ended"]);
  return fmt::format("log of {} in {}{}\n",
                     counted(log["requests"].get<std::uint64_t>(), "request"),
                     printable(log["file"]), why.empty() ? "" : ", which has ended: " + why);
}

void print_status(const json& data) {
  std::string text =
      fmt::format("{} · {} sectors · {} · up {:.0f} s, idle {:.0f} s\n", printable(data["image"]),
                  count(data, "sectors"), printable(data["engine"]), data["uptime_s"].get<double>(),
                  data["idle_s"].get<double>());
  text += summary_of(data) + "\n";
  if (const auto throttle = data.find("throttle"); throttle != data.end()) {
    text += throttle_line(*throttle);
    if (throttle->contains("log")) text += log_line((*throttle)["log"]);
  }
  if (const auto scheduled = data.find("scheduled"); scheduled != data.end()) {
    text += fmt::format("in the order of {}, {} at once · {} read as {}\n",
                        printable((*scheduled)["scheduler"]), count(*scheduled, "depth"),
                        counted((*scheduled)["requests"].get<std::uint64_t>(), "request"),
                        counted((*scheduled)["transfers"].get<std::uint64_t>(), "transfer"));
  }
  const auto connected = data["clients_connected"].get<std::uint64_t>();
  text += fmt::format("{} connected\n", counted(connected, "client"));
  if (!data["clients"].empty()) text += clients_table(data);
  if (connected > data["clients"].size()) {
    text += fmt::format("and {} more\n", connected - data["clients"].size());
  }
  std::fputs(text.c_str(), stdout);
}

}  // namespace

std::string summary_line(const std::string& report) {
  const auto data = read_report(report);
  return data ? summary_of(*data) : "an unreadable report";
}

int stop_service(const ServiceCommand& command) {
  const auto running = find_running(command);
  if (!running) return fail(kService, running.error());
  const daemon::RuntimeFiles* files = &running->files;
  // A service that does not answer is ended all the same; one that hangs up is ending already,
  // perhaps because somebody else told it to.
  const auto report = shm::query_service(files->socket, abi::ControlType::kQueryStop, kDrainNs);
  daemon::Patience patience;
  if (!report) {
    patience.drain_ns = report.error().kind() == ErrorKind::kTimeout ? 0 : kEndingNs;
  }
  const auto ending = daemon::await_end(files->lock, patience);
  if (!ending) return fail(kService, base::Error(ending.error()).at("stop '" + command.name + "'"));
  if (auto gone = await_exit(running->process); !gone) {
    return fail(kService, std::move(gone).error().at("stop '" + command.name + "'"));
  }
  if (report && !read_report(*report)) {
    return fail(kService, unreadable(command).at("stop"));
  }
  if (report) {
    print_report(command, *report);
    if (const auto kept = base::read_file(files->last, kMostReport); !kept || *kept != *report) {
      std::fprintf(stderr, "%s: this report could not be kept in %s\n", kService,
                   files->last.c_str());
    }
    return kDone;
  }
  if (*ending == daemon::Ending::kNotRunning || *ending == daemon::Ending::kDrained) {
    std::fprintf(stderr, "%s: '%s' was ended meanwhile\n", kService, command.name.c_str());
    if (const auto last = base::read_file(files->last, kMostReport); last && !last->empty()) {
      print_report(command, *last);
    }
    return kDone;
  }
  std::fprintf(stderr, "%s: '%s' did not answer (%s); it was %s\n", kService, command.name.c_str(),
               report.error().message().c_str(), std::string(daemon::name(*ending)).c_str());
  return kDone;
}

int show_status(const ServiceCommand& command, bool watch) {
  do {
    const auto running = find_running(command);
    if (!running) return fail(kService, running.error());
    const auto report =
        shm::query_service(running->files.socket, abi::ControlType::kQueryStatus, kAnswerNs);
    if (!report) return fail(kService, advise_start(report.error(), command.name));
    const auto data = read_report(*report);
    if (!data) return fail(kService, unreadable(command));
    if (command.output == "json") {
      std::puts(report->c_str());
    } else {
      print_status(*data);
    }
    watch = watch && flush_stdout();
    if (watch) ::sleep(1);
  } while (watch);
  return kDone;
}

}  // namespace fairlead::apps
