// SPDX-License-Identifier: Apache-2.0
//
// The request/response ring between a front end (client) and a back end (service).
//
//   front line (front end writes)            back line (back end writes)
//     request_produced ──── requests ────►     request_event    "wake me past this request"
//     response_event                           response_produced
//     "wake me past this response"  ◄──── responses ────
//
// Indices run free modulo 2^32; an entry stands at index & (slot_count - 1).
//
//   field              written by      order            read by
//   request_produced   front           seq_cst store    back, acquire (and seq_cst before it
//   sleeps) request_event      back, asleep    seq_cst store    front, seq_cst after it published
//   response_produced  back            seq_cst store    front, acquire (and seq_cst before it
//   sleeps) response_event     front, asleep   seq_cst store    back, seq_cst after it published
//   entries            the producer, before its index; the consumer copies each one once
//   trace              back            relaxed store    front, relaxed: a hint
//   marks              front, of a call that has ended, before it posts the next one of that slot;
//                      the back copies each one once, when it takes that next one
//
// Hold-off (Xen, public/io/ring.h): who publishes new ∈ (old, new] notifies only if the event index
// lies in that range; who wants to sleep sets event = consumed + 1, looks once more, then sleeps.
// Sequential consistency on both pairs makes one of the two see the other.
// Notification: front → back by an eventfd; back → front by FUTEX_WAKE on response_produced, which
// is the word the front end sleeps on, so the kernel's own compare closes the last window.
//
// Trust: an index more than slot_count ahead, an entry with a wild field, or a slot that is already
// in flight is the peer's fault and ends that peer.  Own indices live in private memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairlead::abi {

inline constexpr std::uint32_t kMinSlots = 2;
inline constexpr std::uint32_t kMaxSlots = 4096;
inline constexpr std::uint32_t kMinDataBytes = 512;
inline constexpr std::uint32_t kMaxDataBytes = 64 * 1024;

// Constant after creation.
struct alignas(64) RingShape {
  std::uint32_t slot_count;      //  0  power of two, kMinSlots … kMaxSlots
  std::uint32_t request_bytes;   //  4  stride of a request
  std::uint32_t response_bytes;  //  8  stride of a response
  std::uint32_t data_bytes;      // 12  of each slot's data area, a multiple of 512
  std::uint8_t reserved[48];     // 16  zero
};

// Two lines apart from each other: neighbouring lines are fetched in pairs by some processors.
struct alignas(128) RingFrontLine {
  std::atomic<std::uint32_t> request_produced;  //  0
  std::atomic<std::uint32_t> response_event;    //  4
  std::uint8_t reserved[120];                   //  8  zero
};

struct alignas(128) RingBackLine {
  std::atomic<std::uint32_t> response_produced;  //  0
  std::atomic<std::uint32_t> request_event;      //  4
  std::atomic<std::uint32_t> may_poll;  //  8  a hint: 1 while a core is left for a polling front
  std::atomic<std::uint32_t> trace;     // 12  a hint: 1 while marks are wanted
  std::uint8_t reserved[112];           // 16  zero
};

// One for each slot: what the front saw of the last call there, in stamps of abi/relay.h's clock.
struct alignas(64) RingMark {
  std::uint64_t id;           //  0  of the call; 0: none yet
  std::uint64_t called;       //  8  it began
  std::uint64_t posted;       // 16  its request went into the ring
  std::uint64_t seen;         // 24  the caller had the answer
  std::uint8_t reserved[32];  // 32  zero
};

struct RingControl {
  RingShape shape;       //   0
  std::uint8_t pad[64];  //  64  zero
  RingFrontLine front;   // 128
  RingBackLine back;     // 256
};

static_assert(sizeof(RingShape) == 64 && offsetof(RingShape, data_bytes) == 12);
static_assert(std::has_unique_object_representations_v<RingShape>);
static_assert(sizeof(RingFrontLine) == 128 && offsetof(RingFrontLine, response_event) == 4);
static_assert(sizeof(RingBackLine) == 128 && offsetof(RingBackLine, request_event) == 4);
static_assert(offsetof(RingBackLine, may_poll) == 8 && offsetof(RingBackLine, trace) == 12);
static_assert(sizeof(RingMark) == 64 && offsetof(RingMark, seen) == 24);
static_assert(std::has_unique_object_representations_v<RingMark>);
static_assert(sizeof(RingControl) == 384 && offsetof(RingControl, front) == 128);
static_assert(offsetof(RingControl, back) == 256);
static_assert(std::is_standard_layout_v<RingControl>);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace fairlead::abi
