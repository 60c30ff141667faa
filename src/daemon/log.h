// SPDX-License-Identifier: Apache-2.0
//
// Log: what a daemon says, one line an event.
//
//     2026-11-20T13:05:59.123456Z warning client 7: control message after the handshake
//     <4>client 7: …           when stderr is the journal, which has time and level itself
//
// Thread-safety: all calls from any thread; a mutex and a write(2), so never on the data path.
// Never waits for who reads it: what a full pipe or socket does not take is counted, and said when
// there is room again.
// Bounded: limited() writes a key's first line, then at most one in `interval_ns`, with the number
// left out since.  A key is forgotten after that time; of more than kMaxKeys the oldest is, and
// none shares its silence with another.  So let a key say what repeats and from whom, and hold
// nothing that a peer can choose.
// What comes from outside cannot forge lines: control characters are written as '?'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace fairlead::daemon {

enum class Level : std::uint8_t {  // as in syslog(3)
  kError = 3,
  kWarning = 4,
  kNotice = 5,
  kInfo = 6,
  kDebug = 7,
};

struct LogOptions {
  int fd = 2;
  Level level = Level::kInfo;  // less urgent lines are dropped
  std::int64_t interval_ns = 60 * base::kNanosPerSecond;
  bool journal = false;  // see is_journal()
};

// Whether `fd` is the journal ($JOURNAL_STREAM, systemd.exec(5)).
bool is_journal(int fd);

class Log {
 public:
  static constexpr std::size_t kMaxKeys = 1024;

  explicit Log(const base::Clock& clock, LogOptions options = {});
  ~Log();  // says what limited() left out and has not said yet

  void write(Level level, std::string_view text);
  // `key` stands for what repeats, such as "fault of user 1000".
  void limited(Level level, std::string_view key, std::string_view text);

 private:
  struct Repeats {
    std::int64_t next_ns = 0;
    std::uint64_t left_out = 0;
    Level level = Level::kInfo;
  };
  void put(Level level, std::string_view text, std::uint64_t left_out);
  void write_line(std::string_view line);
  void forget_old(std::int64_t now_ns);

  const base::Clock& clock_;
  LogOptions options_;
  std::mutex mutex_;
  std::map<std::string, Repeats, std::less<>> keys_;
  std::uint64_t lost_ = 0;  // lines that nobody took
};

}  // namespace fairlead::daemon
