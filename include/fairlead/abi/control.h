// SPDX-License-Identifier: Apache-2.0
//
// Registration messages, on a Unix socket of type SOCK_SEQPACKET: one message a packet, so that
// half a message is a short packet and is refused.  Little endian, as the machine both ends run on.
//
//     client                                   service
//       hello ────────────────────────────────►          who it is: SO_PEERCRED of the socket
//             ◄──────────────── welcome + 2 descriptors   segment (sealed memfd), doorbell
//             (eventfd) ◄──────────────── refused                   or: why not, then hang-up
//
//       query ────────────────────────────────►          one question a connection
//             ◄──────────────────────────── report        JSON text
//
// After welcome nothing more is said on the socket: it stays open, and its hang-up is the death of
// the other side.
// Trust: a message of another size, version or type, or with descriptors nobody asked for, ends the
// connection; surplus descriptors are closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

inline constexpr std::uint32_t kControlMagic = 0x4c54'4346;  // "FCTL"
inline constexpr std::uint16_t kControlMajor = 1;
inline constexpr std::uint16_t kControlMinor = 0;
inline constexpr std::uint32_t kMaxReportBytes = 128 * 1024;
inline constexpr std::uint32_t kMaxWeight = 1000;

enum class ControlType : std::uint32_t {
  kNone = 0,
  kHello = 1,
  kWelcome = 2,
  kRefused = 3,
  kQueryStatus = 4,
  kQueryStop = 5,  // answered with the final report once all work is drained
  kReport = 6,
};

struct ControlHeader {
  std::uint32_t magic;          //  0
  std::uint16_t version_major;  //  4
  std::uint16_t version_minor;  //  6
  ControlType type;             //  8
  std::uint32_t bytes;          // 12  of the whole message, this header included
};

struct ControlHello {
  ControlHeader header;      //  0
  std::uint32_t slots;       // 16  wanted; the service may give fewer
  std::uint32_t data_bytes;  // 20  wanted for each slot
  std::uint32_t weight;      // 24  share against other clients, 1 … kMaxWeight
  std::uint32_t features;    // 28  none defined: zero
  char name[32];             // 32  for status; zero-terminated, printable
};

struct ControlWelcome {
  ControlHeader header;         //  0
  std::uint64_t generation;     // 16  of the service
  std::uint64_t segment_bytes;  // 24  of the memfd that comes along
  std::uint32_t client;         // 32  number of this client, for logs
  std::uint32_t features;       // 36  zero
  std::uint8_t reserved[24];    // 40  zero
};

struct ControlRefused {
  ControlHeader header;    //  0
  std::uint32_t reason;    // 16  an errno
  std::uint32_t reserved;  // 20  zero
  char text[104];          // 24  one line, zero-terminated
};

static_assert(sizeof(ControlHeader) == 16);
static_assert(std::has_unique_object_representations_v<ControlHeader>);
static_assert(sizeof(ControlHello) == 64 && offsetof(ControlHello, name) == 32);
static_assert(std::has_unique_object_representations_v<ControlHello>);
static_assert(sizeof(ControlWelcome) == 64 && offsetof(ControlWelcome, client) == 32);
static_assert(std::has_unique_object_representations_v<ControlWelcome>);
static_assert(sizeof(ControlRefused) == 128 && offsetof(ControlRefused, text) == 24);
static_assert(std::has_unique_object_representations_v<ControlRefused>);

}  // namespace fairlead::abi
