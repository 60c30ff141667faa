// SPDX-License-Identifier: Apache-2.0
#include "trace/relayed_record.h"

#include <cstring>

#include "relay/stamp.h"

namespace fairlead::trace {
namespace {

using abi::TraceLossCause;
using abi::TraceType;

template <typename T>
T read_as(std::span<const std::byte> from) {
  T value;
  std::memcpy(&value, from.data(), sizeof value);
  return value;
}

// A reader takes a cause that it does not know for a recording that is damaged.
abi::TraceLoss with_known_cause(abi::TraceLoss loss) {
  if (loss.cause < TraceLossCause::kFull || loss.cause > TraceLossCause::kKernel) {
    loss.cause = TraceLossCause::kCorrupt;
  }
  return loss;
}

}  // namespace

bool write_record(TraceFileWriter& file, std::uint16_t source, std::uint16_t stream,
                  const abi::RelayRecord& record, std::span<const std::byte> payload) {
  if (payload.size() != sizeof(abi::BlockEvent)) return false;
  switch (TraceType(record.type)) {
    case TraceType::kBlock:
      file.event(source, stream, record.stamp, read_as<abi::BlockEvent>(payload));
      return true;
    case TraceType::kName: file.name(source, read_as<abi::TraceName>(payload)); return true;
    case TraceType::kDevice: file.device(source, read_as<abi::TraceDevice>(payload)); return true;
    case TraceType::kLoss:
      file.loss(source, stream, with_known_cause(read_as<abi::TraceLoss>(payload)));
      return true;
  }
  return false;
}

void write_clock(TraceFileWriter& file, std::uint16_t source,
                 const relay::ClockCertificate& clock) {
  const relay::ClockInterval& known = clock.interval();
  file.clock(source, {.offset_ticks = known.middle(),
                      .half_width_ticks = known.half_width(),
                      .at_stamp = relay::stamp(),
                      .epoch = clock.epoch()});
}

void write_broken(TraceFileWriter& file, std::uint16_t source, std::uint16_t stream,
                  std::uint64_t last_stamp) {
  file.loss(source, stream,
            {.records = 1,
             .bytes = 0,
             .first_stamp = last_stamp,
             .last_stamp = 0,
             .cause = TraceLossCause::kCorrupt,
             .reserved = {}});
}

}  // namespace fairlead::trace
