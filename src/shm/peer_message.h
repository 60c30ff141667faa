// SPDX-License-Identifier: Apache-2.0
//
// Registration messages between bytes and meaning (layout: abi/control.h).  The one place where
// bytes of the other side are believed or not; everything made here is initialised to the last
// byte.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fairlead/abi/control.h"

namespace fairlead::shm {

// Magic, version, known type, and `bytes` == the packet's size; kUnsupported for another major
// version, kCorrupt for all else.
base::Result<abi::ControlHeader> parse_header(std::span<const std::byte> packet);

// The packet as one message of this type and exactly its size.  Contents are checked too: of hello
// weight, features and name; of welcome features; of refused the terminator.
base::Result<abi::ControlHello> parse_hello(std::span<const std::byte> packet);
base::Result<abi::ControlWelcome> parse_welcome(std::span<const std::byte> packet);
base::Result<std::string> parse_report(std::span<const std::byte> packet);
// What a refusal says, as the error that it is at the client.
base::Error parse_refused(std::span<const std::byte> packet);

abi::ControlHeader make_header(abi::ControlType type, std::size_t bytes);
// `name` is cut to 31 bytes; what is not printable becomes '?'.
abi::ControlHello make_hello(std::uint32_t slots, std::uint32_t data_bytes, std::uint32_t weight,
                             std::string_view name);
abi::ControlRefused make_refused(const base::Error& why);
// Header and text in one; kLimit if that is more than abi::kMaxReportBytes.
base::Result<std::string> make_report(std::string_view text);

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>, "no padding may be sent");
  return std::as_bytes(std::span(&message, 1));
}

}  // namespace fairlead::shm
