// SPDX-License-Identifier: Apache-2.0
//
// Attaching memory of arbitrary content: map_ring() refuses it, or what it gives lies inside.
// First byte even: the rest is the segment; odd: the rest patches an honest one.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "fairlead/abi/segment.h"
#include "shm/ring_segment.h"

namespace fairlead::shm {
namespace {

constexpr std::uint64_t kGeneration = 7;
constexpr std::uint32_t kRequestBytes = 32;
constexpr std::uint32_t kResponseBytes = 16;

// Touches every byte that the map promises, under AddressSanitizer and past the end a SIGSEGV.
void use(const Segment& segment, const RingMap& map) {
  const std::byte* end = segment.data() + segment.size();
  const std::uint64_t slots = map.sizes.slot_count;
  const auto check = [&](const void* at, std::uint64_t bytes) {
    const auto* begin = static_cast<const std::byte*>(at);
    FL_CHECK(begin >= segment.data() && begin <= end);
    FL_CHECK(bytes <= static_cast<std::uint64_t>(end - begin));
  };
  FL_CHECK(slots >= abi::kMinSlots && slots <= abi::kMaxSlots && (slots & (slots - 1)) == 0);
  FL_CHECK(map.sizes.data_bytes % 512 == 0 && map.sizes.data_bytes <= abi::kMaxDataBytes);
  FL_CHECK(reinterpret_cast<std::uintptr_t>(map.control) % alignof(abi::RingControl) == 0);
  check(map.control, sizeof *map.control);
  check(map.requests, slots * kRequestBytes);
  check(map.responses, slots * kResponseBytes);
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    check(map.data_of(slot), map.sizes.data_bytes);
    std::memset(map.data_of(slot), 1, map.sizes.data_bytes);
  }
}

void attach(const Segment& made) {
  auto attached = Segment::attach(base::Fd(::dup(made.fd())), made.size());
  FL_CHECK(attached);
  const auto map = map_ring(*attached, kGeneration, kRequestBytes, kResponseBytes);
  if (map) return use(*attached, *map);
  FL_CHECK(map.error().message().size() < 200);
}

}  // namespace
}  // namespace fairlead::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fairlead::shm;
  fairlead::base::FuzzInput input(data, size);
  if (input.byte() % 2 == 0) {
    if (input.empty()) return 0;
    auto segment = Segment::create("fuzz", input.size());
    FL_CHECK(segment);
    std::memcpy(segment->data(), data + 1, input.size());
    attach(*segment);
    return 0;
  }
  const RingSizes sizes{2u << input.byte() % 3, kRequestBytes, kResponseBytes,
                        512u << input.byte() % 2};
  auto segment = create_ring_segment("fuzz", sizes, kGeneration);
  FL_CHECK(segment);
  // Where the checks look, or anywhere.
  const std::size_t most = input.byte() % 4 == 0 ? segment->size() : 512;
  input.patch({segment->data(), std::min<std::size_t>(most, segment->size())});
  attach(*segment);
  return 0;
}
