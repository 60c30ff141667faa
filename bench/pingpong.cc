// SPDX-License-Identifier: Apache-2.0
//
// pingpong: the round trip between two processes that the ring is measured against.  Both sides
// block; nobody spins.
//
//   eventfd   one eventfd each way: the least that a blocking wake-up costs, without any data
//   unix      a SOCK_SEQPACKET pair: 32 bytes there (as long as a request of ours), 512 back
//
// The cores are the scheduler's choice, unless --pin says that both share one or have one each.
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>

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

struct Options {
  std::string mode = "eventfd";
  std::string pin = "none";
  double seconds = 1;
  double warm_up = 0.2;
};

void pin_to(int nth) {
  cpu_set_t mine;
  if (::sched_getaffinity(0, sizeof mine, &mine) != 0) die_errno("ask for my cores");
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine) || nth-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (::sched_setaffinity(0, sizeof one, &one) != 0) die_errno("pin to a core");
    return;
  }
  die("there are not enough cores to pin to");
}

// One end of the line between the two.  False: the other side has gone.
class Eventfds {
 public:
  Eventfds() : there_(::eventfd(0, EFD_CLOEXEC)), back_(::eventfd(0, EFD_CLOEXEC)) {
    if (!there_ || !back_) die_errno("create an eventfd");
  }
  void take_side(bool) noexcept {}
  bool ask() { return write(there_) && read(back_); }
  bool serve() { return read(there_) && write(back_); }

 private:
  static bool write(const base::Fd& fd) {
    const std::uint64_t one = 1;
    return ::write(fd.get(), &one, sizeof one) == sizeof one;
  }
  static bool read(const base::Fd& fd) {
    std::uint64_t count = 0;
    return ::read(fd.get(), &count, sizeof count) == sizeof count;
  }
  base::Fd there_;
  base::Fd back_;
};

class Sockets {
 public:
  Sockets() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      die_errno("create a socket pair");
    }
    ends_[0].reset(ends[0]);
    ends_[1].reset(ends[1]);
  }
  void take_side(bool asks) noexcept {
    mine_ = std::move(ends_[asks ? 0 : 1]);
    ends_[asks ? 1 : 0].reset();
  }
  bool ask() { return send(kRequestBytes) && receive(kAnswerBytes); }
  bool serve() { return receive(kRequestBytes) && send(kAnswerBytes); }

 private:
  bool send(std::size_t bytes) {
    return ::send(mine_.get(), buffer_.data(), bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
  }
  bool receive(std::size_t bytes) {
    return ::recv(mine_.get(), buffer_.data(), buffer_.size(), 0) == static_cast<ssize_t>(bytes);
  }
  base::Fd ends_[2];
  base::Fd mine_;
  std::array<std::byte, kAnswerBytes> buffer_{};
};

template <typename Line>
base::Histogram ask_for(Line& line, double seconds) {
  base::Histogram times;
  std::int64_t now = base::monotonic_ns();
  const std::int64_t end = now + static_cast<std::int64_t>(seconds * 1e9);
  while (now < end) {
    const std::int64_t before = base::monotonic_ns();
    if (!line.ask()) die("the other process does not answer");
    now = base::monotonic_ns();
    times.record(static_cast<std::uint64_t>(now - before));
  }
  return times;
}

template <typename Line>
base::Histogram play(const Options& options) {
  Line line;
  const pid_t server = ::fork();
  if (server < 0) die_errno("fork");
  line.take_side(server != 0);
  if (options.pin != "none") pin_to(server == 0 && options.pin == "apart" ? 1 : 0);
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (line.serve()) {
    }
    ::_exit(0);
  }
  ask_for(line, options.warm_up);
  base::Histogram times = ask_for(line, options.seconds);
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("time blocking round trips between two processes", "pingpong");
  Options options;
  app.add_option("mode", options.mode)
      .required()
      .check(apps::one_of({"eventfd", "unix"}, apps::InHelp::kYes));
  app.add_option("--seconds", options.seconds).check(apps::positive());
  app.add_option("--warm-up", options.warm_up).check(apps::not_negative());
  app.add_option("--pin", options.pin)
      .check(apps::one_of({"none", "same", "apart"}, apps::InHelp::kYes));
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  const base::Histogram times =
      options.mode == "eventfd" ? play<Eventfds>(options) : play<Sockets>(options);
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("mode", options.mode)
      .member("pin", options.pin)
      .member("round_trips", times.count());
  bench::add_latency(json, times);
  json.end_object();
  std::puts(out.c_str());
  return 0;
}
