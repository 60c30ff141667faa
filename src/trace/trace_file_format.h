// SPDX-License-Identifier: Apache-2.0
//
// What stands in a recording's file: for its writer and its reader, and nobody else.
//
//   0           64          128
//   +-----------+-----------+-----------+----
//   | FileHeader| FileRecord| FileRecord| …        each of 64 bytes, little endian
//   +-----------+-----------+-----------+----
//
// A record's payload is what its kind says: abi::BlockEvent, TraceName, TraceDevice, TraceLoss, or
// one of those below.
#pragma once

#include <cstdint>

#include "fairlead/abi/trace.h"
#include "trace/trace_file.h"

namespace fairlead::trace {

inline constexpr std::uint64_t kTraceFileMagic = 0x3145'4341'5254'4c46;  // "FLTRACE1"
inline constexpr std::uint32_t kTraceFileVersion = 1;
inline constexpr std::uint32_t kTraceRecordBytes = 64;
inline constexpr std::size_t kTraceBufferBytes = std::size_t{1} << 20;  // read or written at once

enum class RecordKind : std::uint16_t {
  kBlock = 1,
  kName = 2,
  kDevice = 3,
  kLoss = 4,
  kSource = 5,
  kClock = 6,
  kEnd = 7,
};

struct FileHeader {
  std::uint64_t magic;         //  0
  std::uint32_t version;       //  8
  std::uint32_t record_bytes;  // 12
  std::int64_t wall_ns;        // 16
  std::uint64_t stamp;         // 24
  std::uint64_t hz;            // 32
  std::uint8_t reserved[24];   // 40  zero
};

struct FileRecord {
  std::uint16_t kind;        //  0
  std::uint16_t source;      //  2
  std::uint16_t stream;      //  4
  std::uint16_t reserved;    //  6  zero
  std::uint64_t stamp;       //  8
  std::uint8_t payload[48];  // 16
};

struct SourcePayload {
  std::uint8_t kind;       //  0
  std::uint8_t own_clock;  //  1
  char name[46];           //  2  padded with zeros
};

struct ClockPayload {
  std::int64_t offset;        //  0
  std::uint64_t half_width;   //  8
  std::uint32_t epoch;        // 16
  std::uint32_t reserved[7];  // 20  zero
};

struct EndPayload {
  std::uint64_t events;       //  0
  std::uint64_t lost;         //  8
  std::uint64_t reserved[4];  // 16  zero
};

static_assert(sizeof(FileHeader) == 64 && sizeof(FileRecord) == kTraceRecordBytes);
static_assert(sizeof(SourcePayload) == 48 && sizeof(ClockPayload) == 48);
static_assert(sizeof(EndPayload) == 48);

}  // namespace fairlead::trace
