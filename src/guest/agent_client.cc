// SPDX-License-Identifier: Apache-2.0
#include "guest/agent_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"

namespace fairlead::guest {

using base::ErrorKind;

// A random start: the answer to another client's question must not look like ours.
AgentClient::AgentClient(base::Fd socket)
    : socket_(std::move(socket)), id_(std::random_device{}() & 0x3fffffff) {}

base::Result<base::Fd> connect_to_port(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return base::fail(ErrorKind::kInvalid, "too long for a socket: " + socket_path);
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return base::fail_errno(errno, "make a socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return base::fail_errno(errno, "connect to " + socket_path);
  }
  return socket;
}

base::Result<AgentClient> AgentClient::connect(const std::string& socket_path) {
  FL_TRY(base::Fd socket, connect_to_port(socket_path));
  return AgentClient(std::move(socket));
}

base::Result<std::string> AgentClient::ask(std::string_view words, std::int64_t timeout_ns,
                                           int stop_fd) {
  const std::uint32_t id = ++id_;
  const std::string line = fmt::format("{} {}\n", id, words);
  if (line.size() > kLineBytes || words.contains('\n')) {
    return base::fail(ErrorKind::kLimit, "too much for one command to a guest");
  }
  if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) {
    return base::fail_errno(errno, "send to the guest's agent");
  }
  const std::int64_t end = base::monotonic_ns() + timeout_ns;
  std::array<char, kLineBytes> bytes;
  while (true) {
    while (const auto got = lines_.next()) {
      const auto answer = parse_answer(*got);
      if (!answer || answer->id != id) continue;
      if (answer->ok) return std::string(answer->text);
      return base::fail(ErrorKind::kInvalid, fmt::format("the guest says: {}", answer->text));
    }
    const std::int64_t left_ms = (end - base::monotonic_ns()) / base::kNanosPerMilli;
    pollfd files[2] = {{socket_.get(), POLLIN, 0}, {stop_fd, POLLIN, 0}};
    if (left_ms <= 0 ||
        ::poll(files, 2, static_cast<int>(std::min<std::int64_t>(left_ms, 60'000))) == 0) {
      if (left_ms <= 60'000)
        return base::fail(ErrorKind::kTimeout, "the guest's agent does not answer");
      continue;
    }
    if (files[1].revents != 0) return base::fail(ErrorKind::kClosed, "nobody waits any more");
    const std::size_t room = std::min(bytes.size(), kLineBytes / 2);
    const ssize_t size = ::read(socket_.get(), bytes.data(), room);
    if (size <= 0) return base::fail(ErrorKind::kClosed, "the guest went away");
    std::string_view rest(bytes.data(), static_cast<std::size_t>(size));
    rest.remove_prefix(lines_.push(rest));
    // What did not fit belongs to a line that is too long, which is dropped anyway.
  }
}

base::Result<Report> AgentClient::report(std::int64_t timeout_ns, int stop_fd) {
  FL_TRY(const std::string text, ask("report", timeout_ns, stop_fd));
  const auto report = parse_report(text);
  if (!report) return base::fail(ErrorKind::kCorrupt, "the guest's report makes no sense");
  return *report;
}

}  // namespace fairlead::guest
