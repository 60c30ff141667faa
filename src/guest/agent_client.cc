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
#include <charconv>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"

namespace fairlead::guest {

using base::ErrorKind;

namespace {

constexpr std::int64_t kLongestPollMs = 60'000;
constexpr std::int64_t kEndNs = 5 * base::kNanosPerSecond;  // to kill a command
constexpr std::string_view kExit = "exit=";

bool readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0;
}

base::Result<int> exit_of(std::string_view text) {
  int status = -1;
  if (text.starts_with(kExit)) {
    const std::string_view number = text.substr(kExit.size());
    const char* const end = number.data() + number.size();
    if (std::from_chars(number.data(), end, status).ptr != end) status = -1;
  }
  if (status < 0 || status > 255) {
    return base::fail(ErrorKind::kCorrupt, "the status of the guest's command makes no sense");
  }
  return status;
}

}  // namespace

// A random start: the answer to another client's question must not look like ours.
AgentClient::AgentClient(base::Fd socket)
    : socket_(std::move(socket)), id_(std::random_device{}() & 0x3fffffff) {}

namespace {

base::Result<base::Fd> connect_by(const std::string& socket_path, int flags) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return base::fail(ErrorKind::kInvalid, "too long for a socket: " + socket_path);
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!socket) return base::fail_errno(errno, "make a socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return base::fail_errno(errno, "connect to " + socket_path);
  }
  return socket;
}

}  // namespace

base::Result<base::Fd> connect_to_port(const std::string& socket_path) {
  return connect_by(socket_path, 0);
}

bool port_is_served(const std::string& socket_path) {
  const auto socket = connect_by(socket_path, SOCK_NONBLOCK);
  return socket || socket.error().system_errno() == EAGAIN;  // others wait in line
}

base::Result<AgentClient> AgentClient::connect(const std::string& socket_path) {
  FL_TRY(base::Fd socket, connect_to_port(socket_path));
  return AgentClient(std::move(socket));
}

base::Result<std::uint32_t> AgentClient::send(std::string_view words) {
  const std::uint32_t id = ++id_;
  const std::string line = fmt::format("{} {}\n", id, words);
  if (line.size() > kLineBytes || words.contains('\n')) {
    return base::fail(ErrorKind::kLimit, "too much for one command to a guest");
  }
  if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) {
    return base::fail_errno(errno, "send to the guest's agent");
  }
  return id;
}

// The next that answers `id`; valid until the next call.
base::Result<Answer> AgentClient::next_answer(std::uint32_t id, std::int64_t end_ns, int stop_fd) {
  while (true) {
    while (const auto got = lines_.next()) {
      const auto answer = parse_answer(*got);
      if (!answer || answer->id != id) continue;
      if (answer->kind != Answer::Kind::kError) return *answer;
      return base::fail(ErrorKind::kInvalid, fmt::format("the guest says: {}", answer->text));
    }
    if (from_ < until_) {
      from_ += lines_.push({bytes_.data() + from_, until_ - from_});
      continue;
    }
    const std::int64_t left_ms = (end_ns - base::monotonic_ns()) / base::kNanosPerMilli;
    if (left_ms <= 0) return base::fail(ErrorKind::kTimeout, "the guest's agent does not answer");
    pollfd files[2] = {{socket_.get(), POLLIN, 0}, {stop_fd, POLLIN, 0}};
    if (::poll(files, 2, static_cast<int>(std::min(left_ms, kLongestPollMs))) <= 0) continue;
    if (files[1].revents != 0) return base::fail(ErrorKind::kClosed, "nobody waits any more");
    const ssize_t size = ::read(socket_.get(), bytes_.data(), bytes_.size());
    if (size <= 0) return base::fail(ErrorKind::kClosed, "the guest went away");
    from_ = 0;
    until_ = static_cast<std::size_t>(size);
  }
}

base::Result<std::string> AgentClient::ask(std::string_view words, std::int64_t timeout_ns,
                                           int stop_fd) {
  FL_TRY(const std::uint32_t id, send(words));
  FL_TRY(const Answer answer, next_answer(id, base::monotonic_ns() + timeout_ns, stop_fd));
  return std::string(answer.text);
}

base::Result<int> AgentClient::run(std::string_view command, const OnOutput& on_output,
                                   int stop_fd) {
  FL_TRY(const std::uint32_t id, send(fmt::format("run {}", command)));
  std::int64_t end_ns = INT64_MAX;  // of its answers
  bool wanted = true;
  const auto kill = [&] {
    end_ns = base::monotonic_ns() + kEndNs;
    stop_fd = -1;
    return send("end");
  };
  std::array<char, kLineBytes> plain;
  while (true) {
    const auto answer = next_answer(id, end_ns, stop_fd);
    if (!answer && answer.error().kind() == ErrorKind::kClosed && stop_fd >= 0 &&
        readable(stop_fd)) {
      FL_TRY_STATUS(kill());
      continue;
    }
    if (!answer) return base::fail(answer.error());
    if (answer->kind != Answer::Kind::kOutput) return exit_of(answer->text);
    const auto length = unescape_output(answer->text, plain.data());
    if (!length) return base::fail(ErrorKind::kCorrupt, "what the guest says makes no sense");
    if (!wanted || on_output({plain.data(), *length})) continue;
    wanted = false;
    if (end_ns == INT64_MAX) FL_TRY_STATUS(kill());
  }
}

base::Result<Report> AgentClient::report(std::int64_t timeout_ns, int stop_fd) {
  FL_TRY(const std::string text, ask("report", timeout_ns, stop_fd));
  const auto report = parse_report(text);
  if (!report) return base::fail(ErrorKind::kCorrupt, "the guest's report makes no sense");
  return *report;
}

}  // namespace fairlead::guest
