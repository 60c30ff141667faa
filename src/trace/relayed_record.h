// SPDX-License-Identifier: Apache-2.0
//
// What came out of a relay channel, or a guest's port, written down; for both sources.
//
// Thread-safety: the recorder's thread.  Distrust: fields are taken as they are, but for those that
// would make the recording unreadable.
#pragma once

#include <cstdint>
#include <span>

#include "fairlead/abi/relay.h"
#include "relay/clock_sync.h"
#include "trace/trace_file.h"

namespace fairlead::trace {

// False: the record is none of abi::TraceType, or has not its length; nothing was written.
bool write_record(TraceFileWriter& file, std::uint16_t source, std::uint16_t stream,
                  const abi::RelayRecord& record, std::span<const std::byte> payload);

// What is known of the source's clock at this moment.
void write_clock(TraceFileWriter& file, std::uint16_t source, const relay::ClockCertificate& clock);

// Nobody knows what is missing of the stream from here on, and where that ends.
void write_broken(TraceFileWriter& file, std::uint16_t source, std::uint16_t stream,
                  std::uint64_t last_stamp);

}  // namespace fairlead::trace
