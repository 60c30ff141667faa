// SPDX-License-Identifier: Apache-2.0
#include "disk/ghost_set.h"

#include <gtest/gtest.h>

namespace fairlead::disk {
namespace {

TEST(GhostSet, RemembersTheLatestEight) {
  GhostSet ghosts(8);
  for (std::uint64_t s = 0; s < 10; ++s) ghosts.add(s);
  EXPECT_FALSE(ghosts.take(0));
  EXPECT_FALSE(ghosts.take(1));
  for (std::uint64_t s = 2; s < 10; ++s) EXPECT_TRUE(ghosts.take(s)) << s;
}

TEST(GhostSet, AGhostIsTakenOnceAndTheOthersStay) {
  GhostSet ghosts(8);
  for (std::uint64_t s = 0; s < 8; ++s) ghosts.add(s);
  EXPECT_TRUE(ghosts.take(5));
  EXPECT_FALSE(ghosts.take(5));
  for (const std::uint64_t s : {0, 1, 2, 3, 4, 6, 7}) EXPECT_TRUE(ghosts.take(s)) << s;
  ghosts.add(9);
  ghosts.clear();
  EXPECT_FALSE(ghosts.take(9));
}

// Hashed sets overflow unevenly: of the latest n of n, at least three quarters are remembered.
TEST(GhostSet, RemembersMostOfWhatItWasMadeFor) {
  constexpr std::uint32_t kGhosts = 4096;
  GhostSet ghosts(kGhosts);
  EXPECT_EQ(ghosts.bytes(), 2 * kGhosts);
  for (std::uint64_t s = 0; s < 10 * kGhosts; ++s) ghosts.add(s);
  std::uint32_t kept = 0;
  std::uint32_t imagined = 0;
  for (std::uint64_t s = 9 * kGhosts; s < 10 * kGhosts; ++s) kept += ghosts.take(s);
  for (std::uint64_t s = 20 * kGhosts; s < 30 * kGhosts; ++s) imagined += ghosts.take(s);
  EXPECT_GT(kept, kGhosts * 3 / 4);
  EXPECT_LT(imagined, 40u);  // 10 · 4096 · 8 / 65535 = 5 at most
}

TEST(GhostSet, OfNobodyRemembersNobody) {
  GhostSet ghosts(0);
  ghosts.add(1);
  EXPECT_FALSE(ghosts.take(1));
}

}  // namespace
}  // namespace fairlead::disk
