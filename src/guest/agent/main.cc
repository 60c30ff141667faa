// SPDX-License-Identifier: Apache-2.0
//
// fairlead-agent: pid 1 of the small guests.
//
//     kernel's command line   fairlead.load=cpu:heavy;mem:limit=64M   starts these at once
//                             fairlead.report=500                     milliseconds: on the console
//                             fairlead.seconds=10                     then power off
//     virtio-serial port      the words of agent_protocol.h
//
// One thread; it waits in poll() for the port, for signals and for the next report.  The port tells
// by SIGIO that a host connected: without one poll() would return POLLHUP at once, again and again.
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

#include "guest/agent/loads.h"
#include "guest/agent/shell_command.h"
#include "guest/agent/system.h"
#include "guest/agent/tracer.h"
#include "guest/agent_protocol.h"
#include "guest/load_shape.h"

namespace {

using namespace fairlead::guest;

constexpr std::int64_t kPortPatienceNs = 5'000'000'000;
constexpr std::uint64_t kYoungMs = 300;
constexpr int kLinesAtOnce = 16;  // of a command that says much: the port and signals wait
constexpr std::size_t kCommandLineBytes = 4096;

class Agent {
 public:
  [[noreturn]] void run();

 private:
  void read_command_line();
  int wait_ms() const;
  void report_on_console();
  void read_port();
  void obey(std::string_view line);
  const char* load(std::string_view shapes, char separator);
  void answer(std::uint32_t id, const char* wrong);
  void answer_report(std::uint32_t id);
  void answer_tracer();
  const char* trace(std::uint32_t id, std::string_view arguments);
  const char* run_command(std::uint32_t id, std::string_view text);
  void answer_command();
  void end_orphan(std::uint64_t now_ms);
  void reap();
  void send(const char* bytes, std::size_t size);
  void flush();
  void serve_port(int events);
  Report report() const;

  Loads loads_;
  Tracer tracer_;
  ShellCommand command_;
  LineBuffer lines_;
  char waiting_[4 * kLineBytes] = {};  // answers that could not be sent yet
  std::size_t waiting_bytes_ = 0;
  int port_ = -1;
  bool says_more_ = false;  // the command, for all that we know
  bool host_there_ = true;  // as far as we know
  std::uint64_t host_gone_ms_ = 0;
  std::uint64_t command_ms_ = 0;  // when the last command began
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

void Agent::send(const char* bytes, std::size_t size) {
  // Full of answers that nobody takes: the host that asked has gone long ago.
  if (size > sizeof waiting_ - waiting_bytes_) waiting_bytes_ = 0;
  std::memcpy(waiting_ + waiting_bytes_, bytes, size);
  waiting_bytes_ += size;
  flush();
}

// A question can arrive before the news that its host is there: until then the port takes nothing.
void Agent::flush() {
  const ssize_t sent = ::write(port_, waiting_, waiting_bytes_);
  if (sent <= 0) return;
  waiting_bytes_ -= static_cast<std::size_t>(sent);
  std::memmove(waiting_, waiting_ + sent, waiting_bytes_);
}

void Agent::serve_port(int events) {
  read_port();
  if (waiting_bytes_ != 0) flush();
  if ((events & POLLHUP) == 0) return;
  host_there_ = false;
  host_gone_ms_ = uptime_ms();
  if (host_gone_ms_ >= command_ms_ + kYoungMs) command_.end();
}

// A host that goes takes its command with it.  A young command not at once: what the next host asks
// can be here before the news that it is.
void Agent::end_orphan(std::uint64_t now_ms) {
  if (host_there_ || now_ms < host_gone_ms_ + kYoungMs) return;
  host_gone_ms_ = UINT64_MAX - kYoungMs;
  command_.end();
}

void Agent::answer(std::uint32_t id, const char* wrong) {
  char line[kLineBytes];
  const int size = wrong == nullptr ? std::snprintf(line, sizeof line, "%u ok\n", id)
                                    : std::snprintf(line, sizeof line, "%u error %s\n", id, wrong);
  send(line, static_cast<std::size_t>(size));
}

void Agent::answer_report(std::uint32_t id) {
  char line[kLineBytes];
  auto size = static_cast<std::size_t>(std::snprintf(line, sizeof line, "%u ok ", id));
  size += format_report(report(), line + size, sizeof line - size - 1);
  line[size++] = '\n';
  send(line, size);
}

void Agent::answer_tracer() {
  while (const auto news = tracer_.read()) {
    char line[kLineBytes];
    const int size = std::snprintf(
        line, sizeof line, "%u %s%.*s\n", news->id, news->ok ? "ok" : "error",
        static_cast<int>(std::min<std::size_t>(news->text.size(), 900)), news->text.data());
    send(line, static_cast<std::size_t>(size));
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

// nullptr: the answers come later.
const char* Agent::run_command(std::uint32_t id, std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  command_ms_ = uptime_ms();
  return command_.start(id, text);
}

// As much as the host has taken the answers of.
void Agent::answer_command() {
  char line[kLineBytes];
  says_more_ = false;
  for (int i = 0; i < kLinesAtOnce && waiting_bytes_ == 0; ++i) {
    const std::size_t size = command_.next_line(line, sizeof line);
    if (size == 0) return;
    send(line, size);
  }
  says_more_ = waiting_bytes_ == 0;
}

// All that have ended, strangers too: we are pid 1.
void Agent::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (!command_.took(pid, status)) loads_.took(pid);
  }
}

void Agent::obey(std::string_view line) {
  const auto request = parse_request(line);
  if (!request) return answer(0, "what? ping, load, add, stop, report, trace, run, end, poweroff");
  switch (request->verb) {
    case Verb::kPing: return answer(request->id, nullptr);
    case Verb::kReport: return answer_report(request->id);
    case Verb::kPowerOff: answer(request->id, nullptr); power_off();
    case Verb::kTrace:
      if (const char* wrong = trace(request->id, request->arguments)) answer(request->id, wrong);
      return;
    case Verb::kRun:
      if (const char* wrong = run_command(request->id, request->arguments)) {
        answer(request->id, wrong);
      }
      return;
    case Verb::kEnd: return answer(request->id, command_.end());
    case Verb::kStop:
      loads_.stop();
      command_.end();
      return answer(request->id, nullptr);
    case Verb::kLoad: loads_.stop(); [[fallthrough]];
    case Verb::kAdd: return answer(request->id, load(request->arguments, ' '));
  }
}

void Agent::read_port() {
  char bytes[kLineBytes];
  while (true) {
    const ssize_t got = ::read(port_, bytes, sizeof bytes);
    if (got <= 0) return;
    std::string_view rest(bytes, static_cast<std::size_t>(got));
    while (!rest.empty()) {
      rest.remove_prefix(lines_.push(rest));
      while (const auto line = lines_.next()) obey(*line);
    }
  }
}

void Agent::report_on_console() {
  char line[kLineBytes];
  const std::size_t size = format_report(report(), line, sizeof line);
  std::printf("fairlead-report %.*s\n", static_cast<int>(size), line);
}

int Agent::wait_ms() const {
  if (says_more_) return 0;
  std::uint64_t next = UINT64_MAX;
  if (report_every_ms_ != 0) next = std::min(next, next_report_ms_);
  if (end_ms_ != 0) next = std::min(next, end_ms_);
  if (!host_there_) next = std::min(next, host_gone_ms_ + kYoungMs);
  if (next == UINT64_MAX) return -1;
  const std::uint64_t now = uptime_ms();
  return next <= now ? 0 : static_cast<int>(std::min<std::uint64_t>(next - now, 1'000'000));
}

void Agent::run() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGCHLD);
  ::sigaddset(&signals, SIGIO);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int signal_fd = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  prepare_system();
  read_command_line();
  if (::access("/modules/order", F_OK) == 0) port_ = open_port(kAgentPort, kPortPatienceNs);
  if (port_ >= 0) {
    ::fcntl(port_, F_SETOWN, ::getpid());
    ::fcntl(port_, F_SETFL, O_NONBLOCK | O_ASYNC);
  }
  boot_ms_ = uptime_ms();
  std::printf("fairlead-agent: ready boot_ms=%llu\n", static_cast<unsigned long long>(boot_ms_));
  if (port_ >= 0) offer_shell();
  next_report_ms_ = boot_ms_ + report_every_ms_;
  while (true) {
    const auto wanted = static_cast<short>(waiting_bytes_ == 0 ? POLLIN : POLLIN | POLLOUT);
    pollfd files[] = {{signal_fd, POLLIN, 0},
                      {host_there_ ? port_ : -1, wanted, 0},
                      {tracer_.fd(), POLLIN, 0},
                      {waiting_bytes_ == 0 ? command_.fd() : -1, POLLIN, 0}};
    ::poll(files, std::size(files), wait_ms());
    if (files[0].revents != 0) {
      signalfd_siginfo info;
      while (::read(signal_fd, &info, sizeof info) > 0) {
        if (info.ssi_signo == SIGIO) host_there_ = true;
      }
      reap();
    }
    if (files[2].revents != 0) answer_tracer();
    if (files[1].revents != 0) serve_port(files[1].revents);
    answer_command();
    const std::uint64_t now = uptime_ms();
    end_orphan(now);
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
