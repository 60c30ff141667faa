// SPDX-License-Identifier: Apache-2.0
#include "relay/c_api.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/stream_writer.h"

namespace fairlead::relay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RelayCTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "relay-c-" + std::to_string(::getpid());
    ::setenv("FAIRLEAD_RUNTIME_DIR", path_.c_str(), 1);
  }
  void TearDown() override {
    fl_relay_consumer_free(consumer_);
    fl_relay_producer_free(producer_);
    ::unsetenv("FAIRLEAD_RUNTIME_DIR");
    std::filesystem::remove_all(path_);
  }

  fl_relay_written write(std::string_view text) {
    return fl_relay_write(producer_, 3, text.data(), text.size());
  }
  // Payloads until there is none; what the last call said is in `end_`.
  std::vector<std::string> read_all() {
    std::vector<std::string> all;
    while ((end_ = fl_relay_read(consumer_, &record_)) == 1) {
      all.emplace_back(static_cast<const char*>(record_.payload), record_.bytes);
    }
    return all;
  }

  std::string path_;
  fl_relay_producer* producer_ = nullptr;
  fl_relay_consumer* consumer_ = nullptr;
  fl_relay_record record_{};
  int end_ = 0;
};

TEST_F(RelayCTest, OpensConnectsWritesReadsDisconnectsCloses) {
  ASSERT_EQ(fl_relay_open("c", nullptr, &producer_), 0) << fl_relay_error();
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0) << fl_relay_error();
  EXPECT_EQ(write("one"), FL_RELAY_WRITTEN);
  EXPECT_EQ(write("two"), FL_RELAY_WRITTEN);
  EXPECT_EQ(fl_relay_wait(consumer_, 0), 1);
  ASSERT_EQ(fl_relay_read(consumer_, &record_), 1);
  EXPECT_EQ(record_.type, 3);
  EXPECT_EQ(record_.number, 1U);
  EXPECT_NE(record_.stamp, 0U);
  EXPECT_EQ(fl_relay_wait(consumer_, 0), 1) << "the second is in hand";
  EXPECT_THAT(read_all(), ElementsAre("two"));
  EXPECT_EQ(end_, 0);
  EXPECT_EQ(fl_relay_wait(consumer_, 0), 0);
  EXPECT_EQ(fl_relay_close(producer_, 0), 1);
  EXPECT_THAT(read_all(), testing::IsEmpty());
  EXPECT_EQ(end_, -EPIPE);
  EXPECT_EQ(fl_relay_disconnect(consumer_), 0);
}

TEST_F(RelayCTest, TellsOfLossesBeforeTheRecordThatFollowsAndAlone) {
  fl_relay_options options{};
  options.streams = 1;
  options.sub_buffer_bytes = 4096;
  options.sub_buffers = 4;
  ASSERT_EQ(fl_relay_open("c", &options, &producer_), 0);
  EXPECT_EQ(write("early"), FL_RELAY_NOBODY);
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  write("first");
  ASSERT_EQ(fl_relay_read(consumer_, &record_), 1);
  EXPECT_EQ(record_.losses.state, 1U);
  EXPECT_EQ(record_.losses.bytes, 5U);
  EXPECT_EQ(record_.number, 2U);
  EXPECT_EQ(write(std::string(5000, 'x')), FL_RELAY_TOO_BIG);
  EXPECT_EQ(fl_relay_read(consumer_, &record_), 2);
  EXPECT_EQ(record_.losses.big, 1U);
  EXPECT_EQ(record_.payload, nullptr);
  EXPECT_EQ(fl_relay_read(consumer_, &record_), 0) << "told once";
}

TEST_F(RelayCTest, ItemsComeAsTheyWentIn) {
  for (const int overwrite : {0, 1}) {
    fl_relay_options options{};
    options.streams = 1;
    options.item_bytes = 5;
    options.overwrite = overwrite;
    ASSERT_EQ(fl_relay_open("c", &options, &producer_), 0) << fl_relay_error();
    ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
    write("12345");
    EXPECT_EQ(write("123"), FL_RELAY_TOO_BIG);
    write("abcde");
    EXPECT_THAT(read_all(), ElementsAre("12345", "abcde"));
    fl_relay_consumer_free(std::exchange(consumer_, nullptr));
    fl_relay_producer_free(std::exchange(producer_, nullptr));
  }
}

TEST_F(RelayCTest, WrongOrdersAreErrorsWithAWord) {
  EXPECT_EQ(fl_relay_connect("c", &consumer_), -ENOENT);
  ASSERT_EQ(fl_relay_open("c", nullptr, &producer_), 0);
  fl_relay_producer* second = nullptr;
  EXPECT_EQ(fl_relay_open("c", nullptr, &second), -EEXIST);
  EXPECT_THAT(fl_relay_error(), HasSubstr("has a relay channel 'c' already"));
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  fl_relay_consumer* other = nullptr;
  EXPECT_EQ(fl_relay_connect("c", &other), -EBUSY);
  EXPECT_EQ(fl_relay_disconnect(consumer_), 0);
  EXPECT_EQ(fl_relay_disconnect(consumer_), -ENOTCONN);
  EXPECT_EQ(fl_relay_read(consumer_, &record_), -ENOTCONN);
  EXPECT_EQ(fl_relay_poll_fd(consumer_), -ENOTCONN);
  EXPECT_EQ(fl_relay_close(producer_, 0), 1);
  EXPECT_EQ(fl_relay_close(producer_, 0), -ENOTCONN);
  EXPECT_EQ(write("late"), FL_RELAY_CLOSED);
  fl_relay_options wrong{};
  wrong.streams = 99;
  EXPECT_EQ(fl_relay_open("d", &wrong, &second), -EINVAL);
  EXPECT_EQ(fl_relay_open("a/b", nullptr, &second), -EINVAL);
  EXPECT_EQ(fl_relay_connect_fd(-1, 4096, &other), -EBADF);
}

TEST_F(RelayCTest, ADescriptorDoesWithoutAName) {
  fl_relay_options options{};
  options.keep = 1;
  ASSERT_EQ(fl_relay_open(nullptr, &options, &producer_), 0);
  write("kept");
  std::uint64_t bytes = 0;
  const int fd = fl_relay_fd(producer_, &bytes);
  ASSERT_EQ(fl_relay_connect_fd(fd, bytes, &consumer_), 0) << fl_relay_error();
  pollfd one{fl_relay_poll_fd(consumer_), POLLIN, 0};
  ASSERT_EQ(::poll(&one, 1, 5000), 1);
  EXPECT_THAT(read_all(), ElementsAre("kept"));
  EXPECT_GT(fl_relay_stamps_per_second(consumer_), 1'000'000U);
  EXPECT_EQ(fl_relay_no_stream(consumer_), 0U);
}

TEST_F(RelayCTest, WhatWasHandedOutToTheEndIsNotHandedOutAgain) {
  ASSERT_EQ(fl_relay_open("c", nullptr, &producer_), 0);
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  write("one");
  ASSERT_EQ(fl_relay_read(consumer_, &record_), 1);
  fl_relay_consumer_free(std::exchange(consumer_, nullptr));
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  write("two");
  EXPECT_THAT(read_all(), ElementsAre("two"));
}

// The two enums are one.
static_assert(FL_RELAY_WRITTEN == static_cast<int>(Written::kDone));
static_assert(FL_RELAY_FULL == static_cast<int>(Written::kFull));
static_assert(FL_RELAY_TOO_BIG == static_cast<int>(Written::kTooBig));
static_assert(FL_RELAY_NOBODY == static_cast<int>(Written::kNobody));
static_assert(FL_RELAY_CLOSED == static_cast<int>(Written::kClosed));
static_assert(FL_RELAY_NESTED == static_cast<int>(Written::kNested));
static_assert(FL_RELAY_NO_STREAM == static_cast<int>(Written::kNoStream));

}  // namespace
}  // namespace fairlead::relay
