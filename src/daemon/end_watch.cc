// SPDX-License-Identifier: Apache-2.0
#include "daemon/end_watch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace fairlead::daemon {
namespace {

bool readable(int fd) noexcept {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

void mark(int fd) noexcept {
  const std::uint64_t one = 1;
  (void)!::write(fd, &one, sizeof one);
}

}  // namespace

base::Result<std::unique_ptr<EndWatch>> EndWatch::start(std::string program,
                                                        std::int64_t patience_ns) {
  FL_TRY(Signals signals, Signals::take());
  std::unique_ptr<EndWatch> watch(
      new EndWatch(std::move(signals), std::move(program), patience_ns));
  if (!watch->asked_ || !watch->stop_) return base::fail_errno(errno, "create an eventfd");
  watch->thread_ = std::thread([one = watch.get()] { one->watch(); });
  ::pthread_setname_np(watch->thread_.native_handle(), "fl-end");
  return watch;
}

EndWatch::EndWatch(Signals signals, std::string program, std::int64_t patience_ns)
    : signals_(std::move(signals)),
      program_(std::move(program)),
      patience_ns_(patience_ns),
      asked_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

EndWatch::~EndWatch() {
  if (!thread_.joinable()) return;
  mark(stop_.get());
  thread_.join();
}

bool EndWatch::asked() const noexcept { return readable(asked_.get()); }

void EndWatch::watch() {
  std::int64_t end_ns = -1;
  for (;;) {
    pollfd ends[2] = {{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                      {.fd = signals_.fd(), .events = POLLIN, .revents = 0}};
    const std::int64_t left_ns = end_ns < 0 ? -1 : end_ns - base::monotonic_ns();
    if (end_ns >= 0 && left_ns <= 0) {
      end_now(fmt::format("ended in the middle of its work: something did not answer for {:.0f} s",
                          static_cast<double>(patience_ns_) * 1e-9));
    }
    const std::int64_t left_ms = left_ns < 0 ? -1 : left_ns / base::kNanosPerMilli + 1;
    ::poll(ends, 2, static_cast<int>(std::min<std::int64_t>(left_ms, 1'000'000)));
    if (ends[0].revents != 0) return;
    const Wish wish = signals_.next();
    if (wish == Wish::kForce) end_now("ended in the middle of its work, at a second signal");
    if (wish != Wish::kDrain) continue;
    number_ = signals_.number();
    mark(asked_.get());
    end_ns = base::monotonic_ns() + patience_ns_;
  }
}

void EndWatch::end_now(const std::string& why) const {
  const std::string line = program_ + ": " + why + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

}  // namespace fairlead::daemon
