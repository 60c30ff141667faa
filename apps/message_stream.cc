// SPDX-License-Identifier: Apache-2.0
#include "apps/message_stream.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstring>

#include "apps/message_carriers.h"
#include "base/clock.h"
#include "base/error.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;

constexpr std::array<std::pair<const char*, Carrier>, 5> kNames{{{"relay", Carrier::kRelay},
                                                                 {"pipe", Carrier::kPipe},
                                                                 {"unix", Carrier::kUnix},
                                                                 {"tcp", Carrier::kTcp},
                                                                 {"memcpy", Carrier::kMemcpy}}};

// In memory of both processes.
struct Shared {
  std::atomic<bool> over{false};
  bool complete = false;
  MessageStreamResult result;
};

// Spins for a while, then lets others have the core; a child that died is found out.
class ChildWatch : public Watch {
 public:
  ChildWatch(const Shared& shared, pid_t child) : shared_(shared), child_(child) {}
  bool pause() noexcept override {
    constexpr std::uint32_t kSpins = 64;
    constexpr std::uint32_t kYields = 1024;
    if (++tries_ % kSpins != 0) {
      relax();
      return true;
    }
    ::sched_yield();
    return !over() && (tries_ / kSpins % kYields != 0 || lives());
  }
  bool over() const noexcept { return shared_.over.load(std::memory_order_relaxed); }

 private:
  bool lives() const noexcept {
    siginfo_t ended{};
    return ::waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0;
  }
  const Shared& shared_;
  const pid_t child_;
  std::uint32_t tries_ = 0;
};

// The number that each message begins with, wherever in a stream of bytes that is.
class Checker {
 public:
  explicit Checker(std::size_t message) : message_(message) {}

  bool right(Bytes piece) noexcept {
    std::size_t at = until_next_;
    for (; at + sizeof expected_ <= piece.size(); at += message_, ++expected_) {
      std::uint64_t number;
      std::memcpy(&number, piece.data() + at, sizeof number);
      if (number != expected_) return false;
    }
    if (at < piece.size()) {  // a number is cut in two: this one is believed
      at += message_;
      ++expected_;
    }
    until_next_ = at - piece.size();
    return true;
  }

 private:
  const std::size_t message_;
  std::size_t until_next_ = 0;
  std::uint64_t expected_ = 1;
};

// The nth of the cores that we may use.
void pin_to(int nth) {
  cpu_set_t mine;
  if (::sched_getaffinity(0, sizeof mine, &mine) != 0) return;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine) || nth-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

// Reads for so long; false: something was missing.  The clock is looked at now and then, as it
// costs more than a small read.
template <typename C>
bool read_for(C& carrier, Checker& checker, std::int64_t duration_ns, MessageStreamResult& result) {
  constexpr std::uint32_t kLookEvery = 64;
  const std::int64_t began = base::monotonic_ns();
  std::uint32_t empty = 0;
  result = {};
  for (std::uint32_t round = 1;; ++round) {
    const Bytes piece = carrier.receive();
    if (!piece.empty()) {
      if (!checker.right(piece)) return false;
      result.bytes += piece.size();
      ++result.reads;
      empty = 0;
    } else if (++empty % kLookEvery == 0) {
      ::sched_yield();
    } else {
      relax();
    }
    if (round % kLookEvery != 0) continue;
    result.wall_ns = base::monotonic_ns() - began;
    if (result.wall_ns >= duration_ns) return true;
  }
}

template <typename C>
[[noreturn]] void consume(C& carrier, const MessageStreamPlan& plan, Shared& shared) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (plan.pin) pin_to(1);
  Checker checker(plan.write_bytes);
  MessageStreamResult result;
  shared.complete = carrier.consume() && read_for(carrier, checker, plan.warm_up_ns, result) &&
                    read_for(carrier, checker, plan.duration_ns, result);
  result.messages = result.bytes / plan.write_bytes;
  shared.result = result;
  shared.over = true;
  ::_exit(0);
}

template <typename C>
void produce(C& carrier, const MessageStreamPlan& plan, ChildWatch& watch) {
  constexpr std::uint64_t kLookEvery = 64;
  if (plan.pin) pin_to(0);
  std::vector<std::byte> message(plan.write_bytes);
  for (std::uint64_t number = 1; number % kLookEvery != 0 || !watch.over(); ++number) {
    std::memcpy(message.data(), &number, sizeof number);
    if (!carrier.send(message, watch)) return;
  }
}

template <typename C>
base::Result<MessageStreamResult> run(const MessageStreamPlan& plan) {
  C carrier(plan);
  if (!carrier.made()) return base::fail_errno(errno, "open a way for messages");
  void* const at =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return base::fail_errno(errno, "get memory that two processes share");
  auto* const shared = new (at) Shared;
  ::signal(SIGPIPE, SIG_IGN);
  const pid_t child = ::fork();
  if (child < 0) return base::fail_errno(errno, "fork");
  if (child == 0) consume(carrier, plan, *shared);
  ChildWatch watch(*shared, child);
  if (carrier.produce()) produce(carrier, plan, watch);
  ::waitpid(child, nullptr, 0);
  const bool complete = shared->complete;
  const MessageStreamResult result = shared->result;
  ::munmap(at, sizeof(Shared));
  if (!complete) return base::fail(ErrorKind::kIo, "a message was missing or out of its turn");
  return result;
}

}  // namespace

std::optional<Carrier> carrier_named(std::string_view name) {
  for (const auto& [known, carrier] : kNames) {
    if (name == known) return carrier;
  }
  return std::nullopt;
}

const char* name_of(Carrier carrier) noexcept {
  for (const auto& [name, known] : kNames) {
    if (known == carrier) return name;
  }
  return "";
}

base::Result<MessageStreamResult> run_message_stream(const MessageStreamPlan& plan) {
  if (plan.write_bytes < kLeastMessage || plan.write_bytes > kMostMessage ||
      plan.read_bytes > 2 * kMostMessage) {
    return base::fail(ErrorKind::kInvalid, "messages have 8 to 65536 bytes");
  }
  switch (plan.carrier) {
    case Carrier::kRelay: return run<RelayCarrier>(plan);
    case Carrier::kMemcpy: return run<MemcpyCarrier>(plan);
    default: return run<KernelCarrier>(plan);
  }
}

std::vector<std::uint32_t> message_stream_sizes() {
  return {26, 64, 256, 1024, 4096, 16'384, 65'536};
}

}  // namespace fairlead::apps
