// SPDX-License-Identifier: Apache-2.0
#include "relay/registry.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using daemon::RuntimeDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RelayRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "relay-registry-" + std::to_string(::getpid());
    auto folder = RuntimeDir::open_at(path_, RuntimeDir::Purpose::kServe);
    ASSERT_TRUE(folder) << folder.error().message();
    folder_ = std::make_unique<RuntimeDir>(std::move(*folder));
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name) const { return path_ + "/relay/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directory(path_ + "/relay");
    std::ofstream(file(name)) << text;
  }
  bool there(const std::string& name) const { return std::filesystem::exists(file(name)); }

  // A producer in a process of its own, that was killed.
  void leave_a_dead_one(const std::string& name) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto producer = Producer::open({});
      auto announced = Announcement::make(*folder_, name, *producer);
      const char good = announced ? 'y' : 'n';
      if (::write(ready[1], &good, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char good = 0;
    ASSERT_EQ(::read(ready[0], &good, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    EXPECT_EQ(good, 'y');
    EXPECT_TRUE(connect_by_name(*folder_, name)) << "while it lives";
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  }

  std::string path_;
  std::unique_ptr<RuntimeDir> folder_;
};

TEST_F(RelayRegistryTest, AConsumerFindsAChannelByItsName) {
  auto producer = Producer::open({});
  ASSERT_TRUE(producer);
  {
    const auto announced = Announcement::make(*folder_, "blocks", *producer);
    ASSERT_TRUE(announced) << announced.error().message();
    auto consumer = connect_by_name(*folder_, "blocks");
    ASSERT_TRUE(consumer) << consumer.error().message();
    EXPECT_EQ(consumer->id(), producer->id());
    EXPECT_EQ(connect_by_name(*folder_, "blocks").error().kind(), ErrorKind::kBusy);
    EXPECT_THAT(*relay::announced(*folder_), ElementsAre("blocks"));
  }
  EXPECT_FALSE(there("blocks")) << "it was withdrawn";
  EXPECT_EQ(connect_by_name(*folder_, "blocks").error().message(),
            "there is no relay channel 'blocks'");
}

TEST_F(RelayRegistryTest, ALivingProducerKeepsItsName) {
  auto first = Producer::open({});
  const auto announced = Announcement::make(*folder_, "one", *first);
  auto second = Producer::open({});
  const auto again = Announcement::make(*folder_, "one", *second);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kExists);
  EXPECT_THAT(again.error().message(), HasSubstr("process " + std::to_string(::getpid())));
}

TEST_F(RelayRegistryTest, TheNameOfADeadOneIsFree) {
  leave_a_dead_one("dead");
  EXPECT_TRUE(there("dead"));
  EXPECT_THAT(*announced(*folder_), IsEmpty());
  const auto nobody = connect_by_name(*folder_, "dead");
  EXPECT_EQ(nobody.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(nobody.error().message(), HasSubstr("its producer has ended"));
  EXPECT_FALSE(there("dead")) << "whoever meets it clears it up";

  leave_a_dead_one("dead");
  auto producer = Producer::open({});
  EXPECT_TRUE(Announcement::make(*folder_, "dead", *producer));
}

// Killed before it could give the file its name.
TEST_F(RelayRegistryTest, ADraftThatWasLeftIsNobodysAndGoesWithTheNextOne) {
  auto producer = Producer::open({});
  ASSERT_TRUE(producer);
  {
    auto announced = Announcement::make(*folder_, "one", *producer);
    ASSERT_TRUE(announced);
    std::filesystem::copy_file(file("one"), file(".one"));
    EXPECT_THAT(*relay::announced(*folder_), ElementsAre("one"));
  }
  EXPECT_TRUE(there(".one"));
  auto announced = Announcement::make(*folder_, "one", *producer);
  ASSERT_TRUE(announced);
  EXPECT_FALSE(there(".one"));
}

TEST_F(RelayRegistryTest, AClosedChannelLeavesItsNameToTheNextOne) {
  auto first = Producer::open({});
  auto old = Announcement::make(*folder_, "name", *first);
  ASSERT_TRUE(old);
  ASSERT_TRUE(first->close({}));
  auto second = Producer::open({});
  const auto now = Announcement::make(*folder_, "name", *second);
  ASSERT_TRUE(now) << now.error().message();
  {
    const Announcement ended = std::move(*old);
  }
  EXPECT_TRUE(connect_by_name(*folder_, "name")) << "the old one has not withdrawn the new one";
}

// Its descriptor has somebody else by now, who happens to have the same memory.
TEST_F(RelayRegistryTest, WhatAProducerHasClosedIsNotFoundThoughItsMemoryIs) {
  auto producer = Producer::open({});
  const int number = producer->fd();
  const base::Fd memory(::dup(number));
  const auto announced = Announcement::make(*folder_, "closed", *producer);
  ASSERT_TRUE(announced);
  ASSERT_TRUE(producer->close({}));
  ASSERT_EQ(::dup2(memory.get(), number), number);
  EXPECT_EQ(connect_by_name(*folder_, "closed").error().kind(), ErrorKind::kNotFound);
  ::close(number);
}

TEST_F(RelayRegistryTest, AnAnnouncementThatIsReplacedIsWithdrawn) {
  auto first = Producer::open({});
  auto second = Producer::open({});
  auto announced = Announcement::make(*folder_, "first", *first);
  ASSERT_TRUE(announced);
  auto other = Announcement::make(*folder_, "second", *second);
  ASSERT_TRUE(other);
  *announced = std::move(*other);
  EXPECT_FALSE(there("first"));
  EXPECT_TRUE(there("second"));
}

TEST_F(RelayRegistryTest, MemoryWithoutADescriptorCannotBeAnnounced) {
  auto producer = Producer::open({});
  ASSERT_TRUE(producer->close({}));
  EXPECT_EQ(Announcement::make(*folder_, "closed", *producer).error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(there("closed"));
}

TEST_F(RelayRegistryTest, NamesAreListedInOrderAndNobodyElseMayLook) {
  std::vector<Producer> producers;
  std::vector<Announcement> all;
  const std::vector<std::string> names{"b", "e", "a", "d", "c", "f"};
  for (const std::string& name : names) {
    producers.push_back(std::move(*Producer::open({.streams = 1})));
    all.push_back(std::move(*Announcement::make(*folder_, name, producers.back())));
  }
  EXPECT_THAT(*relay::announced(*folder_), ElementsAre("a", "b", "c", "d", "e", "f"));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path_ + "/relay").permissions(), perms::owner_all);
  EXPECT_EQ(std::filesystem::status(file("a")).permissions(),
            perms::owner_read | perms::owner_write);
}

TEST_F(RelayRegistryTest, AForkedChildWithdrawsNothing) {
  auto producer = Producer::open({});
  const auto announced = Announcement::make(*folder_, "parent", *producer);
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const Announcement mine = std::move(const_cast<Announcement&>(*announced));
    }
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(there("parent"));
}

TEST_F(RelayRegistryTest, WhatIsNoAnnouncementIsToldAndLeft) {
  const std::string id(32, '0');
  for (const std::string& text : std::vector<std::string>{
           "", "junk\n", "1 2 3\n", "-1 2 3 " + id + "\n", "1 -2 3 " + id + "\n", "1 2 3 " + id,
           "1 2 3 " + id + "\nmore", std::string(500, '1')}) {
    write("bad", text);
    const auto consumer = connect_by_name(*folder_, "bad");
    ASSERT_FALSE(consumer);
    EXPECT_TRUE(there("bad")) << text;
    EXPECT_THAT(consumer.error().message(), HasSubstr("/relay/bad")) << text;
  }
  write("stranger", std::to_string(::getpid()) + " 1 4096 " + id + "\n");
  EXPECT_EQ(connect_by_name(*folder_, "stranger").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(connect_by_name(*folder_, "../x").error().kind(), ErrorKind::kInvalid);
}

TEST_F(RelayRegistryTest, MemoryThatIsNotTheOneAnnouncedIsNotTaken) {
  auto producer = Producer::open({});
  const std::string other(32, 'a');
  write("other", std::to_string(::getpid()) + " " + std::to_string(producer->fd()) + " " +
                     std::to_string(producer->bytes()) + " " + other + "\n");
  EXPECT_EQ(connect_by_name(*folder_, "other").error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace fairlead::relay
