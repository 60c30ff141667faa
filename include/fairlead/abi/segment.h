// SPDX-License-Identifier: Apache-2.0
//
// A segment: one piece of memory that two halves share, and how it describes itself.
//
//     0        64                     64 + 24·section_count
//     +--------+---------+---------+--+-------------------------------+
//     | header | section | section |… | sections, each 64-byte aligned |
//     +--------+---------+---------+--+-------------------------------+
//
// Who writes: the creator, once, before anybody else has the memory; `magic` last, with release.
// Who reads:  a peer attaches only after it has read `magic` (acquire); it copies header and
//             section table to private memory, checks every field of the copy, and never reads
//             them here again.
// Trust:      none either way.  A later change of these bytes has no effect on an attached peer.
// Versions:   another major is refused; a newer minor is accepted and what it adds is ignored;
//             a feature bit that a peer does not know is refused.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

inline constexpr std::uint64_t kSegmentMagic = 0x3147'4553'4441'4c46;  // "FLADSEG1", little endian
inline constexpr std::uint16_t kSegmentMajor = 1;
inline constexpr std::uint16_t kSegmentMinor = 0;
inline constexpr std::uint32_t kMaxSections = 8;
inline constexpr std::uint64_t kSectionAlignment = 128;

enum class SectionKind : std::uint32_t {
  kFree = 0,
  kRing = 1,           // RingShape, RingFrontLine, RingBackLine
  kRequests = 2,       // array of requests
  kResponses = 3,      // array of responses
  kData = 4,           // array of per-slot data areas
  kRelayShape = 5,     // RelayShape
  kRelayProducer = 6,  // RelayProducerPage
  kRelayConsumer = 7,  // RelayConsumerPage
  kRelayStreams = 8,   // the streams' sub-buffers, one stream after the other
  kMarks = 9,          // array of RingMark, one for each slot
};

struct Section {
  SectionKind kind;        //  0
  std::uint32_t reserved;  //  4  zero
  std::uint64_t offset;    //  8  from the segment's start, a multiple of kSectionAlignment
  std::uint64_t bytes;     // 16
};

struct alignas(64) SegmentHeader {
  std::atomic<std::uint64_t> magic;  //  0
  std::uint16_t version_major;       //  8
  std::uint16_t version_minor;       // 10
  std::uint32_t header_bytes;        // 12  header and section table
  std::uint64_t segment_bytes;       // 16  all of it
  std::uint64_t generation;          // 24  of the creator: differs after each restart
  std::uint32_t features;            // 32  none defined: zero
  std::uint32_t section_count;       // 36  ≤ kMaxSections
  std::uint8_t reserved[24];         // 40  zero
};

static_assert(sizeof(Section) == 24 && alignof(Section) == 8);
static_assert(offsetof(Section, offset) == 8 && offsetof(Section, bytes) == 16);
static_assert(std::has_unique_object_representations_v<Section>);
static_assert(sizeof(SegmentHeader) == 64 && alignof(SegmentHeader) == 64);
static_assert(offsetof(SegmentHeader, version_major) == 8);
static_assert(offsetof(SegmentHeader, header_bytes) == 12);
static_assert(offsetof(SegmentHeader, segment_bytes) == 16);
static_assert(offsetof(SegmentHeader, generation) == 24);
static_assert(offsetof(SegmentHeader, features) == 32);
static_assert(offsetof(SegmentHeader, section_count) == 36);
static_assert(offsetof(SegmentHeader, reserved) == 40);
static_assert(std::is_standard_layout_v<SegmentHeader>);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace fairlead::abi
