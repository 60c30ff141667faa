// SPDX-License-Identifier: Apache-2.0
//
// The words between a host and the agent in a guest, one line each way over a virtio-serial port.
//
//     host   7 load cpu:heavy mem:limit=512M        verbs: ping load add stop report trace poweroff
//     agent  7 ok                                   or: 7 error WHAT
//     host   8 report
//     agent  8 ok up_ms=5120 boot_ms=1730 … oom_kills=0
//     host   9 trace start disk=vda buffer_kib=1024 pause_us=2000
//     agent  9 ok bytes=4194304                     of the channel in the card's memory
//     host   9 trace start port=17 queue_kib=1024   without a card: through the port kTracePort
//     host   10 trace stop
//     agent  10 ok events=1200 kernel_lost=0 unreadable=0 relay_lost=0
//
// By a port of their own, kCommandPort, because they may take long: verbs ping run end
//
//     host   11 run ls /dev/vda; uname -r           by the guest's shell; one command at a time
//     agent  11 out /dev/vda\n                      what it says, as it says it, escaped
//     agent  11 ok exit=0                           its status; 128 + N: signal N ended it
//     host   12 end                                 kills the command that runs
//
// The number is the host's; the answer repeats it, so that one who comes later does not take an
// answer meant for another.  A line has at most kLineBytes bytes with its newline; a longer one is
// dropped whole.  Neither side trusts the other: what does not parse is refused or skipped.
//
// Host and agent share this file; nothing allocates or throws.
//
// Thread-safety: pure functions and values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fairlead::guest {

inline constexpr const char* kAgentPort = "fairlead.agent";
inline constexpr const char* kCommandPort = "fairlead.run";
inline constexpr const char* kTracePort = "fairlead.relay";  // abi/trace_port.h
inline constexpr std::size_t kLineBytes = 1024;

enum class Verb : std::uint8_t {
  kPing,
  kLoad,
  kAdd,
  kStop,
  kReport,
  kTrace,
  kRun,
  kEnd,
  kPowerOff
};

struct Request {
  std::uint32_t id = 0;
  Verb verb = Verb::kPing;
  std::string_view arguments;  // of the line it was parsed from
};
std::optional<Request> parse_request(std::string_view line);

struct Answer {
  enum class Kind : std::uint8_t { kOk, kError, kOutput };
  std::uint32_t id = 0;
  Kind kind = Kind::kError;
  std::string_view text;  // after "ok", "error" or "out"
};
std::optional<Answer> parse_answer(std::string_view line);

// What a command says, as part of a line: \n and \\ for themselves, \xNN for what is not printable
// ASCII.  As much of `bytes` as fits.
struct Escaped {
  std::size_t taken = 0;
  std::size_t length = 0;
};
Escaped escape_output(std::string_view bytes, char* out, std::size_t size);
// Its length, into `out` with room for all of `text`; nullopt: no text of escape_output().
std::optional<std::size_t> unescape_output(std::string_view text, char* out);

// What the guest says about itself: untrusted on the host.
struct Report {
  std::uint64_t up_ms = 0;          // since the kernel's start
  std::uint64_t boot_ms = 0;        // up_ms when the agent was ready
  std::uint64_t cpus = 0;           // online
  std::uint64_t total_kib = 0;      // MemTotal
  std::uint64_t free_kib = 0;       // MemFree
  std::uint64_t available_kib = 0;  // MemAvailable
  std::uint64_t loads = 0;          // threads and memory loads that run
  std::uint64_t rounds = 0;         // rounds and jobs done by the CPU loads, all threads
  std::uint64_t memory_kib = 0;     // held by the memory loads
  std::uint64_t peak_kib = 0;       // the most that they held
  std::uint64_t ended = 0;          // loads that came to their end by themselves
  std::uint64_t oom_kills = 0;      // by the guest's kernel, since its start
  std::uint64_t pressure = 0;       // memory, some avg10, in hundredths of a percent

  bool operator==(const Report&) const = default;
};
// Writes "key=value …" without a newline; returns the length, or 0 if it does not fit.
std::size_t format_report(const Report& report, char* out, std::size_t size);
// Unknown keys are skipped, missing ones are 0; nullopt if a value is no number.
std::optional<Report> parse_report(std::string_view text);

// What "trace" is to do.  Without a disk all block devices are traced.
inline constexpr std::size_t kMostTracedDisks = 8;
struct TraceCommand {
  bool start = false;                                      // else stop
  std::uint32_t buffer_kib = 1024;                         // of the kernel, for each processor
  std::uint32_t pause_us = 2000;                           // between two looks at it
  std::uint64_t port = 0;                                  // number of the session; 0: the card
  std::uint32_t queue_kib = 1024;                          // before the port
  std::array<std::string_view, kMostTracedDisks> disks{};  // of the text it was parsed from
  std::size_t disk_count = 0;
};
std::optional<TraceCommand> parse_trace(std::string_view arguments);

// What came of it; untrusted on the host.
struct TraceSums {
  std::uint64_t events = 0;       // that the kernel gave
  std::uint64_t kernel_lost = 0;  // that its buffer had no room for
  std::uint64_t unreadable = 0;   // that had another shape
  std::uint64_t relay_lost = 0;   // records that the channel had no room for

  bool operator==(const TraceSums&) const = default;
};
std::size_t format_sums(const TraceSums& sums, char* out, std::size_t size);
std::optional<TraceSums> parse_sums(std::string_view text);

// Cuts what arrives into lines.
class LineBuffer {
 public:
  // As much of `bytes` as fits before the next complete line is taken; returns how much.
  std::size_t push(std::string_view bytes);
  // The next whole line without its newline; valid until the next call of either.
  std::optional<std::string_view> next();
  std::uint64_t dropped() const noexcept { return dropped_; }  // lines that were too long

 private:
  std::array<char, kLineBytes> bytes_{};
  std::size_t used_ = 0;
  std::size_t taken_ = 0;  // of bytes_, by the line handed out last
  bool skipping_ = false;
  std::uint64_t dropped_ = 0;
};

// The next word of `rest`, which loses it; empty at the end.
std::string_view next_word(std::string_view& rest);

}  // namespace fairlead::guest
