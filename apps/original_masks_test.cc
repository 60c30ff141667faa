// SPDX-License-Identifier: Apache-2.0
#include "apps/original_masks.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/testing_hypervisor.h"

namespace fairlead::apps {
namespace {

using manage::CpuSet;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

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
    guest.uuid = uuid;
    guest.name = "guest " + uuid;
    guest.run_id = run_id;
    guest.process_ns = 1'000;
    guest.vcpus = {{0, true, 0, 0, CpuSet::of({0})}, {1, true, 0, 0, CpuSet::of({0})}};
    world_.now.guests.push_back(guest);
  }

  static OriginalMasks open(const std::string& uri = "here:///") {
    auto masks = OriginalMasks::open(uri);
    EXPECT_TRUE(masks) << masks.error().message();
    return *std::move(masks);
  }

  // Pins a guest of world_ to processor 9; what that asked of it is forgotten.
  bool pin(OriginalMasks& masks, std::size_t guest, std::uint32_t vcpu, const CpuSet& before) {
    const auto& which = world_.now.guests[guest];
    const bool done = masks
                          .pin(world_,
                               {.uuid = which.uuid,
                                .name = which.name,
                                .vcpu = vcpu,
                                .before = before,
                                .pcpu = 9,
                                .why = ""},
                               OriginalMasks::Run::of(which))
                          .has_value();
    world_.asked.clear();
    return done;
  }

  OriginalMasks::Restored restore(const std::string& uri = "here:///") {
    const auto restored = open(uri).restore(world_);
    EXPECT_TRUE(restored) << restored.error().message();
    return restored.value_or(OriginalMasks::Restored{});
  }

  std::string path() const { return folder_ + "/vcpu.masks"; }
  bool is_kept() const { return std::filesystem::exists(path()); }

  std::string text() const {
    std::ifstream in(path());
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string folder_;
  ScriptedHypervisor world_;
};

TEST_F(OriginalMasksTest, TheFirstMaskOfARunIsPutBackByAnotherProcess) {
  {
    OriginalMasks masks = open();
    ASSERT_TRUE(pin(masks, 0, 1, CpuSet::of({0, 1, 2})));
    ASSERT_TRUE(pin(masks, 0, 1, CpuSet::of({9})));  // of our own pin
    ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({3})));
  }
  EXPECT_EQ(restore().vcpus, 2U);
  EXPECT_THAT(world_.asked, ElementsAre("pin a 1 to 0-2", "pin b 0 to 3"));
  EXPECT_FALSE(is_kept());
  EXPECT_EQ(restore().vcpus, 0U) << "nothing is left to put back";
}

TEST_F(OriginalMasksTest, TheMaskIsOnTheDiskBeforeTheVcpuGetsAnother) {
  class Looking final : public ScriptedHypervisor {
   public:
    explicit Looking(std::string path) : path_(std::move(path)) {}
    base::Status pin(const std::string&, std::uint32_t, const CpuSet&) override {
      was_written = std::filesystem::exists(path_);
      return {};
    }
    bool was_written = false;

   private:
    std::string path_;
  };
  Looking looking(path());
  const manage::Pin pin{
      .uuid = "a", .name = "a", .vcpu = 0, .before = CpuSet::of({1}), .pcpu = 9, .why = ""};
  ASSERT_TRUE(open().pin(looking, pin, {.id = 1, .process_ns = {}}));
  EXPECT_TRUE(looking.was_written);
}

TEST_F(OriginalMasksTest, WhatCouldNotBeWrittenDownIsNotPinned) {
  OriginalMasks masks = open();
  std::filesystem::create_directory(path());
  std::filesystem::create_directory(path() + "/in the way");
  EXPECT_FALSE(pin(masks, 0, 0, CpuSet::of({1})));
  EXPECT_FALSE(pin(masks, 0, 0, CpuSet::of({1}))) << "nor the second time";
  std::filesystem::remove_all(path());
  EXPECT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  EXPECT_EQ(restore().vcpus, 1U);
}

TEST_F(OriginalMasksTest, ARefusedPinLeavesNoMask) {
  OriginalMasks masks = open();
  world_.refusals["a"] = base::ErrorKind::kBusy;
  EXPECT_FALSE(pin(masks, 0, 0, CpuSet::of({1})));
  EXPECT_FALSE(is_kept());
  world_.refusals.clear();
  EXPECT_TRUE(pin(masks, 0, 0, CpuSet::of({2})));  // its owner's, meanwhile
  world_.refusals["a"] = base::ErrorKind::kBusy;
  EXPECT_FALSE(pin(masks, 0, 0, CpuSet::of({9}))) << "the mask before was no new one";
  world_.refusals.clear();
  EXPECT_EQ(restore().vcpus, 1U);
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 2"));
}

TEST_F(OriginalMasksTest, APinWhoseConnectionBrokeMayHaveBeenCarriedOut) {
  OriginalMasks masks = open();
  world_.refusals["a"] = base::ErrorKind::kClosed;
  EXPECT_FALSE(pin(masks, 0, 0, CpuSet::of({1})));
  EXPECT_TRUE(is_kept());
}

TEST_F(OriginalMasksTest, AGuestThatWasStartedAnewHasNewMasks) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({3})));
  world_.now.guests[0].run_id = 2;
  world_.now.guests[1].run_id = 3;
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({2})));
  const auto restored = restore();
  EXPECT_EQ(restored.vcpus, 1U) << "b's run is over";
  EXPECT_THAT(restored.kept, ElementsAre());
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 2"));
  EXPECT_FALSE(is_kept());
}

TEST_F(OriginalMasksTest, ARunOfTheSameNumberThatHasUsedLessIsAnotherOne) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({3})));
  for (auto& guest : world_.now.guests) guest.process_ns = 999;
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({2})));
  EXPECT_EQ(restore().vcpus, 1U) << "b's run is over";
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 2"));
}

TEST_F(OriginalMasksTest, ARunThatHasUsedMoreOrDoesNotSayIsTheSame) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({3})));
  world_.now.guests[0].process_ns = 1'001;
  world_.now.guests[1].process_ns.reset();
  EXPECT_EQ(restore().vcpus, 2U);
}

TEST_F(OriginalMasksTest, NoRunOutlivesItsHost) {
  {
    OriginalMasks masks = open();
    ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  }
  std::string changed = text();
  const std::string key = R"("boot_id":")";
  changed.replace(changed.find(key) + key.size(), 8, "00000000");
  std::ofstream(path(), std::ios::trunc) << changed;
  EXPECT_EQ(restore().vcpus, 0U);
  EXPECT_TRUE(world_.asked.empty());
  EXPECT_FALSE(is_kept());
}

TEST_F(OriginalMasksTest, AGuestThatEndsMeanwhileIsPassedOver) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({1})));
  world_.refusals["a"] = base::ErrorKind::kNotFound;
  const auto restored = restore();
  EXPECT_EQ(restored.vcpus, 1U);
  EXPECT_THAT(restored.kept, ElementsAre());
  EXPECT_FALSE(is_kept());
}

TEST_F(OriginalMasksTest, OneThatCannotBePutBackIsKeptAndDoesNotStopTheOthers) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({2})));
  world_.refusals["a"] = base::ErrorKind::kBusy;
  const auto restored = restore();
  EXPECT_EQ(restored.vcpus, 1U);
  EXPECT_THAT(restored.kept, ElementsAre("guest a vCPU 0: refused to guest a"));
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 1", "pin b 0 to 2"));
  world_.refusals.clear();
  world_.asked.clear();
  EXPECT_EQ(restore().vcpus, 1U);
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to 1")) << "b's was put back before";
}

TEST_F(OriginalMasksTest, AGuestThatIsNotSeenIsKeptUnlessItHasEnded) {
  {
    OriginalMasks masks = open();
    ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
    ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({2})));
  }
  const auto guests = std::exchange(world_.now.guests, {});
  world_.refusals = {{"a", base::ErrorKind::kInvalid}, {"b", base::ErrorKind::kNotFound}};
  const auto restored = restore();
  EXPECT_EQ(restored.vcpus, 0U);
  EXPECT_THAT(restored.kept,
              ElementsAre("guest a vCPU 0: its guest is neither running nor paused nor ended"));
  EXPECT_THAT(world_.asked, ElementsAre("pin a 0 to ", "pin b 0 to ")) << "to nothing: a question";
  world_.refusals["a"] = base::ErrorKind::kClosed;
  EXPECT_THAT(restore().kept, ElementsAre("guest a vCPU 0: refused to guest a"));

  world_.now.guests = guests;
  world_.refusals.clear();
  EXPECT_EQ(restore().vcpus, 1U) << "a's";
}

TEST_F(OriginalMasksTest, AVcpuThatIsNotPluggedInIsKept) {
  OriginalMasks masks = open();
  ASSERT_TRUE(pin(masks, 0, 1, CpuSet::of({1})));
  world_.now.guests[0].vcpus.pop_back();
  EXPECT_THAT(restore().kept, ElementsAre("guest a vCPU 1: it is not plugged in"));
  EXPECT_TRUE(world_.asked.empty());
  EXPECT_TRUE(is_kept());
}

TEST_F(OriginalMasksTest, MasksOfAnotherLibvirtAreKeptForIt) {
  {
    OriginalMasks masks = open("there:///");
    ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1})));
    ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({2})));
  }
  const auto guests = world_.now.guests;
  world_.now.guests.erase(world_.now.guests.begin());
  world_.now.guests[0].run_id = 5;
  EXPECT_THAT(restore("here:///").kept,
              ElementsAre("guest a vCPU 0: its guest is one of --uri there:///",
                          "guest b vCPU 0: its guest is one of --uri there:///"));
  EXPECT_TRUE(world_.asked.empty());

  world_.now.guests = guests;
  EXPECT_EQ(restore("here:///").vcpus, 2U) << "another name of the same";
}

TEST_F(OriginalMasksTest, APreviewChangesNothing) {
  EXPECT_TRUE(OriginalMasks::look("here:///")->preview(world_)->empty());
  ::setenv("FAIRLEAD_RUNTIME_DIR", (folder_ + "/none").c_str(), 1);
  EXPECT_TRUE(OriginalMasks::look("here:///")->preview(world_)->empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/none"));
  ::setenv("FAIRLEAD_RUNTIME_DIR", folder_.c_str(), 1);
  OriginalMasks masks = open();
  add_guest("c", 1);
  ASSERT_TRUE(pin(masks, 0, 0, CpuSet::of({1, 2})));
  ASSERT_TRUE(pin(masks, 0, 1, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 1, 0, CpuSet::of({1})));
  ASSERT_TRUE(pin(masks, 2, 0, CpuSet::of({1})));
  add_guest("d", 1);
  ASSERT_TRUE(pin(masks, 3, 0, CpuSet::of({0})));  // where it is again, as a dry run leaves it
  world_.now.guests[0].vcpus.pop_back();
  world_.now.guests[1].run_id = 2;
  world_.now.guests.erase(world_.now.guests.begin() + 2);
  const std::string before = text();
  EXPECT_THAT(*OriginalMasks::look("here:///")->preview(world_),
              ElementsAre("guest a vCPU 0: 0 -> 1-2", "guest a vCPU 1: kept: it is not plugged in",
                          "guest c vCPU 0: not seen; kept unless its guest has ended"));
  EXPECT_TRUE(world_.asked.empty());
  EXPECT_EQ(text(), before);
}

TEST_F(OriginalMasksTest, ADamagedFileIsToldInOneLineAndNotOverwritten) {
  const auto with = [](const std::string& vcpu, const std::string& allowed) {
    return R"({"boot_id":"x","masks":[{"uuid":"a","name":"a","uri":"u","run_id":1,"vcpu":)" + vcpu +
           R"(,"allowed":)" + allowed + "}]}";
  };
  for (const std::string& text :
       {std::string(), std::string("["), std::string("null"), std::string("[]"),
        std::string(R"({"boot_id":"x"})"), std::string(R"({"boot_id":"x","masks":null})"),
        std::string(R"({"boot_id":"x","masks":[null]})"),
        std::string(R"({"boot_id":"x","masks":[{"uuid":"a"}]})"), with("-1", R"("0")"),
        with("1.5", R"("0")"), with("4294967296", R"("0")"), with("\"0\"", R"("0")"),
        with("0", R"("x")"), with("0", "7"), with("0", R"("")"),
        with(R"(0,"run_id":-1)", R"("0")")}) {
    std::ofstream(path(), std::ios::trunc) << text;
    const auto masks = OriginalMasks::open("here:///");
    ASSERT_FALSE(masks) << text;
    EXPECT_THAT(
        masks.error().message(),
        AllOf(StartsWith(path() + " is damaged ("),
              EndsWith(") (remove it if the masks of before may be lost)"), Not(HasSubstr("\n"))));
    EXPECT_EQ(std::filesystem::file_size(path()), text.size());
  }
  std::ofstream(path(), std::ios::trunc) << with("0", R"("0")");
  EXPECT_TRUE(OriginalMasks::open("here:///")) << "what is wrong above is what it says";
}

}  // namespace
}  // namespace fairlead::apps
