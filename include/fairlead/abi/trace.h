// SPDX-License-Identifier: Apache-2.0
//
// Block events: what a source of the trace toolkit writes into a relay channel, and what stands in
// a recording.  With the relay's record header an event fills one line of 64 bytes.
//
//   0                      16                                                   64
//   +----------------------+-----------------------------------------------------+
//   | RelayRecord: length, | BlockEvent                                          |
//   | TraceType, stamp     |                                                     |
//   +----------------------+-----------------------------------------------------+
//
// The action is blktrace's (linux/blktrace_api.h): what happened in the low 16 bits, the
// categories (read, write, sync …) in the high ones.  The device is major << 20 | minor.
//
// Trust: none; a reader copies an event, and believes no field of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

// RelayRecord::type of what a source writes.
enum class TraceType : std::uint16_t {
  kBlock = 1,   // BlockEvent
  kName = 2,    // TraceName: of a process
  kDevice = 3,  // TraceDevice: what a device is called
  kLoss = 4,    // TraceLoss: what the source itself did not get
};

// Low 16 bits of an action: blktrace's numbers.
enum class BlockAct : std::uint16_t {
  kQueue = 1,       // Q  a bio enters the block layer
  kBackMerge = 2,   // M  a bio joins the end of a waiting request
  kFrontMerge = 3,  // F  its beginning
  kGetRequest = 4,  // G
  kRequeue = 6,     // R
  kIssue = 7,       // D  a request goes to the device
  kComplete = 8,    // C
  kPlug = 9,        // P
  kUnplug = 10,     // U
  kInsert = 12,     // I  a request enters the scheduler
  kSplit = 13,      // X
  kRemap = 15,      // A
};

// High 16 bits: bit numbers.
enum class BlockCategory : std::uint8_t {
  kRead = 0,
  kWrite = 1,
  kFlush = 2,
  kSync = 3,
  kQueue = 4,
  kRequeue = 5,
  kIssue = 6,
  kComplete = 7,
  kAhead = 11,
  kMeta = 12,
  kDiscard = 13,
  kFua = 15,
};

// The block service's two devices: what its clients see, and what it does.  Major numbers that the
// kernel gives to nobody.
inline constexpr std::uint32_t kServiceFrontDevice = 0xff1U << 20;
inline constexpr std::uint32_t kServiceBackDevice = 0xff1U << 20 | 1;

struct BlockEvent {
  std::uint64_t sector;   //  0  of 512 bytes
  std::uint64_t request;  //  8  the same through all stages of one I/O; 0: not known.  Of a remap:
                          //     the device that it came from
  std::uint64_t aux;      // 16  of a remap: the sector that it came from; of a split: where
  std::uint32_t bytes;    // 24
  std::uint32_t action;   // 28
  std::uint32_t device;   // 32
  std::uint32_t pid;      // 36
  std::uint16_t cpu;      // 40
  std::uint16_t error;    // 42  errno, positive
  std::uint16_t queue;    // 44  of the block service: the client's number, low bits
  std::uint16_t vm;       // 46
};

struct TraceName {
  std::uint32_t pid;          //  0
  char name[16];              //  4  padded with zeros
  std::uint8_t reserved[28];  // 20  zero
};

struct TraceDevice {
  std::uint32_t device;  //  0
  char name[44];         //  4  padded with zeros
};

enum class TraceLossCause : std::uint32_t {
  kFull = 1,         // no room at the time
  kBig = 2,          // longer than there can be room for
  kState = 3,        // nobody was connected
  kNested = 4,       // by a signal handler inside a write
  kOverwritten = 5,  // given up for what is newer
  kCorrupt = 6,      // not to be read
  kKernel = 7,       // the kernel's own buffer had no room
};

struct TraceLoss {
  std::uint64_t records;      //  0
  std::uint64_t bytes;        //  8  0: not known
  std::uint64_t first_stamp;  // 16  of the first of them; 0: not known
  std::uint64_t last_stamp;   // 24
  TraceLossCause cause;       // 32
  std::uint32_t reserved[3];  // 36  zero
};

static_assert(sizeof(BlockEvent) == 48 && offsetof(BlockEvent, vm) == 46);
static_assert(std::has_unique_object_representations_v<BlockEvent>);
static_assert(sizeof(TraceName) == 48 && sizeof(TraceDevice) == 48 && sizeof(TraceLoss) == 48);
static_assert(std::has_unique_object_representations_v<TraceLoss>);

}  // namespace fairlead::abi
