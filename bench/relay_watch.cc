// SPDX-License-Identifier: Apache-2.0
//
// relay_watch MODE: what a relay's consumer costs while nothing comes, how soon it sees what comes,
// and how well it knows the producer's clock.  Two processes: the producer, and a consumer that
// calls read() and wait() as consumer.h shows it.
//
//   idle    nothing is written: the consumer's processor time
//   pickup  a record every 1 to 3 ms: from its stamp to the consumer's hand
//   calls   the producer writes under a filter that counts its system calls
//   clock   the consumer measures the producer's clock.  Both have the same, so that the difference
//           is known, 0: an interval without it is wrong, and a record that seems to be read before
//           it was written is a violation of causality
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "apps/command_line.h"
#include "base/clock.h"
#include "base/random.h"
#include "relay/consumer.h"
#include "relay/producer.h"
#include "report.h"

namespace {

using namespace fairlead;
using bench::die;
using bench::die_errno;

struct Options {
  std::string mode;
  double seconds = 1;
  double warm_up = 0.2;
};

// In memory of both processes.
struct Shared {
  std::atomic<bool> measure{false};
  std::atomic<std::uint64_t> records{0};
  base::Histogram pickup_ns;
  base::Histogram half_width_ns;
  std::uint64_t certified_ns = 0;  // half of what all measurements have in common
  std::uint64_t wrong_intervals = 0;
  std::uint64_t violations = 0;
  std::uint64_t unanswered = 0;
};

void pause_for_ns(std::int64_t ns) {
  const timespec time{ns / base::kNanosPerSecond, ns % base::kNanosPerSecond};
  ::nanosleep(&time, nullptr);
}

double ns_of(std::uint64_t ticks) {
  return static_cast<double>(ticks) * 1e9 / static_cast<double>(relay::stamp_hz());
}

void take_records(relay::Consumer& consumer, Shared& shared,
                  const relay::ClockCertificate& certificate) {
  relay::StreamPiece piece;
  for (auto look = consumer.read(piece); look && *look != relay::Look::kEmpty;
       look = consumer.read(piece)) {
    const std::uint64_t now = relay::ordered_stamp();
    for (std::size_t at = 0; at < piece.data.size();) {
      abi::RelayRecord record;
      std::memcpy(&record, piece.data.data() + at, sizeof record);
      at += relay::round_up_8(record.bytes);
      if (shared.measure.load(std::memory_order_relaxed)) {
        shared.pickup_ns.record(static_cast<std::uint64_t>(ns_of(now - record.stamp)));
      }
      // Written at this time of ours, or later.
      const auto earliest = static_cast<std::int64_t>(record.stamp) - certificate.interval().high;
      if (certificate.known() && earliest > static_cast<std::int64_t>(now)) ++shared.violations;
    }
    shared.records.fetch_add(piece.records, std::memory_order_relaxed);
    consumer.take();
  }
}

void ask_for_clock(relay::Consumer& consumer, Shared& shared,
                   relay::ClockCertificate& certificate) {
  const auto measured = consumer.measure_clock(64, std::chrono::milliseconds(50));
  if (!measured) {
    ++shared.unanswered;
    return;
  }
  if (!certificate.add(*measured)) ++shared.wrong_intervals;  // no clock steps here
  if (measured->low > 0 || measured->high < 0) ++shared.wrong_intervals;
  shared.certified_ns = static_cast<std::uint64_t>(ns_of(certificate.interval().half_width()));
  if (!shared.measure.load(std::memory_order_relaxed)) return;
  shared.half_width_ns.record(static_cast<std::uint64_t>(ns_of(measured->half_width())));
}

[[noreturn]] void consume(base::Fd memfd, std::uint64_t bytes, const Options& options,
                          Shared& shared) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto consumer = relay::Consumer::connect(std::move(memfd), bytes);
  if (!consumer) die(consumer.error().message());
  relay::ClockCertificate certificate;
  while (!consumer->ended()) {
    if (options.mode == "clock") ask_for_clock(*consumer, shared, certificate);
    take_records(*consumer, shared, certificate);
    consumer->wait(std::chrono::milliseconds(options.mode == "clock" ? 10 : 100));
  }
  ::_exit(0);
}

bool put(relay::Producer& producer, std::uint64_t number) {
  std::uint64_t payload[6] = {number};
  return producer.write(1, payload, sizeof payload) == relay::Written::kDone;
}

// ---- system calls ----

volatile std::sig_atomic_t system_calls = 0;

// All calls but those that return from the handler and end the process raise SIGSYS.
void count_system_calls() {
  struct sigaction action{};
  action.sa_handler = [](int) { system_calls = system_calls + 1; };
  ::sigaction(SIGSYS, &action, nullptr);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program{std::size(filter), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    die_errno("count system calls");
  }
}

// Writes in a process that ends then, as a filter cannot be taken off.  The first record, which
// claims the thread's stream, is written before.
std::uint64_t calls_of(std::uint64_t records) {
  const pid_t child = ::fork();
  if (child < 0) die_errno("fork");
  if (child == 0) {
    auto producer = relay::Producer::open({.streams = 1});
    if (!producer) ::_exit(255);
    auto consumer = relay::Consumer::connect(base::Fd(::dup(producer->fd())), producer->bytes());
    if (!consumer || !put(*producer, 0)) ::_exit(255);
    count_system_calls();
    relay::StreamPiece piece;
    for (std::uint64_t i = 1; i < records; ++i) {
      put(*producer, i);
      if (i % 4096 == 0) {  // some are lost, some sub-buffers are free again
        while (*consumer->read(piece) != relay::Look::kEmpty) consumer->take();
      }
    }
    ::_exit(system_calls > 254 ? 254 : system_calls);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 255) die("the counting process failed");
  return static_cast<std::uint64_t>(WEXITSTATUS(status));
}

// ---- the producer's side ----

std::int64_t cpu_ns_of(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    die("the consumer has ended early");
  }
  return time.tv_sec * base::kNanosPerSecond + time.tv_nsec;
}

// False: a record was lost.
bool play(relay::Producer& producer, const std::string& mode, double seconds) {
  base::Random random(1);
  const std::int64_t end = base::monotonic_ns() + static_cast<std::int64_t>(seconds * 1e9);
  bool all = true;
  for (std::uint64_t number = 0; base::monotonic_ns() < end; ++number) {
    if (mode == "idle") {
      pause_for_ns(5'000'000);
      continue;
    }
    if (mode == "clock") producer.answer_clock(std::chrono::microseconds(200));
    all = put(producer, number) && all;
    pause_for_ns(1'000'000 + static_cast<std::int64_t>(random.below(2'000'000)));
  }
  return all;
}

struct Outcome {
  double cpu_share = 0;
  bool all = true;
};

Outcome run(const Options& options, Shared& shared) {
  auto producer = relay::Producer::open({.streams = 1, .sub_buffers = 32});  // as a service's
  if (!producer) die(producer.error().message());
  base::Fd memfd(::dup(producer->fd()));
  const pid_t child = ::fork();
  if (child < 0) die_errno("fork");
  if (child == 0) consume(std::move(memfd), producer->bytes(), options, shared);
  while (!producer->connected()) {
    if (::waitpid(child, nullptr, WNOHANG) != 0) die("the consumer has ended early");
    pause_for_ns(1'000'000);
  }
  Outcome outcome;
  outcome.all = play(*producer, options.mode, options.warm_up);
  shared.measure = true;
  const std::int64_t began_ns = base::monotonic_ns();
  const std::int64_t before_ns = cpu_ns_of(child);
  outcome.all = play(*producer, options.mode, options.seconds) && outcome.all;
  outcome.cpu_share = static_cast<double>(cpu_ns_of(child) - before_ns) /
                      static_cast<double>(base::monotonic_ns() - began_ns);
  if (!producer->close(std::chrono::seconds(10))) die("the channel would not close");
  ::waitpid(child, nullptr, 0);
  return outcome;
}

void add(base::JsonWriter& json, const char* name, const base::Histogram& times) {
  json.key(name).begin_object();
  json.member("count", times.count()).member("p50", times.quantile(0.5));
  json.member("p99", times.quantile(0.99)).member("max", times.max()).end_object();
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("watch a relay's consumer", "relay_watch");
  Options options;
  app.add_option("mode", options.mode)
      .required()
      .check(apps::one_of({"idle", "pickup", "calls", "clock"}, apps::InHelp::kYes));
  app.add_option("--seconds", options.seconds).check(apps::positive());
  app.add_option("--warm-up", options.warm_up).check(apps::not_negative());
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;

  std::string out;
  base::JsonWriter json(out);
  json.begin_object().member("mode", options.mode);
  if (options.mode == "calls") {
    constexpr std::uint64_t kRecords = 1'000'000;
    json.member("records", kRecords).member("system_calls", calls_of(kRecords));
  } else {
    void* const at =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) die_errno("get memory that two processes share");
    auto& shared = *new (at) Shared;
    relay::stamp_hz();  // measured once, for both
    const Outcome outcome = run(options, shared);
    json.member("cpu_share", outcome.cpu_share).member("records", shared.records.load());
    json.member("all_written", outcome.all);
    add(json, "pickup_ns", shared.pickup_ns);
    add(json, "half_width_ns", shared.half_width_ns);
    json.member("certified_ns", shared.certified_ns);
    json.member("wrong_intervals", shared.wrong_intervals);
    json.member("violations", shared.violations).member("unanswered", shared.unanswered);
  }
  json.end_object();
  std::puts(out.c_str());
  return 0;
}
