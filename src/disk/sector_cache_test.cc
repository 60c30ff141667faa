// SPDX-License-Identifier: Apache-2.0
#include "disk/sector_cache.h"

#include <cstring>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "disk/cache_traces.h"
#include "disk/lru_cache.h"
#include "disk/testing_range.h"

namespace fairlead::disk {
namespace {

using Bytes = std::vector<std::byte>;

Bytes sector_of(std::uint64_t content, std::size_t size = kSectorBytes) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(mix64(content + i / 8) >> 8 * (i % 8));
  }
  return bytes;
}

bool same(const std::byte* found, const Bytes& expected) {
  return std::memcmp(found, expected.data(), expected.size()) == 0;
}

TEST(SectorCache, SectorZeroIsNotHereBeforeItWasInserted) {
  SectorCache cache(1 << 20);
  EXPECT_EQ(cache.lookup(0), nullptr);
  cache.insert(0, sector_of(7).data());
  ASSERT_NE(cache.lookup(0), nullptr);
  EXPECT_TRUE(same(cache.lookup(0), sector_of(7)));
  EXPECT_EQ(cache.lookups(), 3u);
  EXPECT_EQ(cache.hits(), 2u);
}

TEST(SectorCache, InsertOfAKnownSectorReplacesItsBytes) {
  SectorCache cache(1 << 20);
  cache.insert(5, sector_of(1).data());
  cache.insert(5, sector_of(2).data());
  EXPECT_TRUE(same(cache.lookup(5), sector_of(2)));
}

TEST(SectorCache, NeverMoreThanItsBudgetAndNeverMuchLess) {
  for (std::uint64_t budget = 0; budget < 3'000'000; budget += budget < 5000 ? 1 : 4099) {
    const SectorCache cache(budget);
    ASSERT_LE(cache.bytes_used(), budget);
    if (cache.capacity() == 0) {
      ASSERT_LT(budget, 1200u);
    } else {
      ASSERT_GT(cache.bytes_used() + 2 * (512 + 18), budget) << "room for one more was left";
    }
  }
}

TEST(SectorCache, BookkeepingIsLessThan20BytesASector) {
  const SectorCache cache(kTraceBudget);
  EXPECT_LE(cache.bytes_used() - std::uint64_t{cache.capacity()} * kSectorBytes,
            20 * std::uint64_t{cache.capacity()});
}

TEST(SectorCache, TooSmallABudgetMakesACacheThatHoldsNothing) {
  SectorCache cache(511);
  EXPECT_EQ(cache.capacity(), 0u);
  cache.insert(1, sector_of(1).data());
  EXPECT_EQ(cache.lookup(1), nullptr);
  cache.erase(1);
  cache.clear();
}

TEST(SectorCache, ClearForgetsSectorsAndCounts) {
  SectorCache cache(100'000);
  for (std::uint64_t s = 0; s < 1000; ++s) cache.insert(s, sector_of(s).data());
  cache.lookup(999);
  cache.clear();
  EXPECT_EQ(cache.lookups(), 0u);
  for (std::uint64_t s = 0; s < 1000; ++s) EXPECT_EQ(cache.lookup(s), nullptr);
  EXPECT_EQ(cache.hits(), 0u);
  cache.insert(3, sector_of(4).data());
  EXPECT_TRUE(same(cache.lookup(3), sector_of(4)));
}

TEST(SectorCache, AfterClearItIsAsNew) {
  const Trace trace = zipf_trace(0.8, 8, 100'000);
  const std::byte bytes[kSectorBytes]{};
  const auto hits = [&](SectorCache& cache) {
    for (const auto sector : trace) {
      if (cache.lookup(sector) == nullptr) cache.insert(sector, bytes);
    }
    return cache.hits();
  };
  SectorCache cache(500'000);
  const std::uint64_t first = hits(cache);
  cache.clear();
  EXPECT_EQ(hits(cache), first);
}

TEST(SectorCache, ErasedPlacesAreUsedAgain) {
  SectorCache cache(100'000);
  const std::uint64_t capacity = cache.capacity();
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t s = 0; s < capacity; ++s) cache.insert(s, sector_of(s).data());
    for (std::uint64_t s = 0; s < capacity; ++s) cache.erase(s);
  }
  for (std::uint64_t s = 0; s < 20 * capacity; ++s) {
    if (cache.lookup(s % capacity) == nullptr) cache.insert(s % capacity, sector_of(s).data());
  }
  std::uint64_t here = 0;
  for (std::uint64_t s = 0; s < capacity; ++s) here += cache.lookup(s) != nullptr;
  EXPECT_GT(here, capacity * 9 / 10);
}

// What the cache gives is what the disk holds; the disk is a map.
void serves_only_the_truth() {
  const auto sector_bytes = *rc::gen::element(8u, 24u, 512u);
  SectorCache cache(in_range(0u, 40u * (sector_bytes + 18)) + 700u, sector_bytes);
  const auto sectors = in_range(1, 100);
  std::map<std::uint64_t, std::uint64_t> disk;
  std::uint64_t inserts = 0;
  for (int step = in_range(1, 800); step > 0; --step) {
    const auto sector =
        static_cast<std::uint64_t>(in_range(0, sectors)) << 40 >> in_range(0, 2) * 8;
    const int action = in_range(0, 40);
    const std::byte* found = cache.lookup(sector);
    if (found != nullptr) {
      RC_ASSERT(disk.contains(sector));
      RC_ASSERT(same(found, sector_of(disk[sector], sector_bytes)));
    }
    if (action == 0) {
      cache.erase(sector);
      RC_ASSERT(cache.lookup(sector) == nullptr);
    } else if (action == 1) {
      cache.clear();
      disk.clear();
    } else if (action < 6 || found == nullptr) {
      disk[sector] = ++inserts;
      cache.insert(sector, sector_of(inserts, sector_bytes).data());
      RC_ASSERT((cache.lookup(sector) != nullptr) == (cache.capacity() > 0));
    }
  }
  std::uint32_t here = 0;
  for (const auto& [sector, content] : disk) {
    const std::byte* found = cache.lookup(sector);
    if (found == nullptr) continue;
    ++here;
    RC_ASSERT(same(found, sector_of(content, sector_bytes)));
  }
  RC_ASSERT(here <= cache.capacity());
}

TEST(SectorCacheModel, ServesOnlyTheTruth) {
  EXPECT_TRUE(rc::check("a hit has the bytes last inserted", serves_only_the_truth));
}

// Goals of reference split-driver-block, row G11.  Both caches are given 1 % of the image's bytes.
TEST(SectorCacheHits, BeatsLruOfTheSameBytes) {
  const struct {
    const char* name;
    Trace trace;
    double at_least;
  } kCases[] = {
      {"zipf 0.6", zipf_trace(0.6, 2), 2.0},   {"zipf 0.8", zipf_trace(0.8, 3), 1.4},
      {"zipf 0.99", zipf_trace(0.99, 4), 1.1}, {"scan and zipf", scan_trace(5), 1.25},
      {"shifting", shifting_trace(6), 1.0},    {"window", window_trace(7), 0.94},
  };
  for (const auto& each : kCases) {
    const double ours = hit_ratio<SectorCache>(each.trace);
    const double lru = hit_ratio<LruCache>(each.trace);
    EXPECT_GE(ours, each.at_least * lru) << each.name << ": " << ours << " and LRU " << lru;
  }
}

TEST(SectorCacheHits, UniformReadsHitAsOftenAsTheCacheIsLarge) {
  const double fair = static_cast<double>(kTraceBudget) / (kTraceSectors * kSectorBytes);
  EXPECT_NEAR(hit_ratio<SectorCache>(zipf_trace(0, 1)), fair, 0.05 * fair);
}

TEST(SectorCacheHits, AScanDoesNotPushOutWhatIsReadAgain) {
  SectorCache cache(kTraceBudget);
  const std::byte bytes[kSectorBytes]{};
  const auto read = [&](std::uint64_t sector) {
    if (cache.lookup(sector) != nullptr) return true;
    cache.insert(sector, bytes);
    return false;
  };
  const std::uint64_t hot = cache.capacity() / 2;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t s = 0; s < hot; ++s) read(s);
  }
  for (std::uint64_t s = 100'000; s < 500'000; ++s) read(s);
  std::uint64_t left = 0;
  for (std::uint64_t s = 0; s < hot; ++s) left += read(s);
  EXPECT_GT(left, hot * 95 / 100);
}

}  // namespace
}  // namespace fairlead::disk
