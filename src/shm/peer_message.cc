// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_message.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fairlead::shm {
namespace {

using base::Error;
using base::ErrorKind;
using base::fail;
using base::Result;

struct Reason {
  ErrorKind kind;
  int number;
};

// One errno for each kind, so that a refusal keeps its kind on the way.
constexpr Reason kReasons[] = {
    {ErrorKind::kInvalid, EINVAL},
    {ErrorKind::kNotFound, ENOENT},
    {ErrorKind::kExists, EEXIST},
    {ErrorKind::kBusy, EBUSY},
    {ErrorKind::kTimeout, ETIMEDOUT},
    {ErrorKind::kClosed, ECONNRESET},
    {ErrorKind::kCorrupt, EPROTO},
    {ErrorKind::kLimit, ENOSPC},
    {ErrorKind::kUnsupported, ENOTSUP},
    {ErrorKind::kDenied, EACCES},
    {ErrorKind::kIo, EIO},
};

bool printable(char c) { return c >= 0x20 && c < 0x7f; }

// Copies as much as fits with its terminator; the rest of `field` is zero.
template <std::size_t kBytes>
void put_text(char (&field)[kBytes], std::string_view text) {
  std::size_t length = 0;
  for (; length < text.size() && length + 1 < kBytes; ++length) {
    field[length] = printable(text[length]) ? text[length] : '?';
  }
}

template <std::size_t kBytes>
bool valid_text(const char (&field)[kBytes]) {
  const char* end = std::find(field, field + kBytes, '\0');
  return end != field + kBytes && std::all_of(static_cast<const char*>(field), end, printable) &&
         std::all_of(end, field + kBytes, [](char c) { return c == '\0'; });
}

Error corrupt(const std::string& what) { return {ErrorKind::kCorrupt, "control message: " + what}; }

template <typename Message>
Result<Message> parse_as(abi::ControlType type, std::span<const std::byte> packet) {
  FL_TRY(const abi::ControlHeader header, parse_header(packet));
  if (header.type != type) {
    return fail(corrupt("type " + std::to_string(static_cast<std::uint32_t>(header.type)) +
                        " where " + std::to_string(static_cast<std::uint32_t>(type)) + " is due"));
  }
  if (packet.size() != sizeof(Message)) {
    return fail(corrupt(std::to_string(packet.size()) + " bytes where " +
                        std::to_string(sizeof(Message)) + " are due"));
  }
  Message message;
  std::memcpy(&message, packet.data(), sizeof message);
  return message;
}

}  // namespace

Result<abi::ControlHeader> parse_header(std::span<const std::byte> packet) {
  abi::ControlHeader header;
  if (packet.size() < sizeof header) {
    return fail(corrupt(std::to_string(packet.size()) + " bytes, too short"));
  }
  std::memcpy(&header, packet.data(), sizeof header);
  if (header.magic != abi::kControlMagic) return fail(corrupt("not ours"));
  if (header.version_major != abi::kControlMajor) {
    return fail(ErrorKind::kUnsupported,
                "control message of version " + std::to_string(header.version_major) +
                    ", spoken here is " + std::to_string(abi::kControlMajor));
  }
  if (header.type < abi::ControlType::kHello || header.type > abi::ControlType::kReport) {
    return fail(corrupt("unknown type"));
  }
  if (header.bytes != packet.size()) {
    return fail(corrupt("says " + std::to_string(header.bytes) + " bytes, has " +
                        std::to_string(packet.size())));
  }
  return header;
}

Result<abi::ControlHello> parse_hello(std::span<const std::byte> packet) {
  FL_TRY(const auto hello, parse_as<abi::ControlHello>(abi::ControlType::kHello, packet));
  if (hello.features != 0) {
    return fail(ErrorKind::kUnsupported, "hello asks for features that nobody knows");
  }
  if (hello.weight == 0 || hello.weight > abi::kMaxWeight) {
    return fail(ErrorKind::kInvalid, "hello with weight " + std::to_string(hello.weight) +
                                         ", allowed are 1 to " + std::to_string(abi::kMaxWeight));
  }
  if (!valid_text(hello.name)) {
    return fail(ErrorKind::kInvalid, "hello with a name that is not printable text");
  }
  return hello;
}

Result<abi::ControlWelcome> parse_welcome(std::span<const std::byte> packet) {
  FL_TRY(const auto welcome, parse_as<abi::ControlWelcome>(abi::ControlType::kWelcome, packet));
  if (welcome.features != 0) {
    return fail(ErrorKind::kUnsupported, "welcome with features that nobody knows");
  }
  return welcome;
}

Result<std::string> parse_report(std::span<const std::byte> packet) {
  FL_TRY(const abi::ControlHeader header, parse_header(packet));
  if (header.type != abi::ControlType::kReport) return fail(corrupt("not a report"));
  const auto text = packet.subspan(sizeof header);
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Error parse_refused(std::span<const std::byte> packet) {
  const auto refused = parse_as<abi::ControlRefused>(abi::ControlType::kRefused, packet);
  if (!refused) return refused.error();
  if (!valid_text(refused->text)) return corrupt("refusal that is not printable text");
  const auto* reason = std::find_if(std::begin(kReasons), std::end(kReasons), [&](const Reason& r) {
    return r.number == static_cast<int>(refused->reason);
  });
  const ErrorKind kind = reason == std::end(kReasons) ? ErrorKind::kIo : reason->kind;
  return {kind, std::string("refused by the service: ") + refused->text};
}

abi::ControlHeader make_header(abi::ControlType type, std::size_t bytes) {
  return {.magic = abi::kControlMagic,
          .version_major = abi::kControlMajor,
          .version_minor = abi::kControlMinor,
          .type = type,
          .bytes = static_cast<std::uint32_t>(bytes)};
}

abi::ControlHello make_hello(std::uint32_t slots, std::uint32_t data_bytes, std::uint32_t weight,
                             std::string_view name) {
  abi::ControlHello hello{};
  hello.header = make_header(abi::ControlType::kHello, sizeof hello);
  hello.slots = slots;
  hello.data_bytes = data_bytes;
  hello.weight = weight;
  put_text(hello.name, name);
  return hello;
}

abi::ControlRefused make_refused(const Error& why) {
  abi::ControlRefused refused{};
  refused.header = make_header(abi::ControlType::kRefused, sizeof refused);
  const auto* reason = std::find_if(std::begin(kReasons), std::end(kReasons),
                                    [&](const Reason& r) { return r.kind == why.kind(); });
  refused.reason = static_cast<std::uint32_t>(reason->number);
  put_text(refused.text, why.message());
  return refused;
}

Result<std::string> make_report(std::string_view text) {
  const std::size_t bytes = sizeof(abi::ControlHeader) + text.size();
  if (bytes > abi::kMaxReportBytes) {
    return fail(ErrorKind::kLimit, "report of " + std::to_string(text.size()) + " bytes, at most " +
                                       std::to_string(abi::kMaxReportBytes));
  }
  const abi::ControlHeader header = make_header(abi::ControlType::kReport, bytes);
  std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
  packet += text;
  return packet;
}

}  // namespace fairlead::shm
