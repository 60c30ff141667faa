// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_set.h"

#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace fairlead::manage {
namespace {

TEST(CpuSet, ReadsAndWritesLists) {
  for (const auto& [text, written] : {std::pair{"0", "0"},
                                      {"0-3,8", "0-3,8"},
                                      {"8,0-3", "0-3,8"},
                                      {" 1 , 2 ", "1-2"},
                                      {"63-65", "63-65"},
                                      {"8191", "8191"}}) {
    const auto set = CpuSet::parse(text);
    ASSERT_TRUE(set) << text;
    EXPECT_EQ(set->text(), written);
  }
}

TEST(CpuSet, RefusesWhatIsNoList) {
  for (const char* text : {"", " ", ",", "1,", ",1", "-", "1-", "-1", "3-1", "a", "1 2", "1-2-3",
                           "8192", "0x1", "99999999999999999999"}) {
    EXPECT_FALSE(CpuSet::parse(text)) << text;
  }
}

TEST(CpuSet, GrowsAndShrinks) {
  CpuSet set = CpuSet::of({1, 70});
  EXPECT_EQ(set.count(), 2U);
  EXPECT_EQ(set.lowest(), 1U);
  set.remove(70);
  set.remove(200);
  EXPECT_EQ(set, CpuSet::of({1}));
  set.remove(1);
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set, CpuSet());
  EXPECT_EQ(set.text(), "");
}

RC_GTEST_PROP(CpuSet, IsASetOfNumbers,
              (const std::set<std::uint8_t>& left, const std::set<std::uint8_t>& right)) {
  CpuSet a;
  CpuSet b;
  std::set<unsigned> both;
  for (const unsigned cpu : left) a.add(cpu);
  for (const unsigned cpu : right) b.add(cpu);
  for (const unsigned cpu : left) {
    if (right.contains(static_cast<std::uint8_t>(cpu))) both.insert(cpu);
  }
  const std::vector<unsigned> expected(both.begin(), both.end());
  RC_ASSERT((a & b).members() == expected);
  RC_ASSERT((a | b).count() == left.size() + right.size() - both.size());
  RC_ASSERT((a | b).contains(a));
  RC_ASSERT(a.contains(b) == (both.size() == right.size()));
  const auto bytes = a.to_bytes(256);
  RC_ASSERT(CpuSet::from_bytes(bytes.data(), bytes.size()) == a);
  if (!a.empty()) {
    RC_ASSERT(*CpuSet::parse(a.text()) == a);
    RC_ASSERT(a.lowest() == *left.begin());
  }
}

}  // namespace
}  // namespace fairlead::manage
