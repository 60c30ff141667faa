// SPDX-License-Identifier: Apache-2.0
#include "daemon/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

namespace fairlead::daemon {
namespace {

std::string_view name(Level level) {
  switch (level) {
    case Level::kError: return "error";
    case Level::kWarning: return "warning";
    case Level::kNotice: return "notice";
    case Level::kInfo: return "info";
    case Level::kDebug: return "debug";
  }
  return "info";
}

// Computed here: gmtime_r would read the time zone files, which a sandbox may not show.
std::string utc_now() {
  using namespace std::chrono;
  const auto now = floor<microseconds>(system_clock::now());
  const auto midnight = floor<days>(now);
  const year_month_day date(midnight);
  const hh_mm_ss time(now - midnight);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

// A pipe that says it has room takes PIPE_BUF bytes at once.
constexpr std::size_t kMostLine = 4000;

// Regular files always have.
bool has_room(int fd) {
  pollfd file{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&file, 1, 0) != 0;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;  // nobody to tell that nobody can be told
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
}

}  // namespace

bool is_journal(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat here{};
  if (stream == nullptr || ::fstat(fd, &here) != 0) return false;
  return fmt::format("{}:{}", here.st_dev, here.st_ino) == stream;
}

Log::Log(const base::Clock& clock, LogOptions options) : clock_(clock), options_(options) {}

Log::~Log() {
  for (const auto& [key, repeats] : keys_) {
    if (repeats.left_out > 0) put(repeats.level, key, repeats.left_out);
  }
}

void Log::put(Level level, std::string_view text, std::uint64_t left_out) {
  std::string line = options_.journal ? fmt::format("<{}>", static_cast<int>(level))
                                      : fmt::format("{} {} ", utc_now(), name(level));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  if (line.size() > kMostLine) line.resize(kMostLine);
  if (left_out > 0) line += fmt::format(" (and {} times more, not shown)", left_out);
  line += '\n';
  if (lost_ > 0 && has_room(options_.fd)) {
    const std::uint64_t lost = std::exchange(lost_, 0);
    put(Level::kWarning, fmt::format("{} lines before this one are lost: nobody read them", lost),
        0);
  }
  write_line(line);
}

void Log::write_line(std::string_view line) {
  if (!has_room(options_.fd)) {
    ++lost_;
    return;
  }
  write_all(options_.fd, line);
}

// Makes room for one key more.
void Log::forget_old(std::int64_t now_ns) {
  if (keys_.size() < kMaxKeys) return;
  std::erase_if(keys_, [now_ns](const auto& entry) {
    return entry.second.next_ns <= now_ns && entry.second.left_out == 0;
  });
  if (keys_.size() < kMaxKeys) return;
  const auto oldest = std::min_element(
      keys_.begin(), keys_.end(),
      [](const auto& a, const auto& b) { return a.second.next_ns < b.second.next_ns; });
  const auto& [key, repeats] = *oldest;
  if (repeats.left_out > 0) put(repeats.level, key, repeats.left_out);
  keys_.erase(oldest);
}

void Log::write(Level level, std::string_view text) {
  if (level > options_.level) return;
  const std::scoped_lock lock(mutex_);
  put(level, text, 0);
}

void Log::limited(Level level, std::string_view key, std::string_view text) {
  if (level > options_.level) return;
  const std::scoped_lock lock(mutex_);
  auto found = keys_.find(key);
  const std::int64_t now_ns = clock_.now_ns();
  if (found == keys_.end()) {
    forget_old(now_ns);
    found = keys_.try_emplace(std::string(key)).first;
  }
  Repeats& repeats = found->second;
  if (repeats.next_ns != 0 && now_ns < repeats.next_ns) {
    repeats.level = level;
    ++repeats.left_out;
    return;
  }
  put(level, text, repeats.left_out);
  repeats = {.next_ns = now_ns + options_.interval_ns, .left_out = 0, .level = level};
}

}  // namespace fairlead::daemon
