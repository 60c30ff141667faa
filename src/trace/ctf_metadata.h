// SPDX-License-Identifier: Apache-2.0
//
// The layout of a trace in the Common Trace Format: its text, and the numbers that writer and text
// must agree on.
//
// Thread-safety: pure functions.  Source: Common Trace Format 1.8, sections 5 to 7 and appendix C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trace/trace.h"

namespace fairlead::trace {

constexpr std::uint32_t kCtfMagic = 0xc1fc1fc1;

// Magic, number of the stream's class; times, content and packet in bits, packet's number, events
// discarded (8 each); source, stream (2 each).
constexpr std::size_t kCtfPacketHeaderBytes = 8 + 6 * 8 + 2 * 2;

// An event's class is its act's number; 0 for those that blktrace has no name for.
std::uint16_t ctf_event_id(const abi::BlockEvent& event) noexcept;

// `zero_ns`: what the clock's 0 is in the trace's time.
std::string ctf_metadata(const Trace& trace, std::int64_t zero_ns);

}  // namespace fairlead::trace
