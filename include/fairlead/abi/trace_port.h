// SPDX-License-Identifier: Apache-2.0
//
// Block events of a guest without a card: what goes through its virtio-serial port.
//
//     guest ─► host    frames of 64 bytes: RelayRecord, then 48 bytes of what its type says:
//                      abi/trace.h's types, and those below
//     host ─► guest    questions of 16 bytes
//
// A session: hello, then anything, end.  RelayRecord::bytes is 64, `sequence` counts the frames
// before this one (low bits, from 0 at the hello), answers excepted: those are 0.
//
// Trust: none; a reader copies a frame, and believes no field of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fairlead/abi/relay.h"
#include "fairlead/abi/trace.h"

namespace fairlead::abi {

// RelayRecord::type of what is no record of a source.
enum class PortType : std::uint16_t {
  kHello = 0x100,   // PortHello
  kAnswer = 0x101,  // PortAnswer; RelayRecord::stamp: the guest's, when it had read the question
  kEnd = 0x102,     // PortEnd
};

struct PortHello {
  std::uint64_t session;      //  0  the number that the host has given
  std::uint8_t reserved[40];  //  8  zero
};

struct PortAnswer {
  std::uint64_t round;        //  0  the question's
  std::uint8_t reserved[40];  //  8  zero
};

struct PortEnd {
  std::uint64_t records;      //  0  of TraceType, losses included
  std::uint64_t lost;         //  8  that the losses tell, together
  std::uint8_t reserved[32];  // 16  zero
};

inline constexpr std::uint64_t kPortQuestionMagic = 0x314b'5341'4454'4c46;  // "FLTDASK1"

struct PortQuestion {
  std::uint64_t magic;  //  0
  std::uint64_t round;  //  8
};

static_assert(sizeof(RelayRecord) + sizeof(BlockEvent) == 64 && sizeof(PortQuestion) == 16);
static_assert(sizeof(PortHello) == 48 && sizeof(PortAnswer) == 48 && sizeof(PortEnd) == 48);
static_assert(std::has_unique_object_representations_v<PortEnd>);

}  // namespace fairlead::abi
