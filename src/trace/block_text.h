// SPDX-License-Identifier: Apache-2.0
//
// The field's words for what stands in events as numbers: for every format that a person reads.
//
// Thread-safety: pure functions.  Source of letters and flags: blkparse(1).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "fairlead/abi/trace.h"
#include "trace/trace.h"

namespace fairlead::trace {

// "Q", "UT"; "?" for what blktrace has no number for.
std::string_view act_letter(std::uint16_t act) noexcept;
inline constexpr std::uint16_t kLastAct = 17;

// "WS", "RA", "FWFS": flush before, direction, force unit access, ahead, sync, metadata.
std::string flags_text(const abi::BlockEvent& event);

// "8,0"
std::string device_text(std::uint32_t device);

// "full"; "cause9" for what no cause of ours is.
std::string cause_text(abi::TraceLossCause cause);

// "host", "guest", "service", "file"; "kind9".
std::string kind_text(SourceKind kind);

// What Trace::devices calls it, else device_text(); what is no text is made one.
std::string device_name(const Trace& trace, std::uint16_t source, std::uint32_t device);

// What Trace::sources calls it, else "source 3".
std::string source_name(const Trace& trace, std::uint16_t source);

// Of each source's processes; where a number was used again, the name of the last.
std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> process_names(const Trace& trace);

}  // namespace fairlead::trace
