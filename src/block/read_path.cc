// SPDX-License-Identifier: Apache-2.0
#include "block/read_path.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "fairlead/abi/block.h"

namespace fairlead::block {

using abi::kSectorBytes;

namespace {
constexpr std::uint32_t kPage = 4096;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}
}  // namespace

ReadPath::ReadPath(Image image, const ReadPathLimits& limits)
    : limits_(limits),
      image_(std::move(image)),
      cache_(limits.cache_bytes),
      misses_(limits.flights, limits.waiters),
      flights_(limits.flights) {}

base::Status ReadPath::start(EngineKind kind) {
  EngineConfig config;
  config.slots = limits_.flights;
  config.watches = limits_.watches;
  // An unaligned read touches at most one more unit at either end.
  const std::uint32_t spare = image_.alignment() > kSectorBytes ? 2 * image_.alignment() : 0;
  config.buffer_bytes = static_cast<std::uint32_t>(round_up(limits_.data_bytes + spare, kPage));
  FL_TRY(engine_, make_engine(kind, config));
  return engine_->start(image_.fd());
}

bool ReadPath::from_cache(std::uint64_t sector, std::uint32_t count, std::byte* out) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::byte* bytes = cache_.lookup(sector + i);
    if (bytes == nullptr) return false;
    std::memcpy(out + std::size_t{i} * kSectorBytes, bytes, kSectorBytes);
  }
  return true;
}

void ReadPath::read(std::uint64_t sector, std::uint32_t count, std::uint32_t waiter) {
  const auto found = misses_.find_or_start(sector, count);
  FL_CHECK(found.has_value());
  misses_.join(found->slot, waiter);
  if (!found->started) {
    ++joined_;
    return;
  }
  Flight& flight = flights_[found->slot];
  const std::uint64_t unit = image_.alignment();
  const std::uint64_t begin = sector * kSectorBytes;
  const std::uint64_t end = begin + std::uint64_t{count} * kSectorBytes;
  flight.sector = sector;
  flight.count = count;
  flight.epoch = epoch_;
  flight.offset = begin / unit * unit;
  flight.skip = static_cast<std::uint32_t>(begin - flight.offset);
  flight.bytes = static_cast<std::uint32_t>(round_up(end, unit) - flight.offset);
  engine_->read(found->slot, flight.offset, flight.bytes);
}

bool ReadPath::repeat(std::uint32_t slot, std::int32_t result) {
  if (result != -EINTR && result != -EAGAIN) return false;
  engine_->read(slot, flights_[slot].offset, flights_[slot].bytes);
  return true;
}

const std::byte* ReadPath::arrived(std::uint32_t slot, std::int32_t result) noexcept {
  const Flight& flight = flights_[slot];
  const std::uint32_t wanted = flight.skip + flight.count * kSectorBytes;
  if (result < 0 || static_cast<std::uint32_t>(result) < wanted) return nullptr;
  const std::byte* bytes = engine_->buffer(slot) + flight.skip;
  if (flight.epoch == epoch_) {
    for (std::uint32_t i = 0; i < flight.count; ++i) {
      cache_.insert(flight.sector + i, bytes + std::size_t{i} * kSectorBytes);
    }
  }
  return bytes;
}

void ReadPath::forget() noexcept {
  hits_before_ += cache_.hits();
  lookups_before_ += cache_.lookups();
  cache_.clear();
  // Nor may a later read join one that is under way and may carry what was there before.
  for (const Flight& flight : flights_) {
    if (flight.count > 0) misses_.detach(flight.sector, flight.count);
  }
  ++epoch_;
}

}  // namespace fairlead::block
