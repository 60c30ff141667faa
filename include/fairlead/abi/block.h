// SPDX-License-Identifier: Apache-2.0
//
// Block requests and responses: what travels in the ring's entries.  The sector is 512 bytes,
// always, numbered from zero.  Data of a request lies in the data area of its slot: from its first
// byte, sector_count · 512 bytes; the back end writes it there for reads, reads it there for
// writes.
//
// Request:  written by the front end, copied once by the back end, then checked.
// Response: written by the back end, copied once by the front end; `id` must be one in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

inline constexpr std::uint32_t kSectorBytes = 512;

// Zero is no operation, so that an entry never written is not one.
enum class BlockOp : std::uint8_t {
  kNone = 0,
  kIdentify = 1,  // answers a BlockGeometry in the data area
  kRead = 2,
  kWrite = 3,
  kFlush = 4,
  kDiscard = 5,
};

enum class BlockStatus : std::uint16_t {
  kOk = 0,
  kIoError = 1,      // the device failed this request
  kOutOfRange = 2,   // sectors past the end
  kUnsupported = 3,  // an operation this service does not offer
  kReadOnly = 4,     // a change asked of a read-only image
  kInvalid = 5,      // a count of zero or more than the data area holds
};

struct BlockRequest {
  std::uint64_t id;            //  0  echoed; any value, one in flight at a time
  std::uint64_t sector;        //  8  first
  std::uint32_t sector_count;  // 16  zero for identify and flush
  std::uint32_t slot;          // 20  whose data area is meant; free until answered
  BlockOp op;                  // 24
  std::uint8_t flags;          // 25  none defined: zero
  std::uint16_t core;          // 26  a hint: 1 + the processor the caller runs on; 0: unknown
  std::uint32_t thread;        // 28  a hint: which of the caller's threads waits; 0: unknown
};

struct BlockResponse {
  std::uint64_t id;        //  0
  std::uint32_t bytes;     //  8  in the data area
  BlockStatus status;      // 12
  std::uint16_t reserved;  // 14  zero
};

struct BlockGeometry {
  std::uint64_t first_sector;       //  0
  std::uint64_t last_sector;        //  8  inclusive
  std::uint32_t sector_bytes;       // 16  512
  std::uint32_t max_sectors;        // 20  per request
  std::uint32_t optimal_alignment;  // 24  bytes, of the device below
  std::uint32_t operations;         // 28  bit (1 << BlockOp) for each that is offered
  std::uint8_t reserved[32];        // 32  zero
};

static_assert(sizeof(BlockRequest) == 32 && offsetof(BlockRequest, op) == 24);
static_assert(offsetof(BlockRequest, sector_count) == 16 && offsetof(BlockRequest, slot) == 20);
static_assert(offsetof(BlockRequest, core) == 26 && offsetof(BlockRequest, thread) == 28);
static_assert(std::has_unique_object_representations_v<BlockRequest>);
static_assert(sizeof(BlockResponse) == 16 && offsetof(BlockResponse, status) == 12);
static_assert(std::has_unique_object_representations_v<BlockResponse>);
static_assert(sizeof(BlockGeometry) == 64 && offsetof(BlockGeometry, operations) == 28);
static_assert(std::has_unique_object_representations_v<BlockGeometry>);

}  // namespace fairlead::abi
