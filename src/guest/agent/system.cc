// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/clock.h"

namespace fairlead::guest {
namespace {

constexpr std::int64_t kLookAgainNs = 5'000'000;
constexpr std::size_t kPathBytes = 300;

void load_module(const char* name) {
  char path[kPathBytes];
  std::snprintf(path, sizeof path, "/modules/%s", name);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  if (::syscall(SYS_finit_module, file, "", 0) != 0) {
    std::fprintf(stderr, "fairlead-agent: load %s: %s\n", path, std::strerror(errno));
  }
  ::close(file);
}

void load_modules() {
  static char order[kLineBytes * 4];
  read_small("/modules/order", order, sizeof order);
  for (char* name = std::strtok(order, "\n"); name; name = std::strtok(nullptr, "\n")) {
    load_module(name);
  }
}

// "Label:   123 kB" or "label 123" of a file like /proc/meminfo.
std::uint64_t number_after(std::string_view text, std::string_view label) {
  const std::size_t at = text.find(label);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + label.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The device node of the port, if it is there by now.
bool find_port(const char* name, char* path, std::size_t size) {
  DIR* const ports = ::opendir("/sys/class/virtio-ports");
  if (ports == nullptr) return false;
  bool found = false;
  while (const dirent* entry = ::readdir(ports)) {
    char file[kPathBytes];
    char text[128];
    std::snprintf(file, sizeof file, "/sys/class/virtio-ports/%s/name", entry->d_name);
    const std::size_t length = read_small(file, text, sizeof text);
    if (length == 0 || std::string_view(text, length - 1) != name) continue;
    std::snprintf(path, size, "/dev/%s", entry->d_name);
    found = true;
    break;
  }
  ::closedir(ports);
  return found;
}

[[noreturn]] void shell_on_console() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  const int console = ::open("/dev/ttyS0", O_RDWR);
  if (console < 0) ::_exit(0);
  ::ioctl(console, TIOCSCTTY, 1);
  for (int fd = 0; fd < 3; ++fd) ::dup2(console, fd);
  if (console > 2) ::close(console);
  char line[64];
  if (::read(0, line, sizeof line) <= 0) ::_exit(0);
  ::setenv("PATH", "/bin", 1);
  ::setenv("HOME", "/", 1);
  ::execl("/bin/busybox", "sh", static_cast<char*>(nullptr));
  ::_exit(0);
}

}  // namespace

void prepare_system() {
  ::mkdir("/proc", 0755);
  ::mkdir("/sys", 0755);
  ::mkdir("/dev", 0755);
  ::mkdir("/tmp", 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("sys", "/sys", "sysfs", 0, nullptr);
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  load_modules();
}

int open_port(const char* name, std::int64_t patience_ns) {
  const std::int64_t end = base::monotonic_ns() + patience_ns;
  char path[kPathBytes];
  while (!find_port(name, path, sizeof path)) {
    if (base::monotonic_ns() > end) return -1;
    const timespec pause{0, kLookAgainNs};
    ::nanosleep(&pause, nullptr);
  }
  return ::open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

int open_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGCHLD);
  ::sigaddset(&signals, SIGIO);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

void offer_shell() {
  const pid_t keeper = ::fork();
  if (keeper != 0) return;
  while (true) {
    const pid_t shell = ::fork();
    if (shell == 0) shell_on_console();
    if (shell < 0) ::_exit(1);
    int status = 0;
    while (::waitpid(shell, &status, 0) < 0) {
    }
    ::sleep(1);
  }
}

std::size_t read_small(const char* path, char* out, std::size_t size) {
  std::size_t used = 0;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    while (used + 1 < size) {
      const ssize_t got = ::read(file, out + used, size - 1 - used);
      if (got <= 0) break;
      used += static_cast<std::size_t>(got);
    }
    ::close(file);
  }
  out[used] = '\0';
  return used;
}

std::string_view kernel_argument(std::string_view command_line, std::string_view name) {
  command_line = command_line.substr(0, command_line.find('\n'));
  while (true) {
    const std::string_view word = next_word(command_line);
    if (word.empty()) return {};
    if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=') {
      return word.substr(name.size() + 1);
    }
  }
}

std::uint64_t uptime_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
}

void fill_memory(Report& report) {
  static char text[8192];
  std::size_t length = read_small("/proc/meminfo", text, sizeof text);
  const std::string_view meminfo(text, length);
  report.total_kib = number_after(meminfo, "MemTotal:");
  report.free_kib = number_after(meminfo, "MemFree:");
  report.available_kib = number_after(meminfo, "MemAvailable:");
  length = read_small("/proc/vmstat", text, sizeof text);
  report.oom_kills = number_after({text, length}, "\noom_kill ");
  length = read_small("/proc/pressure/memory", text, sizeof text);
  const std::string_view pressure(text, length);
  report.pressure = number_after(pressure, "some avg10=") * 100 + [&] {
    const std::size_t point = pressure.find('.');
    return point == std::string_view::npos ? 0
                                           : number_after(pressure, pressure.substr(0, point + 1));
  }();
}

}  // namespace fairlead::guest
