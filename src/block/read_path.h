// SPDX-License-Identifier: Apache-2.0
//
// ReadPath: from a sector number to its bytes: cache, identical reads in flight, device.
//
// A read is asked for a waiter, any number below max_waiters, and is answered to it exactly once.
// Data always passes through a private buffer, so that no client can change what the cache keeps.
//
// Thread-safety: none; belongs to the service thread.  Allocates only in start().
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "block/engine.h"
#include "block/image.h"
#include "disk/miss_table.h"
#include "disk/sector_cache.h"

namespace fairlead::block {

struct ReadPathLimits {
  std::uint32_t flights = 512;      // reads at the device
  std::uint32_t data_bytes = 4096;  // the largest read
  std::uint32_t waiters = 1 << 20;
  std::uint32_t watches = 1100;
  std::uint64_t cache_bytes = 0;
};

class ReadPath {
 public:
  ReadPath(Image image, const ReadPathLimits& limits);

  // On the thread that will use it.
  base::Status start(EngineKind kind);

  // Copies what the cache holds of these sectors to `out`; all of them or nothing.
  bool from_cache(std::uint64_t sector, std::uint32_t count, std::byte* out) noexcept;

  // There is room for one more read at the device.
  bool has_room() const noexcept { return misses_.in_flight() < limits_.flights; }

  // Asks; only with room.  submit() sends what was asked.
  void read(std::uint64_t sector, std::uint32_t count, std::uint32_t waiter);
  void submit() { engine_->submit(); }

  // One event of the engine about a read.  Calls visitor(waiter, bytes, error): `bytes` null and
  // an errno where the read failed.
  template <typename Visitor>
  void finish(const EngineEvent& event, Visitor&& visitor) {
    const auto slot = static_cast<std::uint32_t>(event.token);
    if (repeat(slot, event.result)) return;
    const std::byte* bytes = arrived(slot, event.result);
    const int error = bytes != nullptr ? 0 : event.result < 0 ? -event.result : EIO;
    misses_.finish(slot, [&](std::uint32_t waiter) { visitor(waiter, bytes, error); });
  }

  // The image was written by somebody: nothing read before may be given again.
  void forget() noexcept;

  Image& image() noexcept { return image_; }
  const Image& image() const noexcept { return image_; }
  Engine& engine() noexcept { return *engine_; }
  const Engine& engine() const noexcept { return *engine_; }
  // Since start; hits and lookups in sectors.
  std::uint64_t hits() const noexcept { return hits_before_ + cache_.hits(); }
  std::uint64_t lookups() const noexcept { return lookups_before_ + cache_.lookups(); }
  std::uint64_t cache_bytes() const noexcept { return cache_.bytes_used(); }
  std::uint64_t joined() const noexcept { return joined_; }

 private:
  struct Flight {
    std::uint64_t sector = 0;
    std::uint32_t count = 0;
    std::uint32_t skip = 0;    // bytes before the first sector, for alignment
    std::uint64_t epoch = 0;   // of the image's content
    std::uint64_t offset = 0;  // as sent to the engine
    std::uint32_t bytes = 0;
  };

  bool repeat(std::uint32_t slot, std::int32_t result);
  const std::byte* arrived(std::uint32_t slot, std::int32_t result) noexcept;

  const ReadPathLimits limits_;
  Image image_;
  std::unique_ptr<Engine> engine_;
  disk::SectorCache cache_;
  disk::MissTable misses_;
  std::vector<Flight> flights_;
  std::uint64_t epoch_ = 0;
  std::uint64_t joined_ = 0;
  std::uint64_t hits_before_ = 0;  // the cache was last cleared
  std::uint64_t lookups_before_ = 0;
};

}  // namespace fairlead::block
