// SPDX-License-Identifier: Apache-2.0
#include "shm/ring_segment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <string>

#include "fairlead/abi/segment.h"

namespace fairlead::shm {

using base::ErrorKind;

namespace {

constexpr int kSections = 5;

struct Plan {
  abi::Section sections[kSections];
  std::uint64_t bytes;
};

constexpr std::uint64_t align_up(std::uint64_t value) noexcept {
  return (value + abi::kSectionAlignment - 1) & ~(abi::kSectionAlignment - 1);
}

Plan plan_of(const RingSizes& sizes) noexcept {
  const std::uint64_t slots = sizes.slot_count;
  Plan plan{{{abi::SectionKind::kRing, 0, 0, sizeof(abi::RingControl)},
             {abi::SectionKind::kRequests, 0, 0, slots * sizes.request_bytes},
             {abi::SectionKind::kResponses, 0, 0, slots * sizes.response_bytes},
             {abi::SectionKind::kData, 0, 0, slots * sizes.data_bytes},
             {abi::SectionKind::kMarks, 0, 0, slots * sizeof(abi::RingMark)}},
            sizeof(abi::SegmentHeader) + kSections * sizeof(abi::Section)};
  for (auto& section : plan.sections) {
    section.offset = align_up(plan.bytes);
    plan.bytes = section.offset + section.bytes;
  }
  plan.bytes = align_up(plan.bytes);
  return plan;
}

base::Status refuse(const std::string& why) {
  return base::fail(ErrorKind::kCorrupt, "the peer's ring segment " + why);
}

base::Status check_shape(const abi::RingShape& shape) {
  if (!std::has_single_bit(shape.slot_count) || shape.slot_count < abi::kMinSlots ||
      shape.slot_count > abi::kMaxSlots) {
    return refuse("has " + std::to_string(shape.slot_count) + " slots");
  }
  if (shape.data_bytes < abi::kMinDataBytes || shape.data_bytes > abi::kMaxDataBytes ||
      shape.data_bytes % 512 != 0) {
    return refuse("has slots of " + std::to_string(shape.data_bytes) + " bytes");
  }
  return {};
}

}  // namespace

RingSizes clamp_sizes(RingSizes wanted, std::uint32_t max_slots, std::uint32_t max_data) noexcept {
  const std::uint32_t slots = std::clamp(wanted.slot_count, abi::kMinSlots, max_slots);
  wanted.slot_count = std::min(std::bit_ceil(slots), std::bit_floor(max_slots));
  const std::uint32_t data = std::clamp(wanted.data_bytes, abi::kMinDataBytes, max_data);
  wanted.data_bytes = std::min((data + 511) / 512 * 512, max_data / 512 * 512);
  return wanted;
}

std::uint64_t ring_segment_bytes(const RingSizes& sizes) noexcept { return plan_of(sizes).bytes; }

base::Result<Segment> create_ring_segment(const char* label, const RingSizes& sizes,
                                          std::uint64_t generation) {
  const Plan plan = plan_of(sizes);
  FL_TRY(Segment segment, Segment::create(label, plan.bytes));
  std::byte* at = segment.data();
  auto* control = new (at + plan.sections[0].offset) abi::RingControl{};
  control->shape = {
      sizes.slot_count, sizes.request_bytes, sizes.response_bytes, sizes.data_bytes, {}};
  // Both ends begin asleep: the first entry notifies.
  control->front.response_event.store(1, std::memory_order_relaxed);
  control->back.request_event.store(1, std::memory_order_relaxed);
  std::memcpy(at + sizeof(abi::SegmentHeader), plan.sections, sizeof plan.sections);
  auto* header = new (at) abi::SegmentHeader{};
  header->version_major = abi::kSegmentMajor;
  header->version_minor = abi::kSegmentMinor;
  header->header_bytes = sizeof(abi::SegmentHeader) + sizeof plan.sections;
  header->segment_bytes = plan.bytes;
  header->generation = generation;
  header->section_count = kSections;
  header->magic.store(abi::kSegmentMagic, std::memory_order_release);
  return segment;
}

base::Result<RingMap> map_ring(const Segment& segment, std::uint64_t generation,
                               std::uint32_t request_bytes, std::uint32_t response_bytes) {
  std::byte* at = segment.data();
  if (segment.size() < sizeof(abi::SegmentHeader) + kSections * sizeof(abi::Section)) {
    return base::fail(refuse("is too small").error());
  }
  const auto* shared = reinterpret_cast<const abi::SegmentHeader*>(at);
  if (shared->magic.load(std::memory_order_acquire) != abi::kSegmentMagic) {
    return base::fail(refuse("does not begin with its magic number").error());
  }
  if (shared->version_major != abi::kSegmentMajor || shared->features != 0) {
    return base::fail(refuse("has a version this program does not know").error());
  }
  constexpr std::uint32_t kHeaderBytes =
      sizeof(abi::SegmentHeader) + kSections * sizeof(abi::Section);
  if (shared->generation != generation || shared->section_count != kSections ||
      shared->segment_bytes != segment.size() || shared->header_bytes != kHeaderBytes) {
    return base::fail(refuse("is not the one that was announced").error());
  }
  abi::Section sections[kSections];
  std::memcpy(sections, at + sizeof(abi::SegmentHeader), sizeof sections);
  const abi::Section& ring = sections[0];
  if (ring.kind != abi::SectionKind::kRing || ring.offset % abi::kSectionAlignment != 0 ||
      ring.offset > segment.size() || segment.size() - ring.offset < sizeof(abi::RingControl)) {
    return base::fail(refuse("has no ring where it says").error());
  }
  auto* control = reinterpret_cast<abi::RingControl*>(at + ring.offset);
  abi::RingShape shape;
  std::memcpy(&shape, &control->shape, sizeof shape);
  FL_TRY_STATUS(check_shape(shape));
  const RingSizes sizes{shape.slot_count, shape.request_bytes, shape.response_bytes,
                        shape.data_bytes};
  // The layout follows from the sizes: anything else was not made by this version.
  const Plan plan = plan_of(sizes);
  if (shape.request_bytes != request_bytes || shape.response_bytes != response_bytes ||
      plan.bytes != segment.size() || std::memcmp(plan.sections, sections, sizeof sections) != 0) {
    return base::fail(refuse("has another layout than it states").error());
  }
  return RingMap{sizes,
                 control,
                 at + sections[1].offset,
                 at + sections[2].offset,
                 at + sections[3].offset,
                 reinterpret_cast<abi::RingMark*>(at + sections[4].offset)};
}

}  // namespace fairlead::shm
