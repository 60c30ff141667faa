// SPDX-License-Identifier: Apache-2.0
#include "relay/channel_segment.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "fairlead/abi/segment.h"

namespace fairlead::relay {

using base::ErrorKind;

namespace {

constexpr std::uint32_t kSections = 4;
constexpr std::uint32_t kHeaderBytes =
    sizeof(abi::SegmentHeader) + kSections * sizeof(abi::Section);
constexpr std::uint64_t kShapeAt = 256;
static_assert(kHeaderBytes <= kShapeAt && kShapeAt % abi::kSectionAlignment == 0);

struct Plan {
  abi::Section sections[kSections];
  std::uint64_t bytes;
};

Plan plan_of(std::uint64_t streams, std::uint64_t sub_buffer_bytes,
             std::uint64_t sub_buffers) noexcept {
  constexpr std::uint64_t kPage = abi::kRelayPageBytes;
  const std::uint64_t contents = streams * sub_buffer_bytes * sub_buffers;
  return {{{abi::SectionKind::kRelayShape, 0, kShapeAt, sizeof(abi::RelayShape)},
           {abi::SectionKind::kRelayProducer, 0, kPage, kPage},
           {abi::SectionKind::kRelayConsumer, 0, 2 * kPage, kPage},
           {abi::SectionKind::kRelayStreams, 0, 3 * kPage, contents}},
          3 * kPage + contents};
}

Plan plan_of(const abi::RelayShape& shape) noexcept {
  return plan_of(shape.streams, shape.sub_buffer_bytes, shape.sub_buffers);
}

bool power_within(std::uint32_t value, std::uint32_t least, std::uint32_t most) noexcept {
  return std::has_single_bit(value) && value >= least && value <= most;
}

bool sizes_are_right(const abi::RelayShape& shape) noexcept {
  return shape.streams >= 1 && shape.streams <= abi::kMaxRelayStreams &&
         power_within(shape.sub_buffer_bytes, abi::kMinSubBufferBytes, abi::kMaxSubBufferBytes) &&
         power_within(shape.sub_buffers, abi::kMinSubBuffers, abi::kMaxSubBuffers) &&
         shape.item_bytes <= abi::kMaxItemBytes &&
         shape.item_bytes <= shape.sub_buffer_bytes - sizeof(abi::RelaySubBuffer);
}

base::Status invalid(const std::string& what) { return base::fail(ErrorKind::kInvalid, what); }

base::Status refuse(const std::string& why) {
  return base::fail(ErrorKind::kCorrupt, "the relay channel " + why);
}

// Of a mapping they are always so; of what somebody else gives, perhaps not.
bool at_a_page(const std::byte* at) noexcept {
  return reinterpret_cast<std::uintptr_t>(at) % abi::kRelayPageBytes == 0;
}

base::Status check_header(const std::byte* at, std::uint64_t bytes) {
  if (!at_a_page(at)) return invalid("a relay channel begins at a page");
  if (bytes < 3 * abi::kRelayPageBytes) return refuse("is too small");
  const auto* header = reinterpret_cast<const abi::SegmentHeader*>(at);
  if (header->magic.load(std::memory_order_acquire) != abi::kSegmentMagic) {
    return refuse("does not begin with its magic number");
  }
  if (header->version_major != abi::kSegmentMajor || header->features != 0) {
    return refuse("has a version this program does not know");
  }
  if (header->section_count != kSections || header->header_bytes != kHeaderBytes) {
    return refuse("has other sections than a channel");
  }
  return {};
}

base::Status check_shape(const abi::RelayShape& shape) {
  if (!sizes_are_right(shape)) return refuse("states sizes out of bounds");
  if (shape.mode != abi::RelayMode::kDiscard && shape.mode != abi::RelayMode::kOverwrite) {
    return refuse("has a mode this program does not know");
  }
  if ((shape.clock != abi::RelayClock::kTsc && shape.clock != abi::RelayClock::kMonotonicRaw) ||
      shape.clock_hz == 0) {
    return refuse("has a clock this program does not know");
  }
  return {};
}

ChannelMap map_at(std::byte* at, const abi::RelayShape& shape) noexcept {
  const Plan plan = plan_of(shape);
  return {shape, plan.bytes,
          reinterpret_cast<abi::RelayProducerPage*>(at + plan.sections[1].offset),
          reinterpret_cast<abi::RelayConsumerPage*>(at + plan.sections[2].offset),
          at + plan.sections[3].offset};
}

abi::RelayShape shape_of(const ChannelOptions& options) noexcept {
  abi::RelayShape shape{};
  shape.streams = options.streams;
  shape.sub_buffer_bytes = options.sub_buffer_bytes;
  shape.sub_buffers = options.sub_buffers;
  shape.item_bytes = options.item_bytes;
  shape.mode = options.overwrite ? abi::RelayMode::kOverwrite : abi::RelayMode::kDiscard;
  return shape;
}

}  // namespace

StreamShape ChannelMap::stream_shape(std::uint32_t stream) const noexcept {
  return {stream, static_cast<std::uint32_t>(std::countr_zero(shape.sub_buffer_bytes)),
          shape.sub_buffers, shape.item_bytes, shape.mode == abi::RelayMode::kOverwrite};
}

SharedMemory ChannelMap::memory(std::uint32_t stream) const noexcept {
  return SharedMemory(streams + stream_shape(stream).capacity() * stream);
}

ChannelId ChannelMap::id() const noexcept {
  ChannelId id;
  std::ranges::copy(shape.uuid, id.begin());
  return id;
}

base::Status check_options(const ChannelOptions& options) {
  const auto between = [](std::uint32_t least, std::uint32_t most) {
    return " from " + std::to_string(least) + " to " + std::to_string(most);
  };
  if (options.streams < 1 || options.streams > abi::kMaxRelayStreams) {
    return invalid("a relay channel has streams" + between(1, abi::kMaxRelayStreams) + ", not " +
                   std::to_string(options.streams));
  }
  if (!power_within(options.sub_buffer_bytes, abi::kMinSubBufferBytes, abi::kMaxSubBufferBytes)) {
    return invalid("a sub-buffer has a power of two of bytes" +
                   between(abi::kMinSubBufferBytes, abi::kMaxSubBufferBytes) + ", not " +
                   std::to_string(options.sub_buffer_bytes));
  }
  if (!power_within(options.sub_buffers, abi::kMinSubBuffers, abi::kMaxSubBuffers)) {
    return invalid("a stream has a power of two of sub-buffers" +
                   between(abi::kMinSubBuffers, abi::kMaxSubBuffers) + ", not " +
                   std::to_string(options.sub_buffers));
  }
  if (!sizes_are_right(shape_of(options))) {
    return invalid("an item of " + std::to_string(options.item_bytes) +
                   " bytes does not fit a sub-buffer of " +
                   std::to_string(options.sub_buffer_bytes) + ", or is longer than " +
                   std::to_string(abi::kMaxItemBytes));
  }
  return {};
}

std::uint64_t channel_bytes(const ChannelOptions& options) noexcept {
  return plan_of(shape_of(options)).bytes;
}

base::Result<shm::Segment> create_channel(const ChannelOptions& options) {
  FL_TRY_STATUS(check_options(options));
  FL_TRY(shm::Segment segment, shm::Segment::create("fairlead-relay", channel_bytes(options)));
  FL_TRY_STATUS(lay_out_channel(segment.data(), segment.size(), options));
  return segment;
}

base::Result<ChannelMap> lay_out_channel(std::byte* at, std::uint64_t bytes,
                                         const ChannelOptions& options) {
  FL_TRY_STATUS(check_options(options));
  if (!at_a_page(at)) return base::fail(invalid("a relay channel begins at a page").error());
  const std::uint64_t needed = channel_bytes(options);
  if (bytes < needed) {
    return base::fail(ErrorKind::kInvalid, "a channel of these sizes takes " +
                                               std::to_string(needed) + " bytes; there are " +
                                               std::to_string(bytes));
  }
  abi::RelayShape shape = shape_of(options);
  shape.clock = kStampClock;
  shape.clock_hz = stamp_hz();
  if (::getrandom(shape.uuid, sizeof shape.uuid, 0) != sizeof shape.uuid) {
    return base::fail_errno(errno, "make the id of a relay channel");
  }
  const Plan plan = plan_of(shape);
  std::memcpy(at + kShapeAt, &shape, sizeof shape);
  ChannelMap map = map_at(at, shape);
  new (map.producer) abi::RelayProducerPage{};
  new (map.consumer) abi::RelayConsumerPage{};
  std::memcpy(at + sizeof(abi::SegmentHeader), plan.sections, sizeof plan.sections);
  auto* header = new (at) abi::SegmentHeader{};
  header->version_major = abi::kSegmentMajor;
  header->version_minor = abi::kSegmentMinor;
  header->header_bytes = kHeaderBytes;
  header->segment_bytes = plan.bytes;
  header->section_count = kSections;
  header->magic.store(abi::kSegmentMagic, std::memory_order_release);
  return map;
}

base::Result<ChannelMap> map_channel(std::byte* at, std::uint64_t bytes) {
  if (auto status = check_header(at, bytes); !status) return base::fail(status.error());
  abi::RelayShape shape;
  std::memcpy(&shape, at + kShapeAt, sizeof shape);
  if (auto status = check_shape(shape); !status) return base::fail(status.error());
  abi::Section sections[kSections];
  std::memcpy(sections, at + sizeof(abi::SegmentHeader), sizeof sections);
  // The layout follows from the sizes: anything else was not made by this version.
  const Plan plan = plan_of(shape);
  if (plan.bytes > bytes || std::memcmp(plan.sections, sections, sizeof sections) != 0) {
    return base::fail(refuse("has another layout than it states").error());
  }
  return map_at(at, shape);
}

}  // namespace fairlead::relay
