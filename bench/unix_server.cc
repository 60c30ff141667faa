// SPDX-License-Identifier: Apache-2.0
//
// unix_server: what one would write without a ring: a server process and a client process whose
// threads each send 32 bytes over a SOCK_SEQPACKET connection of their own and block for 512.
//
//   epoll     one thread serves all; each epoll_wait gives up to 64 ready connections, and each of
//             them is read and answered before the next wait (a connection has one request at most)
//   threads   one blocking thread a connection
//
// Prints the client's requests a second and times.
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include "apps/command_line.h"
#include "base/clock.h"
#include "base/fd.h"
#include "report.h"

namespace {

using namespace fairlead;
using bench::die;
using bench::die_errno;

constexpr std::size_t kRequestBytes = 32;
constexpr std::size_t kAnswerBytes = 512;
constexpr int kBatch = 64;

struct Options {
  std::string mode = "epoll";
  std::uint32_t threads = 64;
  double seconds = 1;
  double warm_up = 0.2;
};

using Ends = std::vector<base::Fd>;

// Answers one request; false: the peer has gone.
bool answer(int socket) {
  std::array<std::byte, kRequestBytes> request;
  static constexpr std::array<std::byte, kAnswerBytes> kAnswer{};
  if (::recv(socket, request.data(), request.size(), 0) != kRequestBytes) return false;
  return ::send(socket, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) == kAnswerBytes;
}

void serve_with_epoll(const Ends& ends) {
  const base::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) die_errno("create an epoll");
  for (const auto& end : ends) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = end.get()}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, end.get(), &event) != 0) die_errno("watch");
  }
  std::array<epoll_event, kBatch> ready;
  for (;;) {
    const int count = ::epoll_wait(epoll.get(), ready.data(), kBatch, -1);
    if (count < 0 && errno != EINTR) die_errno("epoll_wait");
    for (int i = 0; i < count; ++i) {
      if (!answer(ready[static_cast<std::size_t>(i)].data.fd)) return;
    }
  }
}

void serve_with_threads(const Ends& ends) {
  std::vector<std::jthread> threads;
  for (const auto& end : ends) {
    threads.emplace_back([fd = end.get()] {
      while (answer(fd)) {
      }
    });
  }
}

struct Share {
  base::Histogram times;
  std::int64_t last_ns = 0;
};

enum class Phase : std::uint8_t { kWarmUp, kMeasure, kEnd };

void ask(int socket, const std::atomic<Phase>& phase, Share& share) {
  std::array<std::byte, kAnswerBytes> buffer{};
  for (;;) {
    const Phase now = phase.load(std::memory_order_relaxed);
    if (now == Phase::kEnd) return;
    const std::int64_t before = base::monotonic_ns();
    if (::send(socket, buffer.data(), kRequestBytes, MSG_NOSIGNAL) != kRequestBytes ||
        ::recv(socket, buffer.data(), buffer.size(), 0) != kAnswerBytes) {
      die("the server does not answer");
    }
    share.last_ns = base::monotonic_ns();
    if (now == Phase::kMeasure) {
      share.times.record(static_cast<std::uint64_t>(share.last_ns - before));
    }
  }
}

void pause_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

struct Outcome {
  base::Histogram times;
  std::int64_t wall_ns = 0;
};

Outcome load(const Ends& ends, const Options& options) {
  std::vector<Share> shares(ends.size());
  std::atomic<Phase> phase{Phase::kWarmUp};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    threads.emplace_back([&, i] { ask(ends[i].get(), phase, shares[i]); });
  }
  pause_for(options.warm_up);
  const std::int64_t began = base::monotonic_ns();
  phase = Phase::kMeasure;
  pause_for(options.seconds);
  phase = Phase::kEnd;
  threads.clear();  // joins
  Outcome outcome;
  std::int64_t last = began;
  for (const auto& share : shares) {
    outcome.times.merge(share.times);
    last = std::max(last, share.last_ns);
  }
  outcome.wall_ns = last - began;
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("measure a request/response server over Unix sockets", "unix_server");
  Options options;
  app.add_option("mode", options.mode)
      .required()
      .check(apps::one_of({"epoll", "threads"}, apps::InHelp::kYes));
  app.add_option("--threads", options.threads).check(apps::within(1, 4096, apps::InHelp::kYes));
  app.add_option("--seconds", options.seconds).check(apps::positive());
  app.add_option("--warm-up", options.warm_up).check(apps::not_negative());
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;

  Ends clients;
  Ends servers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
      die_errno("create a socket pair");
    }
    clients.emplace_back(pair[0]);
    servers.emplace_back(pair[1]);
  }
  const pid_t server = ::fork();
  if (server < 0) die_errno("fork");
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    clients.clear();
    if (options.mode == "epoll") {
      serve_with_epoll(servers);
    } else {
      serve_with_threads(servers);
    }
    ::_exit(0);
  }
  servers.clear();
  const Outcome outcome = load(clients, options);
  clients.clear();
  ::waitpid(server, nullptr, 0);

  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("mode", options.mode)
      .member("threads", options.threads)
      .member("requests", outcome.times.count())
      .member("wall_ns", outcome.wall_ns)
      .member("requests_per_second", static_cast<double>(outcome.times.count()) * 1e9 /
                                         static_cast<double>(outcome.wall_ns));
  bench::add_latency(json, outcome.times);
  json.end_object();
  std::puts(out.c_str());
  return 0;
}
