// SPDX-License-Identifier: Apache-2.0
//
// Registration messages of arbitrary bytes: each parser refuses with one short line, or what it
// gives is what its header promises.  First byte: which honest message the rest patches, or none.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "shm/peer_message.h"

namespace fairlead::shm {
namespace {

bool one_line(const base::Error& error) {
  return error.message().size() < 300 && error.message().find('\n') == std::string::npos;
}

template <std::size_t kBytes>
bool printable_text(const char (&field)[kBytes]) {
  const std::size_t length = ::strnlen(field, kBytes);
  return length < kBytes &&
         std::all_of(field, field + length, [](char c) { return c >= 0x20 && c < 0x7f; });
}

template <typename Message>
std::vector<std::byte> packet_of(const Message& message) {
  const auto bytes = bytes_of(message);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> honest(std::uint8_t which) {
  switch (which % 5) {
    case 0: return packet_of(make_hello(64, 4096, 10, "a client"));
    case 1: {
      abi::ControlWelcome welcome{};
      welcome.header = make_header(abi::ControlType::kWelcome, sizeof welcome);
      return packet_of(welcome);
    }
    case 2: return packet_of(make_refused({base::ErrorKind::kLimit, "no room"}));
    case 3: {
      const auto report = make_report("{\"event\":\"start\"}");
      const auto* bytes = reinterpret_cast<const std::byte*>(report->data());
      return {bytes, bytes + report->size()};
    }
    default: return {};
  }
}

void parse(std::span<const std::byte> packet) {
  const auto header = parse_header(packet);
  if (!header) FL_CHECK(one_line(header.error()));
  const auto hello = parse_hello(packet);
  if (hello) {
    FL_CHECK(hello->weight >= 1 && hello->weight <= abi::kMaxWeight && hello->features == 0);
    FL_CHECK(printable_text(hello->name) && packet.size() == sizeof *hello);
  } else {
    FL_CHECK(one_line(hello.error()));
  }
  const auto welcome = parse_welcome(packet);
  FL_CHECK(welcome ? welcome->features == 0 : one_line(welcome.error()));
  const auto report = parse_report(packet);
  FL_CHECK(report ? report->size() == packet.size() - sizeof(abi::ControlHeader)
                  : one_line(report.error()));
  FL_CHECK(one_line(parse_refused(packet)));
  // A packet is one message at most.
  FL_CHECK(hello.has_value() + welcome.has_value() + report.has_value() <= 1);
  FL_CHECK(header || (!hello && !welcome && !report));
}

}  // namespace
}  // namespace fairlead::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fairlead::shm;
  fairlead::base::FuzzInput input(data, size);
  const std::uint8_t which = input.byte();
  std::vector<std::byte> packet = honest(which);
  if (packet.empty()) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    packet.assign(bytes + std::min<std::size_t>(size, 1), bytes + size);
  } else {
    packet.resize(packet.size() - std::min<std::size_t>(which / 5 % 8 / 6, packet.size()));
    input.patch(packet);
  }
  parse(packet);
  return 0;
}
