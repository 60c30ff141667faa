// SPDX-License-Identifier: Apache-2.0
//
// A relay channel: streams of records from a producer to a consumer, without lock or notification.
//
//   page 0                 page 1                page 2                page 3 …
//   +--------------------+---------------------+---------------------+--------------------------+
//   | SegmentHeader,     | RelayStreamIn × 24  | RelayStreamOut × 24 | per stream: sub-buffers, |
//   | sections,          | RelayProducerSide,  | RelayConsumerSide,  | each a RelaySubBuffer    |
//   | RelayShape         | RelaySyncIn         | RelaySyncOut        | and records or items     |
//   +--------------------+---------------------+---------------------+--------------------------+
//     the creator, once     the producer          the consumer          the producer
//
// A position counts bytes of a stream since its beginning, sub-buffer headers and padding included,
// and never wraps.  Sub-buffer number = position / sub_buffer_bytes; its place = number modulo
// sub_buffers.  Bytes [consumed, commit) may be read; the rest of a sub-buffer past `content` is
// padding.
//
// Orders: a word has one writer, is stored with release and loaded with acquire; no read-modify-
// write crosses the sides (under QEMU's TCG with one processor a LOCK prefix is not atomic).
// `lost_nested` alone is added to, by one thread and the signal handlers that interrupt it.
// Trust: none either way; see docs/design/relay.md.  What is read here is copied once and checked.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

inline constexpr std::uint32_t kMaxRelayStreams = 24;
inline constexpr std::uint64_t kRelayPageBytes = 4096;
inline constexpr std::uint32_t kMinSubBufferBytes = 4096;
inline constexpr std::uint32_t kMaxSubBufferBytes = 16 * 1024 * 1024;
inline constexpr std::uint32_t kMinSubBuffers = 4;
inline constexpr std::uint32_t kMaxSubBuffers = 4096;
inline constexpr std::uint32_t kMaxItemBytes = 65'536;
inline constexpr std::uint32_t kRelaySubBufferMagic = 0x4655'4252;  // "RBUF", little endian

enum class RelayMode : std::uint32_t {
  kDiscard = 1,    // full: writing is suspended, what is new is lost
  kOverwrite = 2,  // full: the oldest sub-buffer is given up
};

enum class RelayClock : std::uint32_t {
  kTsc = 1,           // this machine's time stamp counter; clock_hz its rate
  kMonotonicRaw = 2,  // CLOCK_MONOTONIC_RAW, nanoseconds
};

// Constant after creation.
struct alignas(64) RelayShape {
  std::uint32_t streams;           //  0  1 … kMaxRelayStreams
  std::uint32_t sub_buffer_bytes;  //  4  power of two
  std::uint32_t sub_buffers;       //  8  of each stream, power of two
  std::uint32_t item_bytes;        // 12  0: records with headers
  RelayMode mode;                  // 16
  RelayClock clock;                // 20
  std::uint64_t clock_hz;          // 24  stamps a second
  std::uint8_t uuid[16];           // 32
  std::uint8_t reserved[16];       // 48  zero
};

// What is not written, by cause, since the beginning; of a header: before this sub-buffer.
struct RelayLosses {
  std::uint64_t full;       //  0  records: no free sub-buffer
  std::uint64_t big;        //  8  longer than a sub-buffer holds, or than an item
  std::uint64_t state;      // 16  nobody connected, or closed
  std::uint64_t nested;     // 24  by a signal handler inside a write
  std::uint64_t bytes;      // 32  payload of all but the nested
  std::uint64_t gap_first;  // 40  stamp of the newest gap's first loss
  std::uint64_t gap_last;   // 48  and its last
};

// Of one stream, written by the thread that owns it.
struct alignas(128) RelayStreamIn {
  std::atomic<std::uint64_t> commit;          //  0
  std::atomic<std::uint64_t> attempts;        //  8  nested ones excepted
  std::atomic<std::uint64_t> lost_full;       // 16
  std::atomic<std::uint64_t> lost_big;        // 24
  std::atomic<std::uint64_t> lost_state;      // 32
  std::atomic<std::uint64_t> lost_nested;     // 40
  std::atomic<std::uint64_t> lost_bytes;      // 48
  std::atomic<std::uint64_t> gap_first;       // 56
  std::atomic<std::uint64_t> gap_last;        // 64
  std::atomic<std::uint64_t> overwritten_to;  // 72
  std::uint8_t reserved[48];                  // 80  zero
};

// What a consumer has taken and told.  Two of them, switched by `turn`.  Counts are of records.
struct RelayTaken {
  std::atomic<std::uint64_t> position;     //  0
  std::atomic<std::uint64_t> delivered;    //  8
  std::atomic<std::uint64_t> overwritten;  // 16
  std::atomic<std::uint64_t> corrupt;      // 24  written, but not to be read
  std::atomic<std::uint64_t> lost_full;    // 32  what of the producer's losses has been told
  std::atomic<std::uint64_t> lost_big;     // 40
  std::atomic<std::uint64_t> lost_state;   // 48
  std::atomic<std::uint64_t> lost_nested;  // 56
  std::atomic<std::uint64_t> lost_bytes;   // 64
};

struct alignas(32) RelayStreamOut {
  std::atomic<std::uint64_t> consumed;  //   0  for the producer
  std::atomic<std::uint64_t> turn;      //   8  its lowest bit: which one is valid
  RelayTaken taken[2];                  //  16, 88
};

enum class RelayProducerState : std::uint32_t { kOpen = 1, kClosing = 2, kClosed = 3 };
enum class RelayConsumerState : std::uint32_t { kNone = 0, kConnected = 1, kDisconnected = 2 };

struct alignas(128) RelayProducerSide {
  std::atomic<std::uint32_t> state;      //  0  RelayProducerState
  std::uint32_t pid;                     //  4  for people; identity is the lock
  std::atomic<std::uint64_t> heartbeat;  //  8  stamp; a guest's only sign of life
  std::atomic<std::uint64_t> no_stream;  // 16  writes of threads that found no stream free
  std::uint8_t reserved[104];            // 24  zero
};

struct alignas(128) RelayConsumerSide {
  std::atomic<std::uint32_t> state;  //  0  RelayConsumerState
  std::atomic<std::uint32_t> pid;    //  4  for people
  std::atomic<std::uint64_t> epoch;  //  8  how many consumers there have been
  std::uint8_t reserved[112];        // 16  zero
};

// Clock alignment.  The consumer writes `round` and takes h1 just before; the producer answers with
// its stamp g, then `round`; the consumer takes h2 when it sees that: producer clock − consumer
// clock lies in [g − h2, g − h1].
struct alignas(128) RelaySyncIn {
  std::atomic<std::uint64_t> stamp;  //  0  g
  std::atomic<std::uint64_t> round;  //  8  which one `stamp` answers
  std::uint8_t reserved[112];        // 16  zero
};

struct alignas(128) RelaySyncOut {
  std::atomic<std::uint64_t> round;  //  0
  std::uint8_t reserved[120];        //  8  zero
};

struct RelayProducerPage {
  RelayStreamIn streams[kMaxRelayStreams];  //    0
  std::uint8_t reserved[768];               // 3072  zero
  RelayProducerSide side;                   // 3840
  RelaySyncIn sync;                         // 3968
};

struct RelayConsumerPage {
  RelayStreamOut streams[kMaxRelayStreams];  //    0
  RelayConsumerSide side;                    // 3840
  RelaySyncOut sync;                         // 3968
};

// At the beginning of each sub-buffer.  `content` and `records` are zero until the next sub-buffer
// is begun; they are valid once `commit` has passed this one.
struct RelaySubBuffer {
  std::uint32_t magic;        //   0
  std::uint32_t stream;       //   4
  std::uint64_t number;       //   8  of this sub-buffer
  std::uint32_t content;      //  16  bytes used, this header included
  std::uint32_t records;      //  20
  std::uint64_t begin_stamp;  //  24
  std::uint64_t attempts;     //  32  before its first record
  RelayLosses losses;         //  40  before its first record
  std::uint8_t reserved[32];  //  96  zero
};

// Before each record, unless the channel has items of one size.
struct RelayRecord {
  std::uint32_t bytes;     //  0  header and payload, without what rounds up to 8
  std::uint16_t type;      //  4  the application's
  std::uint16_t sequence;  //  6  low bits of attempts, this one included
  std::uint64_t stamp;     //  8
};

static_assert(sizeof(RelayShape) == 64 && offsetof(RelayShape, uuid) == 32);
static_assert(std::has_unique_object_representations_v<RelayShape>);
static_assert(sizeof(RelayLosses) == 56);
static_assert(sizeof(RelayStreamIn) == 128 && offsetof(RelayStreamIn, overwritten_to) == 72);
static_assert(sizeof(RelayTaken) == 72);
static_assert(sizeof(RelayStreamOut) == 160 && offsetof(RelayStreamOut, taken) == 16);
static_assert(sizeof(RelayProducerSide) == 128 && sizeof(RelayConsumerSide) == 128);
static_assert(sizeof(RelaySyncIn) == 128 && sizeof(RelaySyncOut) == 128);
static_assert(sizeof(RelayProducerPage) == kRelayPageBytes);
static_assert(sizeof(RelayConsumerPage) == kRelayPageBytes);
static_assert(sizeof(RelaySubBuffer) == 128 && offsetof(RelaySubBuffer, losses) == 40);
static_assert(std::has_unique_object_representations_v<RelaySubBuffer>);
static_assert(sizeof(RelayRecord) == 16);
static_assert(std::has_unique_object_representations_v<RelayRecord>);
static_assert(std::is_standard_layout_v<RelayProducerPage>);
static_assert(std::is_standard_layout_v<RelayConsumerPage>);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace fairlead::abi
