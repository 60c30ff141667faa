// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_call.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "shm/peer_message.h"

namespace fairlead::shm {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

struct Answer {
  ControlSocket socket;
  Packet packet;
};

// Sends `question` and waits for the one answer.
Result<Answer> ask(const std::string& path, std::span<const std::byte> question,
                   std::span<std::byte> answer, std::size_t max_fds, std::int64_t timeout_ns) {
  const std::int64_t deadline_ns = base::monotonic_ns() + timeout_ns;
  FL_TRY(ControlSocket socket, ControlSocket::connect(path, timeout_ns));
  // A service that is full refuses before it has read anything: its reason waits for us all the
  // same, so a failed send is not yet the end.
  const auto sent = socket.send(question);
  if (!sent && sent.error().kind() != ErrorKind::kClosed) return fail(sent.error());
  const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - base::monotonic_ns(), 0);
  auto packet = socket.receive(answer, max_fds, left_ns);
  if (!packet && packet.error().kind() == ErrorKind::kTimeout) {
    return fail(ErrorKind::kTimeout, "the service on " + path + " does not answer");
  }
  if (!packet && packet.error().kind() == ErrorKind::kClosed) {
    return fail(ErrorKind::kClosed, "the service on " + path + " hung up without an answer");
  }
  if (!packet) return fail(std::move(packet).error().at("answer of the service on " + path));
  return Answer{std::move(socket), *std::move(packet)};
}

}  // namespace

Result<Registration> register_client(const std::string& path, const abi::ControlHello& hello,
                                     std::int64_t timeout_ns) {
  std::array<std::byte, sizeof(abi::ControlRefused)> buffer{};
  FL_TRY(Answer answer, ask(path, bytes_of(hello), buffer, 2, timeout_ns));
  const auto bytes = std::span(buffer).first(answer.packet.bytes);
  FL_TRY(const abi::ControlHeader header, parse_header(bytes));
  if (header.type == abi::ControlType::kRefused) return fail(parse_refused(bytes));
  FL_TRY(const abi::ControlWelcome welcome, parse_welcome(bytes));
  if (answer.packet.fd_count != 2) {
    return fail(ErrorKind::kCorrupt, "welcome with " + std::to_string(answer.packet.fd_count) +
                                         " descriptors where 2 are due");
  }
  FL_TRY(const PeerIdentity service, answer.socket.peer());
  return Registration{std::move(answer.socket), service, welcome, std::move(answer.packet.fds[0]),
                      std::move(answer.packet.fds[1])};
}

Result<std::string> query_service(const std::string& path, abi::ControlType question,
                                  std::int64_t timeout_ns) {
  FL_CHECK(question == abi::ControlType::kQueryStatus || question == abi::ControlType::kQueryStop);
  const abi::ControlHeader asked = make_header(question, sizeof asked);
  std::vector<std::byte> buffer(abi::kMaxReportBytes);
  FL_TRY(const Answer answer, ask(path, bytes_of(asked), buffer, 0, timeout_ns));
  const auto bytes = std::span(buffer).first(answer.packet.bytes);
  FL_TRY(const abi::ControlHeader header, parse_header(bytes));
  if (header.type == abi::ControlType::kRefused) return fail(parse_refused(bytes));
  return parse_report(bytes);
}

}  // namespace fairlead::shm
