// SPDX-License-Identifier: Apache-2.0
#include "apps/service_questions.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>

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

constexpr const char* kProgram = "fairlead-service";
constexpr std::int64_t kAnswerNs = 2 * base::kNanosPerSecond;
constexpr std::int64_t kDrainNs = 10 * base::kNanosPerSecond;
constexpr int kExitMs = 10'000;
constexpr std::size_t kMostReport = 1 << 20;

base::Result<daemon::RuntimeFiles> files_of(const ServiceCommand& command) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kUse));
  return folder.files(command.name);
}

base::Error not_running(const ServiceCommand& command, const daemon::RuntimeFiles* files) {
  std::string text = "no service '" + command.name + "' is running";
  if (files != nullptr) {
    if (const auto last = base::read_file(files->last, kMostReport); last && !last->empty()) {
      text += "; the last one ended with " + summary_line(*last);
    }
  }
  return base::Error(ErrorKind::kNotFound, text);
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

std::string clients_table(const json& report) {
  base::TextTable table(
      {"client", "name", "pid", "weight", "requests", "hits", "errors", "outstanding"});
  for (const auto& client : report["clients"]) {
    table.add({std::to_string(client["client"].get<std::uint64_t>()),
               client["name"].get<std::string>(), std::to_string(client["pid"].get<std::int64_t>()),
               std::to_string(client["weight"].get<std::uint64_t>()),
               std::to_string(client["requests"].get<std::uint64_t>()),
               std::to_string(client["hits"].get<std::uint64_t>()),
               std::to_string(client["errors"].get<std::uint64_t>()),
               std::to_string(client["outstanding"].get<std::uint64_t>())});
  }
  return table.text();
}

void print_status(const std::string& report) {
  const json data = json::parse(report);
  fmt::print("{} · {} sectors · {} · up {:.0f} s, idle {:.0f} s\n",
             data["image"].get<std::string>(), data["sectors"].get<std::uint64_t>(),
             data["engine"].get<std::string>(), data["uptime_s"].get<double>(),
             data["idle_s"].get<double>());
  fmt::print("{}\n", summary_line(report));
  const auto connected = data["clients_connected"].get<std::uint64_t>();
  fmt::print("{} clients connected\n", connected);
  if (!data["clients"].empty()) fmt::print("{}", clients_table(data));
  if (connected > data["clients"].size()) {
    fmt::print("and {} more\n", connected - data["clients"].size());
  }
}

}  // namespace

std::string summary_line(const std::string& report) {
  const json data = json::parse(report, nullptr, false);
  if (data.is_discarded()) return "an unreadable report";
  const auto lookups = data["lookups"].get<std::uint64_t>();
  const auto& latency = data["latency_ns"];
  return fmt::format(
      "hit ratio {:.4f} ({} hits / {} lookups), {} requests of {} clients, {} errors, "
      "in the service p50 {} p99 {}",
      data["hit_ratio"].get<double>(), data["hits"].get<std::uint64_t>(), lookups,
      data["requests"].get<std::uint64_t>(), data["clients_seen"].get<std::uint64_t>(),
      data["errors"].get<std::uint64_t>(), base::format_ns(latency["p50"].get<std::int64_t>()),
      base::format_ns(latency["p99"].get<std::int64_t>()));
}

int stop_service(const ServiceCommand& command) {
  const auto running = find_running(command);
  if (!running) return fail(kProgram, running.error());
  const daemon::RuntimeFiles* files = &running->files;
  // A service that does not answer is ended all the same.
  const auto report = shm::query_service(files->socket, abi::ControlType::kQueryStop, kDrainNs);
  daemon::Patience patience;
  if (!report) patience.drain_ns = 0;
  const auto ending = daemon::await_end(files->lock, patience);
  if (!ending) return fail(kProgram, base::Error(ending.error()).at("stop '" + command.name + "'"));
  if (auto gone = await_exit(running->process); !gone) {
    return fail(kProgram, std::move(gone).error().at("stop '" + command.name + "'"));
  }
  if (report) {
    print_report(command, *report);
    if (const auto kept = base::read_file(files->last, kMostReport); !kept || *kept != *report) {
      std::fprintf(stderr, "%s: this report could not be kept in %s\n", kProgram,
                   files->last.c_str());
    }
    return kDone;
  }
  std::fprintf(stderr, "%s: '%s' did not answer (%s); it was %s\n", kProgram, command.name.c_str(),
               report.error().message().c_str(), std::string(daemon::name(*ending)).c_str());
  return kDone;
}

int show_status(const ServiceCommand& command, bool watch) {
  do {
    const auto running = find_running(command);
    if (!running) return fail(kProgram, running.error());
    const auto report =
        shm::query_service(running->files.socket, abi::ControlType::kQueryStatus, kAnswerNs);
    if (!report) return fail(kProgram, report.error());
    if (command.output == "json") {
      std::puts(report->c_str());
    } else {
      print_status(*report);
    }
    std::fflush(stdout);
    if (watch) ::sleep(1);
  } while (watch);
  return kDone;
}

}  // namespace fairlead::apps
