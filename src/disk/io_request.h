// SPDX-License-Identifier: Apache-2.0
//
// One request as the scheduler, the cache and the trace see it, and who wants to be told about it.
// Sectors are 512 bytes, numbered from zero.
//
// Thread-safety: IoRequest is a value.  An observer is called on the service thread, in order.
#pragma once

#include <cstdint>

namespace fairlead::disk {

inline constexpr std::uint32_t kSectorBytes = 512;

enum class IoOp : std::uint8_t { kRead, kWrite, kFlush, kDiscard };

struct IoRequest {
  std::uint64_t sector = 0;        // first
  std::uint32_t sector_count = 0;  // zero for a flush
  std::uint32_t client = 0;        // who asked
  std::uint32_t tag = 0;           // the caller's own number
  IoOp op = IoOp::kRead;
  std::uint32_t owner = 0;  // the process that waits, for schedulers that tell them apart
};

constexpr std::uint64_t sectors_apart(std::uint64_t a, std::uint64_t b) noexcept {
  return a > b ? a - b : b - a;
}

// The four moments of a request.  `id` is unique while the request lives; times are the caller's
// clock.  The defaults do nothing.  An observer must not block and must not throw.
class IoObserver {
 public:
  virtual ~IoObserver() = default;
  virtual void arrived(std::uint64_t /*id*/, const IoRequest&, std::int64_t /*now_ns*/) {}
  virtual void queued(std::uint64_t /*id*/, std::int64_t /*now_ns*/) {}
  virtual void issued(std::uint64_t /*id*/, std::int64_t /*now_ns*/) {}
  virtual void completed(std::uint64_t /*id*/, std::int64_t /*now_ns*/) {}
};

}  // namespace fairlead::disk
