// SPDX-License-Identifier: Apache-2.0
#include "apps/original_masks.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/testing_hypervisor.h"

namespace fairlead::apps {
namespace {

using manage::CpuSet;
using testing::ElementsAre;

class OriginalMasksTest : public testing::Test {
 protected:
  OriginalMasksTest() {
    std::string name = testing::TempDir() + "fl-masks-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    ::setenv("FAIRLEAD_RUNTIME_DIR", folder_.c_str(), 1);
    add_guest("a", 1);
    add_guest("b", 1);
  }
  ~OriginalMasksTest() override { std::filesystem::remove_all(folder_); }

  void add_guest(const std::string& uuid, std::int32_t run_id) {
    manage::GuestSample guest;
    guest.uuid = guest.name = uuid;
    guest.run_id = run_id;
    guest.vcpus = {{0, true, 0, 0, CpuSet::of({0})}, {1, true, 0, 0, CpuSet::of({0})}};
    world_.now.guests.push_back(guest);
  }

  static OriginalMasks open() {
    auto masks = OriginalMasks::open();
    EXPECT_TRUE(masks) << masks.error().message();
    return *std::move(masks);
  }

  std::string path() const { return folder_ + "/vcpu.masks"; }

  std::string folder_;
  ScriptedHypervisor world_;
};

TEST_F(OriginalMasksTest, TheFirstMaskOfARunIsPutBackByAnotherProcess) {
  {
    OriginalMasks masks = open();
    ASSERT_TRUE(masks.remember("a", 1, 1, CpuSet::of({0, 1, 2})));
    ASSERT_TRUE(masks.remember("a", 1, 1, CpuSet::of({2})));  // of our own pin
    ASSERT_TRUE(masks.remember("b", 1, 0, CpuSet::of({3})));
  }
  EXPECT_EQ(open().restore(world_).value(), 2U);
  EXPECT_THAT(world_.asked, ElementsAre("pin a 1 to 0-2", "pin b 0 to 3"));
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_EQ(open().restore(world_).value(), 0U) << "nothing is left to put back";
}

TEST_F(OriginalMasksTest, AGuestThatWasStartedAnewHasNewMasks) {
  OriginalMasks masks = open();
  ASSERT_TRUE(masks.remember("a", 1, 0, CpuSet::of({1})));
  ASSERT_TRUE(masks.remember("a", 2, 0, CpuSet::of({2})));
  ASSERT_TRUE(masks.remember("b", 7, 0, CpuSet::of({3})));
  world_.now.guests[0].run_id = 2;
  EXPECT_EQ(masks.restore(world_).value(), 1U) << "b's run is over";
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 2"));
}

TEST_F(OriginalMasksTest, AGuestThatVanishesMeanwhileIsPassedOver) {
  OriginalMasks masks = open();
  ASSERT_TRUE(masks.remember("a", 1, 0, CpuSet::of({1})));
  ASSERT_TRUE(masks.remember("b", 1, 0, CpuSet::of({1})));
  world_.refusals["a"] = base::ErrorKind::kNotFound;
  EXPECT_EQ(masks.restore(world_).value(), 1U);
}

TEST_F(OriginalMasksTest, WhatCouldNotBePutBackIsNotForgotten) {
  OriginalMasks masks = open();
  ASSERT_TRUE(masks.remember("a", 1, 0, CpuSet::of({1})));
  world_.refusals["a"] = base::ErrorKind::kDenied;
  EXPECT_FALSE(masks.restore(world_));
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(OriginalMasksTest, ADamagedFileIsToldNotOverwritten) {
  for (const std::string text : {"[", "{\"a\":1}", "[{\"uuid\":\"a\"}]",
                                 R"([{"uuid":"a","vcpu":0,"run_id":1,"allowed":"x"}])"}) {
    std::ofstream(path(), std::ios::trunc) << text;
    const auto masks = OriginalMasks::open();
    EXPECT_FALSE(masks) << text;
    EXPECT_EQ(std::filesystem::file_size(path()), text.size());
  }
}

}  // namespace
}  // namespace fairlead::apps
