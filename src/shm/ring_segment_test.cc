// SPDX-License-Identifier: Apache-2.0
#include "shm/ring_segment.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fairlead/abi/segment.h"

namespace fairlead::shm {
namespace {

constexpr RingSizes kSizes{
    .slot_count = 8, .request_bytes = 32, .response_bytes = 16, .data_bytes = 1024};
constexpr std::uint64_t kGeneration = 77;

class RingSegmentTest : public testing::Test {
 protected:
  void SetUp() override {
    auto segment = create_ring_segment("ring_segment_test", kSizes, kGeneration);
    ASSERT_TRUE(segment);
    segment_ = std::move(*segment);
  }
  base::Result<RingMap> map() { return map_ring(segment_, kGeneration, 32, 16); }

  template <typename T>
  T get(std::uint64_t at) const {
    T value;
    std::memcpy(&value, segment_.data() + at, sizeof value);
    return value;
  }
  template <typename T>
  void put(std::uint64_t at, T value) {
    std::memcpy(segment_.data() + at, &value, sizeof value);
  }
  std::uint64_t ring_at() const { return get<std::uint64_t>(section_at(0) + 8); }
  static std::uint64_t section_at(int index) {
    return sizeof(abi::SegmentHeader) + static_cast<std::uint64_t>(index) * sizeof(abi::Section);
  }

  Segment segment_;
};

TEST_F(RingSegmentTest, IsMappedAsItWasMade) {
  const auto ring = map();
  ASSERT_TRUE(ring) << ring.error().message();
  EXPECT_EQ(ring->sizes.slot_count, 8u);
  EXPECT_EQ(ring->sizes.data_bytes, 1024u);
  EXPECT_EQ(segment_.size(), ring_segment_bytes(kSizes));
  EXPECT_EQ(ring->control->front.response_event.load(), 1u) << "asleep";
  EXPECT_EQ(ring->control->back.request_event.load(), 1u) << "asleep";
  EXPECT_EQ(ring->control->front.request_produced.load(), 0u);
}

TEST_F(RingSegmentTest, ItsPartsNeitherOverlapNorLeaveIt) {
  const auto ring = map();
  ASSERT_TRUE(ring);
  const std::byte* end = segment_.data() + segment_.size();
  auto* control = reinterpret_cast<std::byte*>(ring->control);
  EXPECT_GE(ring->requests, control + sizeof(abi::RingControl));
  EXPECT_GE(ring->responses, ring->requests + 8 * 32);
  EXPECT_GE(ring->data, ring->responses + 8 * 16);
  EXPECT_LE(ring->data_of(7) + 1024, end);
  EXPECT_EQ(ring->data_of(3) - ring->data_of(2), 1024);
}

TEST_F(RingSegmentTest, EveryStatedFieldIsChecked) {
  struct Field {
    const char* name;
    std::uint64_t at;
    std::size_t bytes;
  };
  std::vector<Field> fields = {{"magic", 0, 8},
                               {"version_major", 8, 2},
                               {"header_bytes", 12, 4},
                               {"segment_bytes", 16, 8},
                               {"generation", 24, 8},
                               {"features", 32, 4},
                               {"section_count", 36, 4},
                               {"slot_count", ring_at(), 4},
                               {"request_bytes", ring_at() + 4, 4},
                               {"response_bytes", ring_at() + 8, 4},
                               {"data_bytes", ring_at() + 12, 4}};
  for (int i = 0; i < 4; ++i) {
    fields.push_back({"kind", section_at(i), 4});
    fields.push_back({"section reserved", section_at(i) + 4, 4});
    fields.push_back({"offset", section_at(i) + 8, 8});
    fields.push_back({"bytes", section_at(i) + 16, 8});
  }
  for (const Field& field : fields) {
    std::vector<std::byte> honest(field.bytes);
    std::memcpy(honest.data(), segment_.data() + field.at, field.bytes);
    for (std::size_t bit = 0; bit < field.bytes * 8; ++bit) {
      segment_.data()[field.at + bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      const auto ring = map();
      EXPECT_FALSE(ring) << field.name << " at " << field.at << ", bit " << bit;
      if (!ring) {
        EXPECT_EQ(ring.error().kind(), base::ErrorKind::kCorrupt);
      }
      std::memcpy(segment_.data() + field.at, honest.data(), field.bytes);
    }
  }
  EXPECT_TRUE(map());
}

TEST_F(RingSegmentTest, ANewerMinorVersionIsTaken) {
  put<std::uint16_t>(10, 9);
  EXPECT_TRUE(map());
}

TEST_F(RingSegmentTest, AnotherSideOfTheStoryIsRefused) {
  EXPECT_FALSE(map_ring(segment_, kGeneration + 1, 32, 16));
  EXPECT_FALSE(map_ring(segment_, kGeneration, 64, 16));
  EXPECT_FALSE(map_ring(segment_, kGeneration, 32, 32));
}

TEST_F(RingSegmentTest, SegmentsWithoutARingAreRefused) {
  for (const std::uint64_t bytes : {1ull, 64ull, 159ull, 160ull, 4096ull}) {
    auto plain = Segment::create("ring_segment_test", bytes);
    ASSERT_TRUE(plain);
    EXPECT_FALSE(map_ring(*plain, kGeneration, 32, 16)) << bytes;
  }
}

TEST(RingSizes, AreTheNearestAllowed) {
  const auto clamp = [](std::uint32_t slots, std::uint32_t data) {
    return clamp_sizes({slots, 32, 16, data}, 64, 4096);
  };
  EXPECT_EQ(clamp(0, 0).slot_count, 2u);
  EXPECT_EQ(clamp(0, 0).data_bytes, 512u);
  EXPECT_EQ(clamp(5, 513).slot_count, 8u);
  EXPECT_EQ(clamp(5, 513).data_bytes, 1024u);
  EXPECT_EQ(clamp(64, 4096).slot_count, 64u);
  EXPECT_EQ(clamp(~0u, ~0u).slot_count, 64u);
  EXPECT_EQ(clamp(~0u, ~0u).data_bytes, 4096u);
  EXPECT_EQ(clamp_sizes({100, 32, 16, 700}, 100, 700).slot_count, 64u) << "a power of two";
  EXPECT_EQ(clamp_sizes({100, 32, 16, 700}, 100, 700).data_bytes, 512u) << "a multiple of 512";
  const RingSizes most = clamp_sizes({~0u, 32, 16, ~0u}, abi::kMaxSlots, abi::kMaxDataBytes);
  auto segment = create_ring_segment("ring_segment_test", most, 1);
  ASSERT_TRUE(segment);
  EXPECT_TRUE(map_ring(*segment, 1, 32, 16)) << "what clamp_sizes gives can be mapped";
}

}  // namespace
}  // namespace fairlead::shm
