// SPDX-License-Identifier: Apache-2.0
#include "trace/stages.h"

#include <random>

#include <gtest/gtest.h>

#include "base/random.h"
#include "trace/report.h"
#include "trace/testing_builder.h"

namespace fairlead::trace {
namespace {

constexpr std::uint32_t kVda = 254 << 20;
constexpr std::uint32_t kLoop = 7 << 20;

class StagesTest : public ::testing::Test {
 protected:
  TraceBuilder& front() { return planted_.of(guest_, kVda); }
  TraceBuilder& back() { return planted_.of(host_, kLoop); }

  // Of one I/O that begins at `start`: 10, 20, 30, 40 and 50 ns.
  void plant(std::int64_t start, std::uint64_t sector) {
    front().read(sector, 8).at(start).queue().at(start + 10).issue();
    back().read(sector, 8).whole(start + 30, start + 60, start + 100);
    front().read(sector, 8).at(start + 150).complete();
  }

  Staged run() {
    const auto devices = find_requests(planted_.trace());
    EXPECT_EQ(devices.size(), 2U);
    return stage(planted_.trace(), devices[0], devices[1], {guest_, kVda, host_, kLoop, offset_});
  }

  TraceBuilder planted_;
  const std::uint16_t guest_ = planted_.source(SourceKind::kGuest, "aos_1");
  const std::uint16_t host_ = planted_.source(SourceKind::kHost, "host");
  std::int64_t offset_ = 0;
};

constexpr std::array<std::int64_t, kStages> kPlanted = {10, 20, 30, 40, 50};

TEST_F(StagesTest, AreWhatWasPlantedAndSumUp) {
  for (int i = 0; i < 100; ++i) plant(1000 * i, 8 * static_cast<std::uint64_t>(i % 10));
  const Staged staged = run();
  ASSERT_EQ(staged.chains.size(), 100U);
  for (const Chain& chain : staged.chains) {
    EXPECT_EQ(chain.ns, kPlanted);
    EXPECT_EQ(chain.q2c_ns, 150);
  }
  EXPECT_EQ(staged.residual_ns, 0);
  EXPECT_EQ(staged.unmatched + staged.ambiguous + staged.violations, 0U);
}

TEST_F(StagesTest, OfSeveralRequestsOfTheBackTheLastToComeBackCounts) {
  front().read(0, 16).at(0).queue().at(10).issue();
  back().read(0, 8).whole(31, 61, 90);
  back().read(8, 8).whole(30, 60, 100);
  front().read(0, 16).at(150).complete();
  const Staged staged = run();
  ASSERT_EQ(staged.chains.size(), 1U);
  EXPECT_EQ(staged.chains[0].ns, kPlanted);
}

TEST_F(StagesTest, WhatTheBackMergedIsFoundForEach) {
  front().read(0, 8).at(0).queue().at(10).issue();
  front().read(8, 8).at(1).queue().at(11).issue();
  back().read(0, 8).at(30).queue();
  back().read(8, 8).at(31).queue().at(32).back_merge();
  back().read(0, 16).at(60).issue().at(100).complete();
  front().read(0, 8).at(150).complete();
  front().read(8, 8).at(151).complete();
  const Staged staged = run();
  ASSERT_EQ(staged.chains.size(), 2U);
  EXPECT_EQ(staged.chains[0].ns, kPlanted);
  EXPECT_EQ(staged.chains[1].ns, (std::array<std::int64_t, kStages>{10, 20, 29, 40, 51}));
  EXPECT_EQ(staged.ambiguous, 0U);
}

// Looking at all reads of the sector for each of them would take hours.
TEST_F(StagesTest, ASectorMayBeReadAgainAndAgain) {
  constexpr int kReads = 300'000;
  for (int i = 0; i < kReads; ++i) plant(1000LL * i, 8);
  const Staged staged = run();
  EXPECT_EQ(staged.chains.size(), static_cast<std::size_t>(kReads));
  EXPECT_EQ(staged.unmatched + staged.ambiguous + staged.violations, 0U);
  EXPECT_EQ(natural_pairings(planted_.trace(), find_requests(planted_.trace())).size(), 1U);
}

TEST_F(StagesTest, TheSameSectorsTwiceInFlightAreAmbiguous) {
  front().read(0, 8).at(0).queue().at(10).issue();
  front().read(0, 8).at(1).queue().at(11).issue();
  back().read(0, 8).whole(30, 60, 100);
  back().read(0, 8).whole(31, 61, 101);
  front().read(0, 8).at(150).complete().at(151).complete();
  const Staged staged = run();
  EXPECT_TRUE(staged.chains.empty());
  EXPECT_EQ(staged.ambiguous, 2U);
}

TEST_F(StagesTest, ARequestOfAnotherDirectionOrTimeIsNoMatch) {
  front().read(0, 8).at(0).queue().at(10).issue().at(150).complete();
  back().write(0, 8).whole(30, 60, 100);
  back().read(0, 8).whole(200, 210, 220);
  back().read(0, 8).whole(40, 70, 230);
  const Staged staged = run();
  EXPECT_TRUE(staged.chains.empty());
  EXPECT_EQ(staged.unmatched, 1U);
}

TEST_F(StagesTest, NorIsOneOfTheSameId) {
  front().read(0, 1).id(1, 3).at(20).queue().at(30).issue().at(150).complete();
  front().read(0, 1).id(2, 3).at(20).queue().at(30).issue().at(150).complete();
  front().write(0, 1).id(3, 3).at(20).queue().at(30).issue().at(150).complete();
  back().read(0, 1).id(1, 3).whole(10, 60, 100);
  back().read(0, 1).id(2, 3).whole(40, 60, 200);
  back().read(0, 1).id(3, 3).whole(40, 60, 100);
  EXPECT_EQ(run().unmatched, 3U);
}

TEST_F(StagesTest, TheClocksBoundIsAllowedForAndTold) {
  planted_.trace().sources[guest_].bound_ns = 25;
  front().read(0, 8).at(30).queue().at(50).issue();  // after the back's Q, by 20
  back().read(0, 8).whole(30, 60, 100);
  front().read(0, 8).at(150).complete();
  const Staged staged = run();
  ASSERT_EQ(staged.chains.size(), 1U);
  EXPECT_EQ(staged.chains[0].ns[1], -20);
  EXPECT_EQ(staged.bound_ns, 25);
  EXPECT_EQ(staged.violations, 0U);
  EXPECT_EQ(staged.residual_ns, 0);
}

TEST_F(StagesTest, AnUnknownClockComparesWithNone) {
  plant(0, 0);
  planted_.trace().sources[guest_].clock_known = false;
  EXPECT_EQ(run().unmatched, 1U);
}

TEST_F(StagesTest, AnOffsetOfSectorsIsAPartition) {
  offset_ = 2048;
  front().read(0, 8).at(0).queue().at(10).issue();
  back().read(2048, 8).whole(30, 60, 100);
  front().read(0, 8).at(150).complete();
  ASSERT_EQ(run().chains.size(), 1U);
}

TEST_F(StagesTest, OfARingTheIdTells) {
  front().read(0, 1).id(1, 3).at(0).queue().at(10).issue().at(150).complete();
  front().read(0, 1).id(2, 3).at(1).queue().at(11).issue().at(151).complete();
  back().read(0, 1).id(2, 3).whole(31, 61, 101);
  back().read(0, 1).id(1, 3).whole(30, 60, 100);
  const Staged staged = run();
  ASSERT_EQ(staged.chains.size(), 2U);
  EXPECT_EQ(staged.chains[0].ns, kPlanted);
  EXPECT_EQ(staged.chains[1].ns, kPlanted);
  EXPECT_EQ(staged.ambiguous, 0U);
}

// Random interleavings of many I/Os, with merges and overlaps in time: whatever is said is true.
TEST_F(StagesTest, HoldInRandomWorlds) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    TraceBuilder world;
    const auto guest = world.source(SourceKind::kGuest, "g");
    const auto host = world.source(SourceKind::kHost, "h");
    base::Random random(seed);
    std::vector<std::array<std::int64_t, 6>> truth;
    for (std::uint64_t i = 0; i < 200; ++i) {
      std::array<std::int64_t, 6> times{};
      times[0] = static_cast<std::int64_t>(random.below(5000));
      for (std::size_t j = 1; j < 6; ++j) {
        times[j] = times[j - 1] + static_cast<std::int64_t>(random.below(1000)) + 1;
      }
      truth.push_back(times);
      world.of(guest, kVda).read(i * 8, 8).whole(times[0], times[1], times[5]);
      world.of(host, kLoop).read(i * 8, 8).whole(times[2], times[3], times[4]);
    }
    const auto devices = find_requests(world.trace());
    const Staged staged =
        stage(world.trace(), devices[0], devices[1], {guest, kVda, host, kLoop, 0});
    ASSERT_EQ(staged.chains.size(), 200U) << "seed " << seed;
    for (const Chain& chain : staged.chains) {
      const auto& times = truth[devices[0].requests[chain.front_request].sector / 8];
      for (std::size_t j = 0; j < kStages; ++j) {
        ASSERT_EQ(chain.ns[j], times[j + 1] - times[j]) << "seed " << seed;
      }
    }
    ASSERT_EQ(staged.residual_ns, 0);
  }
}

TEST_F(StagesTest, AGuestsDiskFindsItsDeviceByItself) {
  for (int i = 0; i < 20; ++i) plant(1000 * i, 8 * static_cast<std::uint64_t>(i));
  const std::uint32_t other = 8 << 20;
  planted_.of(host_, other).read(0, 8).whole(5, 6, 7);
  const auto devices = find_requests(planted_.trace());
  const auto pairings = natural_pairings(planted_.trace(), devices);
  ASSERT_EQ(pairings.size(), 1U);
  EXPECT_EQ(pairings[0].front_device, kVda);
  EXPECT_EQ(pairings[0].back_device, kLoop);
}

TEST_F(StagesTest, AGuestsDiskBehindWhichThereIsNothingIsTold) {
  front().read(0, 8).whole(0, 10, 150);
  back().read(4096, 8).whole(30, 60, 100);
  const auto text = [&] {
    return report_text(planted_.trace(), make_report(planted_.trace(), {}));
  };
  EXPECT_NE(text().find("stands behind 254,0 of aos_1"), std::string::npos) << text();
  plant(1000, 8);
  plant(2000, 16);
  EXPECT_EQ(text().find("stands behind"), std::string::npos) << text();
}

TEST_F(StagesTest, TwoServicesWithTheSameIdsStayApart) {
  TraceBuilder planted;
  for (const char* name : {"one", "two"}) {
    const auto service = planted.source(SourceKind::kService, name);
    planted.of(service, abi::kServiceFrontDevice).read(0, 1).id(1, 3).whole(0, 10, 150);
    planted.of(service, abi::kServiceBackDevice).read(0, 1).id(1, 3).whole(30, 60, 100);
  }
  const auto pairings = natural_pairings(planted.trace(), find_requests(planted.trace()));
  ASSERT_EQ(pairings.size(), 2U);
  for (const Pairing& pairing : pairings) EXPECT_EQ(pairing.front_source, pairing.back_source);
}

TEST_F(StagesTest, APairIsGivenByNames) {
  plant(0, 0);
  planted_.trace().devices = {{guest_, kVda, "vda"}, {host_, kLoop, "loop0"}};
  const auto pairing = parse_pairing(planted_.trace(), "vda of aos_1=loop0 of host+2048");
  ASSERT_TRUE(pairing) << pairing.error().message();
  EXPECT_EQ(pairing->front_source, guest_);
  EXPECT_EQ(pairing->back_device, kLoop);
  EXPECT_EQ(pairing->sector_offset, 2048);
  EXPECT_EQ(parse_pairing(planted_.trace(), "vda of aos_1=loop0 of host")->sector_offset, 0);
  for (const char* wrong : {"", "=", "vda of aos_1", "vda of aos_1=", "=loop0 of host",
                            "vda of aos_1=loop1 of host", "vda of aos_1=loop0 of host+x"}) {
    EXPECT_FALSE(parse_pairing(planted_.trace(), wrong)) << wrong;
  }
}

TEST_F(StagesTest, AServicesDevicesArePaired) {
  TraceBuilder planted;
  const auto service = planted.source(SourceKind::kService, "block");
  planted.of(service, abi::kServiceFrontDevice).read(0, 1).id(1, 3).whole(0, 10, 150);
  planted.of(service, abi::kServiceBackDevice).read(0, 1).id(1, 3).whole(30, 60, 100);
  planted.trace().devices = {{service, abi::kServiceFrontDevice, "clients"},
                             {service, abi::kServiceBackDevice, "service"}};
  const Report report = make_report(planted.trace());
  ASSERT_EQ(report.pairs.size(), 1U);
  for (std::size_t i = 0; i < kStages; ++i) {
    EXPECT_EQ(report.pairs[0].stages[i].sum_ns, kPlanted[i]);
  }
  const std::string text = report_text(planted.trace(), report);
  EXPECT_NE(text.find("clients of block on service of block: 1 I/Os in 1 requests"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("6 events, 0 lost"), std::string::npos) << text;
}

}  // namespace
}  // namespace fairlead::trace
