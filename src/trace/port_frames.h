// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a guest's trace port, as bytes: PortQueue in the guest, PortReader on the host;
// PortQuestions for the way back.  Frames: abi/trace_port.h, docs/design/trace.md.
//
// The guest's agent has this, too: nothing here throws, or allocates after its constructor.
//
// Thread-safety: none.  Units: bytes, frames of 64; stamps are the guest's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fairlead/abi/trace_port.h"

namespace fairlead::trace {

struct PortFrame {
  abi::RelayRecord record;   //  0
  std::uint8_t payload[48];  // 16
};

inline constexpr std::size_t kPortFrameBytes = sizeof(PortFrame);
inline constexpr std::size_t kPayloadBytes = sizeof PortFrame::payload;
inline constexpr std::uint32_t kLeastPortFrames = 128;
static_assert(kPortFrameBytes == 64);

// What the guest has to say and the port has not taken yet.  Full, it loses what comes, until an
// eighth of it is free, and says in that place what is missing.
class PortQueue {
 public:
  // It begins with the hello of that session.  `frames`: at least kLeastPortFrames.
  PortQueue(std::uint64_t session, std::uint32_t frames);

  // A record of a TraceType, kPayloadBytes of it.  False: it is lost.  A loss is never: where there
  // is no room it is told later, together with others of its cause.
  bool write(abi::TraceType type, std::uint64_t stamp, const void* payload) noexcept;

  // Goes before what waits.  False: the last answer is on its way still, this one is dropped.
  bool answer(std::uint64_t round, std::uint64_t stamp) noexcept;

  // Nothing is written after this.
  void end(std::uint64_t stamp) noexcept;

  // What the port is to get next, as long as that lies in one piece; empty: nothing.  Then call
  // sent() with how much of it the port took, before any other call.
  std::span<const std::byte> front() noexcept;
  void sent(std::size_t bytes) noexcept;

  std::size_t bytes() const noexcept { return ring_.size() * kPortFrameBytes; }
  std::uint64_t lost() const noexcept { return full_; }  // records, for want of room
  std::uint64_t unsent() const noexcept;                 // records that are still here

 private:
  static constexpr std::size_t kCauses = 8;
  static constexpr std::uint32_t kReserve = kCauses + 1;  // each cause once, and the end

  std::uint32_t waiting() const noexcept {
    return static_cast<std::uint32_t>(put_ - sent_ / kPortFrameBytes);
  }
  std::uint32_t free() const noexcept {
    return static_cast<std::uint32_t>(ring_.size()) - waiting();
  }
  bool answering() const noexcept { return answer_waits_ && sent_ % kPortFrameBytes == 0; }
  void put(std::uint16_t type, std::uint64_t stamp, const void* payload) noexcept;
  void put_loss(const abi::TraceLoss& loss) noexcept;
  void miss(const abi::TraceLoss& loss) noexcept;
  void end_gap() noexcept;
  void tell_losses() noexcept;

  std::vector<PortFrame> ring_;
  std::uint64_t put_ = 0;   // frames
  std::uint64_t sent_ = 0;  // bytes of them
  std::uint64_t records_ = 0;
  std::uint64_t told_ = 0;  // as lost, in records
  std::uint64_t full_ = 0;
  bool gap_ = false;
  bool ended_ = false;
  std::array<abi::TraceLoss, kCauses> missing_{};  // since the gap began, by cause
  PortFrame answer_{};
  std::size_t answer_sent_ = 0;
  bool answer_waits_ = false;
};

// What came out of the port, cut into frames.  Nothing is believed: a frame is handed out only if
// its length and its turn are right.
class PortReader {
 public:
  enum class Look : std::uint8_t {
    kMore,    // push() more
    kFrame,   // a record, of a type that may be unknown
    kAnswer,  // PortAnswer
    kEnd,     // as it should be; what follows is of nobody's concern
    kBroken,  // not to be read any further
  };

  // Before the hello of that session everything is passed over, kMostSkipped bytes at most.
  static constexpr std::uint64_t kMostSkipped = 16 << 20;
  explicit PortReader(std::uint64_t session) noexcept : session_(session) {}

  // Takes as much of `bytes` as there is room for; returns how much: all, if next() said kMore.
  std::size_t push(std::span<const std::byte> bytes) noexcept;
  Look next(PortFrame& frame) noexcept;

  bool begun() const noexcept { return begun_; }

 private:
  void skip_to_hello() noexcept;
  bool is_hello(const PortFrame& frame) const noexcept;
  Look look_at(const PortFrame& frame) noexcept;

  std::uint64_t session_;
  std::array<std::byte, 64 * kPortFrameBytes> bytes_{};
  std::size_t used_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t lost_ = 0;
  std::uint16_t sequence_ = 0;  // of the next frame
  bool begun_ = false;
  std::optional<Look> over_;
};

// The host's questions, as they arrive: a recorder that died may have left a part of one.
class PortQuestions {
 public:
  // As PortReader's.
  std::size_t push(std::span<const std::byte> bytes) noexcept;
  std::optional<std::uint64_t> next() noexcept;  // its round

 private:
  std::array<std::byte, sizeof(abi::PortQuestion)> bytes_{};
  std::size_t used_ = 0;
};

}  // namespace fairlead::trace
