// SPDX-License-Identifier: Apache-2.0
#include "daemon/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/clock.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Fd;
using base::Result;

std::int64_t number_of(const char* text) {
  std::int64_t value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return value;
}

// 0 for what nobody means: a time that is none, or that no 64 bits of nanoseconds hold.
std::int64_t half_of_micros(std::int64_t micros) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / base::kNanosPerMicro;
  return micros < 0 || micros > kMost ? 0 : micros * base::kNanosPerMicro / 2;
}

}  // namespace

Result<Notifier> Notifier::from_environment() {
  Notifier notifier;
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return notifier;

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
    return fail(ErrorKind::kInvalid, std::string("bad NOTIFY_SOCKET: ") + path);
  }
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return fail_errno(errno, std::string("connect to NOTIFY_SOCKET ") + path);
  }
  notifier.socket_ = std::move(socket);
  const char* watched = std::getenv("WATCHDOG_PID");
  if (watched == nullptr || number_of(watched) == ::getpid()) {
    notifier.watchdog_ns_ = half_of_micros(number_of(std::getenv("WATCHDOG_USEC")));
  }
  return notifier;
}

base::Status Notifier::send(std::string_view state) const {
  if (!socket_) return {};
  while (::send(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return fail_errno(errno, "tell the service manager");
  }
  return {};
}

}  // namespace fairlead::daemon
