// SPDX-License-Identifier: Apache-2.0
#include "shm/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "base/user.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace fairlead::shm {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Fd;
using base::Result;
using base::Status;

constexpr int kSocketType = SOCK_SEQPACKET | SOCK_CLOEXEC;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kInvalid,
                "socket path of " + std::to_string(path.size()) + " bytes, at most " +
                    std::to_string(sizeof address.sun_path - 1) + " fit: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

base::Error not_running(const std::string& path) {
  return {ErrorKind::kNotFound, "no service is running: nobody listens on " + path};
}

// Waits until the socket has something to read.  0: not in time.
int wait_readable(int fd, std::int64_t timeout_ns) {
  const std::int64_t deadline_ns = timeout_ns < 0 ? -1 : base::monotonic_ns() + timeout_ns;
  pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
  for (;;) {
    timespec left{};
    if (deadline_ns >= 0) {
      const std::int64_t left_ns = std::max<std::int64_t>(0, deadline_ns - base::monotonic_ns());
      left = {.tv_sec = left_ns / base::kNanosPerSecond,
              .tv_nsec = left_ns % base::kNanosPerSecond};
    }
    const int ready = ::ppoll(&waited, 1, deadline_ns < 0 ? nullptr : &left, nullptr);
    if (ready >= 0 || errno != EINTR) return ready;
  }
}

// Takes ownership of every descriptor that came along, wanted or not.
void collect_fds(msghdr& message, Packet& packet) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof number);
      Fd owned(number);
      if (packet.fd_count < packet.fds.size()) packet.fds[packet.fd_count++] = std::move(owned);
    }
  }
}

// A stale socket may be replaced; anything else at `path` may not.
Status check_replaceable(const std::string& path, const sockaddr_un& address) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Status{} : fail_errno(errno, "look at " + path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return fail(ErrorKind::kExists, path + " exists and is not a socket");
  }
  const Fd probe(::socket(AF_UNIX, kSocketType | SOCK_NONBLOCK, 0));
  if (!probe) return fail_errno(errno, "make a socket");
  // EAGAIN: a listener whose queue is full.
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN) {
    return fail(ErrorKind::kBusy, "somebody already listens on " + path);
  }
  return {};
}

}  // namespace

Result<ControlSocket> ControlSocket::connect(const std::string& path, std::int64_t timeout_ns) {
  FL_TRY(const sockaddr_un address, address_of(path));
  Fd socket(::socket(AF_UNIX, kSocketType, 0));
  if (!socket) return fail_errno(errno, "make a socket");
  const std::int64_t deadline_ns = base::monotonic_ns() + std::max<std::int64_t>(timeout_ns, 0);
  for (;;) {
    // While the queue of the listener is full, connect waits as long as the send timeout says.
    const std::int64_t left_ns = deadline_ns - base::monotonic_ns();
    const std::int64_t left_us = std::max<std::int64_t>(left_ns / base::kNanosPerMicro, 1);
    const timeval limit{.tv_sec = left_us / 1'000'000, .tv_usec = left_us % 1'000'000};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(socket.get(), generic(address), sizeof address) == 0) break;
    if (errno == EINTR && left_ns > 0) continue;
    if (errno == ENOENT || errno == ECONNREFUSED) return fail(not_running(path));
    if (errno == EAGAIN || errno == EINTR) {
      return fail(ErrorKind::kTimeout, "the service on " + path + " does not take connections");
    }
    if (errno == EACCES) return fail(base::denied_service("connect to " + path, path));
    return fail_errno(errno, "connect to " + path);
  }
  if (::fcntl(socket.get(), F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
    return fail_errno(errno, "connect to " + path);
  }
  return ControlSocket(std::move(socket));
}

Status ControlSocket::send(std::span<const std::byte> bytes, std::span<const int> fds) {
  FL_CHECK(fds.size() <= kMaxPacketFds);
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return fail_errno(errno, "send a control message");
  }
  return {};
}

Result<Packet> ControlSocket::receive(std::span<std::byte> buffer, std::size_t max_fds,
                                      std::int64_t timeout_ns) {
  FL_CHECK(max_fds <= kMaxPacketFds);
  if (timeout_ns != 0 && wait_readable(socket_.get(), timeout_ns) == 0) {
    return fail(ErrorKind::kTimeout, "no control message in time");
  }
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  msghdr message{};
  ssize_t got = -1;
  // A peer that closed without reading us raises ECONNRESET once, before its last words.
  for (int resets = 0; got < 0;) {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = max_fds == 0 ? 0 : CMSG_SPACE(sizeof(int) * max_fds);
    got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got >= 0 || errno == EINTR || (errno == ECONNRESET && resets++ == 0)) continue;
    if (errno == EAGAIN) return fail(ErrorKind::kTimeout, "no control message in time");
    return fail_errno(errno, "receive a control message");
  }
  Packet packet;
  packet.bytes = static_cast<std::size_t>(got);
  collect_fds(message, packet);
  if ((message.msg_flags & MSG_CTRUNC) != 0 || packet.fd_count > max_fds) {
    return fail(ErrorKind::kCorrupt, "control message with more descriptors than the " +
                                         std::to_string(max_fds) + " allowed");
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return fail(ErrorKind::kCorrupt,
                "control message longer than " + std::to_string(buffer.size()) + " bytes");
  }
  if (got == 0) return fail(ErrorKind::kClosed, "the other side hung up");
  return packet;
}

Result<PeerIdentity> ControlSocket::peer() const {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return fail_errno(errno, "ask who connected");
  }
  return PeerIdentity{credentials.uid, credentials.gid, credentials.pid};
}

Result<Fd> ControlSocket::peer_process() const {
  int process = -1;
  socklen_t length = sizeof process;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERPIDFD, &process, &length) == 0) {
    return Fd(process);
  }
  if (errno == ENOPROTOOPT) return fail(ErrorKind::kUnsupported, "no SO_PEERPIDFD in this kernel");
  return fail_errno(errno, "ask for the peer's process");
}

Result<ControlListener> ControlListener::bind(const std::string& path, int backlog) {
  FL_TRY(const sockaddr_un final_address, address_of(path));
  FL_TRY_STATUS(check_replaceable(path, final_address));
  // Bound under another name of the same length, listening before it gets its own: whoever finds
  // the path can connect, and finds it with the right mode.
  std::string draft = path;
  draft.back() = '~';
  FL_TRY(const sockaddr_un draft_address, address_of(draft));
  ControlListener listener(Fd(::socket(AF_UNIX, kSocketType | SOCK_NONBLOCK, 0)), path);
  const int fd = listener.fd();
  if (fd < 0) return fail_errno(errno, "make a socket");
  ::unlink(draft.c_str());
  struct stat bound{};
  // The mode of the socket is, less the umask, the mode of the file that bind makes.
  if (::fchmod(fd, 0600) != 0 || ::bind(fd, generic(draft_address), sizeof draft_address) != 0 ||
      ::listen(fd, backlog) != 0 || ::lstat(draft.c_str(), &bound) != 0 ||
      ::rename(draft.c_str(), path.c_str()) != 0) {
    auto failed = fail_errno(errno, "listen on " + path);
    ::unlink(draft.c_str());
    return failed;
  }
  listener.device_ = bound.st_dev;
  listener.inode_ = bound.st_ino;
  return listener;
}

ControlListener::~ControlListener() {
  struct stat found{};
  if (socket_ && inode_ != 0 && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ &&
      found.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

Result<std::optional<ControlSocket>> ControlListener::accept() {
  for (;;) {
    Fd accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted) return ControlSocket(std::move(accepted));
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ECONNABORTED) return std::nullopt;
    return fail_errno(errno, "accept a connection");
  }
}

}  // namespace fairlead::shm
