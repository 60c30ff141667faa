// SPDX-License-Identifier: Apache-2.0
//
// fairlead-agent: pid 1 of the small guests.
//
//     kernel's command line   fairlead.load=cpu:heavy;mem:limit=64M   starts these at once
//                             fairlead.report=500                     milliseconds: on the console
//                             fairlead.seconds=10                     then power off
//     virtio-serial port      the words of agent_protocol.h
//
// One thread; it waits in poll() for the port (host_port.h), for signals and for the next report.
// The host's commands are another process's (command_server.h).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "guest/agent/command_server.h"
#include "guest/agent/host_port.h"
#include "guest/agent/loads.h"
#include "guest/agent/system.h"
#include "guest/agent/tracer.h"
#include "guest/agent_protocol.h"
#include "guest/load_shape.h"

namespace {

using namespace fairlead::guest;

constexpr std::int64_t kPortPatienceNs = 5'000'000'000;
constexpr std::size_t kCommandLineBytes = 4096;

class Agent {
 public:
  [[noreturn]] void run();

 private:
  void read_command_line();
  int wait_ms() const;
  void report_on_console();
  void obey(std::string_view line);
  const char* load(std::string_view shapes, char separator);
  void answer_report(std::uint32_t id);
  void answer_tracer();
  const char* trace(std::uint32_t id, std::string_view arguments);
  void reap();
  Report report() const;

  Loads loads_;
  Tracer tracer_;
  HostPort port_;
  pid_t command_server_ = 0;
  std::uint64_t boot_ms_ = 0;
  std::uint64_t report_every_ms_ = 0;  // 0: never
  std::uint64_t next_report_ms_ = 0;
  std::uint64_t end_ms_ = 0;  // 0: never
};

std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

[[noreturn]] void power_off() {
  std::fflush(stdout);
  ::reboot(RB_POWER_OFF);
  while (true) ::pause();
}

Report Agent::report() const {
  Report report;
  report.up_ms = uptime_ms();
  report.boot_ms = boot_ms_;
  report.cpus = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  fill_memory(report);
  loads_.fill(report);
  return report;
}

void Agent::read_command_line() {
  static char text[kCommandLineBytes];
  const std::string_view line(text, read_small("/proc/cmdline", text, sizeof text));
  report_every_ms_ = number_of(kernel_argument(line, "fairlead.report"));
  const std::string_view seconds = kernel_argument(line, "fairlead.seconds");
  if (!seconds.empty()) end_ms_ = uptime_ms() + number_of(seconds) * 1000;
  const std::string_view shapes = kernel_argument(line, "fairlead.load");
  if (shapes.empty()) return;
  if (const char* wrong = load(shapes, ';')) std::printf("fairlead-agent: load: %s\n", wrong);
}

const char* Agent::load(std::string_view shapes, char separator) {
  std::array<LoadShape, 8> parsed;
  std::size_t count = 0;
  while (!shapes.empty()) {
    const std::size_t end = shapes.find(separator);
    const std::string_view word = shapes.substr(0, end);
    shapes.remove_prefix(end == std::string_view::npos ? shapes.size() : end + 1);
    if (word.empty()) continue;
    const auto shape = parse_load(word);
    if (!shape) return shape.error();
    if (count == parsed.size()) return "at most 8 loads at once";
    parsed[count++] = *shape;
  }
  if (count == 0) return "no load";
  for (std::size_t i = 0; i < count; ++i) {
    if (const char* wrong = loads_.start(parsed[i])) return wrong;
  }
  return nullptr;
}

void Agent::answer_report(std::uint32_t id) {
  char line[kLineBytes];
  auto size = static_cast<std::size_t>(std::snprintf(line, sizeof line, "%u ok ", id));
  size += format_report(report(), line + size, sizeof line - size - 1);
  line[size++] = '\n';
  port_.send(line, size);
}

void Agent::answer_tracer() {
  while (const auto news = tracer_.read()) {
    char line[kLineBytes];
    const int size = std::snprintf(
        line, sizeof line, "%u %s%.*s\n", news->id, news->ok ? "ok" : "error",
        static_cast<int>(std::min<std::size_t>(news->text.size(), 900)), news->text.data());
    port_.send(line, static_cast<std::size_t>(size));
  }
}

// nullptr: the answer comes later.
const char* Agent::trace(std::uint32_t id, std::string_view arguments) {
  const auto command = parse_trace(arguments);
  if (!command) {
    return "trace start [disk=NAME …] [buffer_kib=N] [pause_us=N] [port=N [queue_kib=N]], "
           "or trace stop";
  }
  return command->start ? tracer_.start(id, *command) : tracer_.stop(id);
}

// All that have ended, strangers too: we are pid 1.
void Agent::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    loads_.took(pid);
    if (pid == command_server_) command_server_ = start_command_server();
  }
}

void Agent::obey(std::string_view line) {
  const auto request = parse_request(line);
  if (!request) return port_.answer(0, "what? ping, load, add, stop, report, trace, poweroff");
  switch (request->verb) {
    case Verb::kPing: return port_.answer(request->id, nullptr);
    case Verb::kReport: return answer_report(request->id);
    case Verb::kPowerOff: port_.answer(request->id, nullptr); power_off();
    case Verb::kTrace:
      if (const char* wrong = trace(request->id, request->arguments)) {
        port_.answer(request->id, wrong);
      }
      return;
    case Verb::kRun:
    case Verb::kEnd: return port_.answer(request->id, "commands have a port of their own");
    case Verb::kStop: loads_.stop(); return port_.answer(request->id, nullptr);
    case Verb::kLoad: loads_.stop(); [[fallthrough]];
    case Verb::kAdd: return port_.answer(request->id, load(request->arguments, ' '));
  }
}

void Agent::report_on_console() {
  char line[kLineBytes];
  const std::size_t size = format_report(report(), line, sizeof line);
  std::printf("fairlead-report %.*s\n", static_cast<int>(size), line);
}

int Agent::wait_ms() const {
  std::uint64_t next = UINT64_MAX;
  if (report_every_ms_ != 0) next = std::min(next, next_report_ms_);
  if (end_ms_ != 0) next = std::min(next, end_ms_);
  if (next == UINT64_MAX) return -1;
  const std::uint64_t now = uptime_ms();
  return next <= now ? 0 : static_cast<int>(std::min<std::uint64_t>(next - now, 1'000'000));
}

void Agent::run() {
  const int signal_fd = open_signals();
  prepare_system();
  read_command_line();
  const bool has_ports = ::access("/modules/order", F_OK) == 0;
  if (has_ports) {
    command_server_ = start_command_server();
    port_.open(kAgentPort, kPortPatienceNs);
  }
  boot_ms_ = uptime_ms();
  std::printf("fairlead-agent: ready boot_ms=%llu\n", static_cast<unsigned long long>(boot_ms_));
  if (has_ports) offer_shell();
  next_report_ms_ = boot_ms_ + report_every_ms_;
  while (true) {
    pollfd files[] = {
        {signal_fd, POLLIN, 0}, {port_.poll_fd(), port_.wanted(), 0}, {tracer_.fd(), POLLIN, 0}};
    ::poll(files, std::size(files), wait_ms());
    if (files[0].revents != 0) {
      signalfd_siginfo info;
      while (::read(signal_fd, &info, sizeof info) > 0) {
        if (info.ssi_signo == SIGIO) port_.came();
      }
      reap();
    }
    if (files[2].revents != 0) answer_tracer();
    if (files[1].revents != 0) {
      port_.serve(files[1].revents, [this](std::string_view line) { obey(line); });
    }
    const std::uint64_t now = uptime_ms();
    if (end_ms_ != 0 && now >= end_ms_) report_on_console(), power_off();
    if (report_every_ms_ != 0 && now >= next_report_ms_) {
      report_on_console();
      next_report_ms_ = now + report_every_ms_;
    }
  }
}

}  // namespace

int main() {
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  static Agent agent;
  agent.run();
}
