// SPDX-License-Identifier: Apache-2.0
//
// Engine: how the service thread reads the image and sleeps.  One place to sleep for both disk
// completions and doorbells.  Two of them: io_uring, and a pool of pread threads for systems that
// refuse io_uring.
//
// Thread-safety: everything belongs to the thread that called start().
// Ownership: owns the read buffers, one per slot, aligned to 4096 bytes; borrows the image's and
// the watched descriptors.  Nothing allocates after start().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"

namespace fairlead::block {

inline constexpr std::int64_t kNoTimeout = -1;

struct EngineEvent {
  enum class Kind : std::uint8_t { kRead, kReadable } kind;
  std::uint64_t token;
  std::int32_t result;  // of a read: bytes or a negative errno; else 0: the watch ended, renew it
};

struct EngineCounts {
  std::uint64_t reads = 0;
  std::uint64_t enters = 0;  // system calls made to submit, reap or wait
  std::uint64_t sleeps = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const noexcept = 0;

  // On the thread that will use it.  `image_fd` -1: no reads will be asked.
  virtual base::Status start(int image_fd) = 0;

  // Queues a read of `bytes` at `offset` into the buffer of `slot`; submit() sends what is queued.
  virtual void read(std::uint32_t slot, std::uint64_t offset, std::uint32_t bytes) = 0;
  virtual void submit() = 0;

  // Reports `token` each time `fd` is signalled, until unwatch().  Edge-triggered: the descriptor
  // is never read, so that its other holder can neither block nor deceive this thread.
  virtual base::Status watch(int fd, std::uint64_t token) = 0;
  virtual void unwatch(int fd, std::uint64_t token) = 0;

  // What has happened, without waiting.  A token may be reported once more after unwatch().
  virtual std::size_t reap(std::span<EngineEvent> events) = 0;

  // Sleeps until something has happened or the time is over; kNoTimeout: no limit.
  virtual void wait(std::int64_t timeout_ns) = 0;

  virtual std::byte* buffer(std::uint32_t slot) noexcept = 0;
  virtual const EngineCounts& counts() const noexcept = 0;
};

struct EngineConfig {
  std::uint32_t slots = 256;          // reads in flight
  std::uint32_t buffer_bytes = 8192;  // of each slot, a multiple of 4096
  std::uint32_t watches = 1100;       // descriptors watched at once
};

enum class EngineKind : std::uint8_t { kAuto, kUring, kPool };

base::Result<std::unique_ptr<Engine>> make_uring_engine(const EngineConfig& config);
base::Result<std::unique_ptr<Engine>> make_pool_engine(const EngineConfig& config);

// kAuto: io_uring where this system permits it, else the pool.
base::Result<std::unique_ptr<Engine>> make_engine(EngineKind kind, const EngineConfig& config);

}  // namespace fairlead::block
