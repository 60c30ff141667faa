// SPDX-License-Identifier: Apache-2.0
#include "relay/c_api.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "fairlead/abi/relay.h"
#include "relay/stamp.h"
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
    while (all.size() < 10'000 && (end_ = fl_relay_read(consumer_, &record_)) == 1) {
      all.emplace_back(static_cast<const char*>(record_.payload), record_.bytes);
    }
    return all;
  }

  std::string path_;
  fl_relay_producer* producer_ = nullptr;
  fl_relay_consumer* consumer_ = nullptr;
  fl_relay_record record_{};
  fl_relay_batch batch_{};
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

TEST_F(RelayCTest, ReadsSoMuchAtOnce) {
  fl_relay_options options{};
  options.streams = 1;
  ASSERT_EQ(fl_relay_open("c", &options, &producer_), 0);
  write("lost: nobody is there");
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  const auto batch_of = [&](std::size_t most) {
    std::vector<std::string> all;
    end_ = fl_relay_read_many(consumer_, most, &batch_);
    if (end_ != 1) return all;
    EXPECT_EQ(batch_.taken, 0U);
    while (fl_relay_next(&batch_, &record_) == 1) {
      EXPECT_EQ(record_.number, batch_.first + all.size());
      EXPECT_EQ(record_.type, 3);
      EXPECT_NE(record_.stamp, 0U);
      EXPECT_EQ(record_.stream, 0U);
      all.emplace_back(static_cast<const char*>(record_.payload), record_.bytes);
    }
    EXPECT_EQ(batch_.taken, batch_.records);
    EXPECT_EQ(batch_.at, batch_.bytes);
    return all;
  };
  // A header of 16 bytes and three, rounded up: 24.
  for (const char* text : {"one", "two", "six", "ten"}) write(text);
  EXPECT_THAT(batch_of(71), ElementsAre("one", "two"));
  EXPECT_EQ(batch_.losses.state, 1U);
  EXPECT_EQ(batch_.first, 2U);
  EXPECT_THAT(batch_of(48), ElementsAre("six", "ten"));
  EXPECT_EQ(batch_.losses.state, 0U);
  EXPECT_EQ(batch_.first, 4U);
  EXPECT_TRUE(batch_of(48).empty());
  EXPECT_EQ(end_, 0);
  EXPECT_EQ(fl_relay_next(&batch_, &record_), 0) << "nothing is in it";

  // The first is given however long it is; reads of both kinds take turns.
  write(std::string(100, 'x'));
  for (const char* text : {"one", "two", "six", "ten"}) write(text);
  EXPECT_THAT(batch_of(1), ElementsAre(std::string(100, 'x')));
  ASSERT_EQ(fl_relay_read(consumer_, &record_), 1);
  EXPECT_EQ(record_.number, 7U);
  EXPECT_THAT(batch_of(48), ElementsAre("two", "six")) << "the rest of what is in hand";
  EXPECT_EQ(fl_relay_wait(consumer_, 0), 1);
  EXPECT_THAT(batch_of(SIZE_MAX), ElementsAre("ten"));

  write(std::string(70'000, 'x'));
  EXPECT_TRUE(batch_of(64).empty());
  EXPECT_EQ(end_, 2);
  EXPECT_EQ(batch_.losses.big, 1U);
  EXPECT_EQ(fl_relay_close(producer_, 0), 1);
  EXPECT_TRUE(batch_of(64).empty());
  EXPECT_EQ(end_, -EPIPE);
}

TEST_F(RelayCTest, ReadsSoManyItemsAtOnce) {
  for (const int overwrite : {0, 1}) {
    fl_relay_options options{};
    options.streams = 1;
    options.item_bytes = 5;
    options.overwrite = overwrite;
    ASSERT_EQ(fl_relay_open("c", &options, &producer_), 0);
    ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
    for (const char* text : {"11111", "22222", "33333", "44444"}) write(text);
    const std::size_t stride = overwrite != 0 ? 8 : 5;
    ASSERT_EQ(fl_relay_read_many(consumer_, 3 * stride - 1, &batch_), 1);
    EXPECT_EQ(batch_.records, 2U);
    EXPECT_EQ(batch_.stride, stride);
    EXPECT_EQ(batch_.item_bytes, 5U);
    EXPECT_EQ(batch_.bytes, 2 * stride);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(batch_.data) + stride, 5), "22222");
    ASSERT_EQ(fl_relay_read_many(consumer_, 0, &batch_), 1) << "one is the least";
    EXPECT_EQ(batch_.records, 1U);
    ASSERT_EQ(fl_relay_next(&batch_, &record_), 1);
    EXPECT_EQ(std::string(static_cast<const char*>(record_.payload), record_.bytes), "33333");
    EXPECT_EQ(record_.number, 3U);
    EXPECT_EQ(record_.stamp, 0U);
    EXPECT_EQ(fl_relay_next(&batch_, &record_), 0);
    EXPECT_THAT(read_all(), ElementsAre("44444"));
    fl_relay_consumer_free(std::exchange(consumer_, nullptr));
    fl_relay_producer_free(std::exchange(producer_, nullptr));
  }
}

// A card's memory, of one host.
class RelayCCardTest : public RelayCTest {
 protected:
  void SetUp() override {
    RelayCTest::SetUp();
    options_.streams = 1;
    options_.sub_buffer_bytes = 4096;
    options_.sub_buffers = 4;
    bytes_ = fl_relay_bytes(&options_);
    ASSERT_GE(bytes_, 3U * 4096 + 4U * 4096);
    card_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(card_, MAP_FAILED);
  }
  void TearDown() override {
    RelayCTest::TearDown();
    ::munmap(card_, bytes_);
  }
  void open_and_connect() {
    ASSERT_EQ(fl_relay_open_in(card_, bytes_, &options_, &producer_), 0) << fl_relay_error();
    ASSERT_EQ(fl_relay_connect_in(card_, bytes_, &consumer_), 0) << fl_relay_error();
  }
  // `work`, while the producer answers.
  void while_answering(const std::function<void()>& work) {
    std::atomic<bool> over{false};
    std::thread answers([&] {
      while (!over) fl_relay_answer_clock(producer_, 200);
    });
    work();
    over = true;
    answers.join();
  }

  fl_relay_options options_{};
  std::uint64_t bytes_ = 0;
  void* card_ = nullptr;
  fl_relay_clock clock_{};
  fl_relay_time time_{};
};

TEST_F(RelayCCardTest, CarriesRecords) {
  EXPECT_EQ(fl_relay_connect_in(card_, bytes_, &consumer_), -EPROTO) << "nobody has opened it";
  EXPECT_EQ(fl_relay_open_in(card_, bytes_ - 1, &options_, &producer_), -EINVAL);
  auto* const odd = static_cast<char*>(card_) + 64;
  EXPECT_EQ(fl_relay_open_in(odd, bytes_, &options_, &producer_), -EINVAL);
  EXPECT_EQ(fl_relay_connect_in(odd, bytes_, &consumer_), -EINVAL);
  open_and_connect();
  EXPECT_EQ(fl_relay_connected(producer_), 1);
  EXPECT_EQ(fl_relay_fd(producer_, nullptr), -1);
  EXPECT_EQ(write("through a card"), FL_RELAY_WRITTEN);
  EXPECT_THAT(read_all(), ElementsAre("through a card"));
  EXPECT_EQ(fl_relay_has_room(producer_, 4096 - 128 - 16), 1);
  for (const std::size_t most : {SIZE_MAX, SIZE_MAX - 15, std::size_t{4096}}) {
    EXPECT_EQ(fl_relay_has_room(producer_, most), 0) << most;
  }
  while (write(std::string(900, 'x')) == FL_RELAY_WRITTEN) continue;
  EXPECT_EQ(fl_relay_has_room(producer_, 900), 0);
  options_.sub_buffers = 3;
  EXPECT_EQ(fl_relay_bytes(&options_), 0U);
  EXPECT_THAT(fl_relay_error(), HasSubstr("not 3"));
}

// One clock on both sides: the truth is 0.
TEST_F(RelayCCardTest, MeasuresAClockAndTellsTheTimeOfARecord) {
  open_and_connect();
  EXPECT_EQ(fl_relay_answer_clock(producer_, 0), 0) << "nobody asks";
  EXPECT_GT(fl_relay_heartbeat(consumer_), 0U);
  EXPECT_EQ(fl_relay_clock_of(consumer_, &clock_), -ENODATA);
  EXPECT_EQ(fl_relay_time_of(consumer_, 1, &time_), -ENODATA);
  EXPECT_EQ(fl_relay_measure_clock(consumer_, 1, 1, &clock_), -ETIMEDOUT);
  EXPECT_EQ(fl_relay_answer_clock(producer_, 0), 1) << "too late, but it was asked";
  const std::uint64_t began = stamp();
  while_answering([&] {
    EXPECT_EQ(fl_relay_measure_clock(consumer_, 0, 20'000, &clock_), 0) << fl_relay_error();
  });
  EXPECT_LE(static_cast<std::uint64_t>(std::abs(clock_.offset)), clock_.half_width);
  EXPECT_EQ(clock_.steps, 0U);
  EXPECT_GE(clock_.at, began);
  EXPECT_LE(clock_.at, stamp());
  const fl_relay_clock measured = clock_;
  ASSERT_EQ(fl_relay_clock_of(consumer_, &clock_), 0);
  EXPECT_EQ(clock_.offset, measured.offset);
  EXPECT_EQ(clock_.half_width, measured.half_width);

  const std::int64_t before = base::monotonic_ns();
  write("now");
  const std::int64_t after = base::monotonic_ns();
  ASSERT_EQ(fl_relay_read(consumer_, &record_), 1);
  ASSERT_EQ(fl_relay_time_of(consumer_, record_.stamp, &time_), 0);
  EXPECT_EQ(time_.stamp, record_.stamp - static_cast<std::uint64_t>(clock_.offset));
  EXPECT_EQ(time_.half_width, clock_.half_width);
  const auto bound = static_cast<std::int64_t>(time_.half_width_ns);
  EXPECT_GE(time_.monotonic_ns + bound, before);
  EXPECT_LE(time_.monotonic_ns - bound, after);
  EXPECT_GE(time_.half_width_ns, ns_in(clock_.half_width));
}

TEST_F(RelayCCardTest, AStepOfTheClockIsToldOnceAndCounted) {
  open_and_connect();
  auto& sync = reinterpret_cast<abi::RelayProducerPage*>(static_cast<char*>(card_) + 4096)->sync;
  auto& asked = reinterpret_cast<abi::RelayConsumerPage*>(static_cast<char*>(card_) + 8192)->sync;
  constexpr std::chrono::milliseconds kSlow(2);
  // Answers as a guest whose counter is so much ahead.
  const auto measure = [&](std::int64_t ahead) {
    std::atomic<bool> over{false};
    std::thread answers([&] {
      for (std::uint64_t round = 0; !over;) {
        const std::uint64_t now = asked.round.load();
        if (now == round) continue;
        sync.stamp = ordered_stamp() + static_cast<std::uint64_t>(ahead);
        std::this_thread::sleep_for(kSlow);  // so that the bound is wide
        sync.round = round = now;
      }
    });
    const int status = fl_relay_measure_clock(consumer_, 4, 20'000, &clock_);
    over = true;
    answers.join();
    return status;
  };
  const auto holds = [&](std::int64_t truth) {
    return static_cast<std::uint64_t>(std::abs(clock_.offset - truth)) <= clock_.half_width;
  };
  constexpr std::int64_t kFar = 1'000'000'000'000;
  EXPECT_EQ(measure(kFar), 0);
  EXPECT_TRUE(holds(kFar)) << clock_.offset;
  EXPECT_EQ(measure(kFar), 0);
  EXPECT_EQ(measure(-kFar), 1) << "it stepped";
  EXPECT_TRUE(holds(-kFar)) << clock_.offset;
  EXPECT_EQ(clock_.steps, 1U);
  EXPECT_EQ(measure(-kFar), 0);
  ASSERT_EQ(fl_relay_time_of(consumer_, 77, &time_), 0);
  EXPECT_EQ(time_.steps, 1U);
  EXPECT_EQ(time_.stamp, 77 - static_cast<std::uint64_t>(clock_.offset));
  ASSERT_EQ(fl_relay_time_of(consumer_, stamp() - static_cast<std::uint64_t>(kFar), &time_), 0);
  EXPECT_GE(time_.half_width_ns, 1'000'000U) << "half of what an answer takes";
}

TEST_F(RelayCTest, AProducerOfThisKernelHasOurClock) {
  ASSERT_EQ(fl_relay_open("c", nullptr, &producer_), 0);
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  fl_relay_clock clock{};
  ASSERT_EQ(fl_relay_clock_of(consumer_, &clock), 0);
  EXPECT_EQ(clock.offset, 0);
  EXPECT_EQ(clock.half_width, 0U);
  fl_relay_time time{};
  ASSERT_EQ(fl_relay_time_of(consumer_, stamp(), &time), 0);
  EXPECT_LT(time.half_width_ns, 1'000'000'000U);
}

// Where opening or connecting has failed, and in the places of a producer that died.
TEST_F(RelayCTest, NoChannelIsAnErrorInEachCallAndCounted) {
  producer_ = reinterpret_cast<fl_relay_producer*>(this);
  consumer_ = reinterpret_cast<fl_relay_consumer*>(this);
  fl_relay_options wrong{};
  wrong.streams = 99;
  EXPECT_EQ(fl_relay_open("c", &wrong, &producer_), -EINVAL);
  EXPECT_EQ(fl_relay_connect("c", &consumer_), -ENOENT);
  ASSERT_EQ(producer_, nullptr);
  ASSERT_EQ(consumer_, nullptr);
  EXPECT_EQ(fl_relay_open("c", nullptr, nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_open_in(this, 4096, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_connect("c", nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_connect_fd(-1, 0, nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_connect_in(this, 4096, nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_read(consumer_, nullptr), -EINVAL);
  EXPECT_EQ(fl_relay_read_many(consumer_, 1, nullptr), -EINVAL);
  const std::uint64_t before = fl_relay_refused_calls();
  fl_relay_batch batch;
  fl_relay_clock clock;
  fl_relay_time time;
  EXPECT_EQ(write("x"), FL_RELAY_CLOSED);
  EXPECT_EQ(fl_relay_has_room(producer_, 1), -EBADF);
  EXPECT_EQ(fl_relay_connected(producer_), -EBADF);
  EXPECT_EQ(fl_relay_answer_clock(producer_, 0), -EBADF);
  EXPECT_EQ(fl_relay_fd(producer_, nullptr), -EBADF);
  EXPECT_EQ(fl_relay_close(producer_, 1000), -EBADF);
  EXPECT_EQ(fl_relay_read(consumer_, &record_), -EBADF);
  EXPECT_EQ(fl_relay_read_many(consumer_, 1, &batch), -EBADF);
  EXPECT_EQ(fl_relay_wait(consumer_, 1000), -EBADF);
  EXPECT_EQ(fl_relay_poll_fd(consumer_), -EBADF);
  EXPECT_EQ(fl_relay_measure_clock(consumer_, 1, 1000, &clock), -EBADF);
  EXPECT_EQ(fl_relay_clock_of(consumer_, &clock), -EBADF);
  EXPECT_EQ(fl_relay_time_of(consumer_, 1, &time), -EBADF);
  EXPECT_EQ(fl_relay_disconnect(consumer_), -EBADF);
  EXPECT_EQ(fl_relay_open_in(nullptr, 1 << 20, nullptr, &producer_), -EBADF);
  EXPECT_EQ(fl_relay_connect_in(nullptr, 1 << 20, &consumer_), -EBADF);
  EXPECT_EQ(fl_relay_connect(nullptr, &consumer_), -EBADF);
  EXPECT_EQ(fl_relay_refused_calls() - before, 17U);
  EXPECT_THAT(fl_relay_error(), HasSubstr("no such relay channel"));
}

TEST_F(RelayCTest, CallsAfterTheEndAreCounted) {
  ASSERT_EQ(fl_relay_open("c", nullptr, &producer_), 0);
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0);
  EXPECT_EQ(fl_relay_producer_wrong_calls(producer_), 0U);
  EXPECT_EQ(fl_relay_consumer_wrong_calls(consumer_), 0U);
  ASSERT_EQ(fl_relay_disconnect(consumer_), 0);
  fl_relay_batch batch;
  EXPECT_EQ(fl_relay_read_many(consumer_, 1, &batch), -ENOTCONN);
  EXPECT_EQ(fl_relay_measure_clock(consumer_, 1, 1000, nullptr), -ENOTCONN);
  EXPECT_EQ(fl_relay_wait(consumer_, 1000), 0);
  EXPECT_EQ(fl_relay_consumer_wrong_calls(consumer_), 3U);
  ASSERT_EQ(fl_relay_close(producer_, 0), 1);
  EXPECT_EQ(fl_relay_answer_clock(producer_, 0), -ENOTCONN);
  EXPECT_EQ(fl_relay_close(producer_, 0), -ENOTCONN);
  EXPECT_EQ(fl_relay_producer_wrong_calls(producer_), 2U);
}

TEST_F(RelayCTest, AProducerThatDiedHasEnded) {
  int tell[2];
  ASSERT_EQ(::pipe2(tell, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool good = fl_relay_open("c", nullptr, &producer_) == 0;
    if (!good || ::write(tell[1], "y", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  ::close(tell[1]);
  char ready = 0;
  ASSERT_EQ(::read(tell[0], &ready, 1), 1);
  ::close(tell[0]);
  ASSERT_EQ(fl_relay_connect("c", &consumer_), 0) << fl_relay_error();
  EXPECT_EQ(fl_relay_read(consumer_, &record_), 0);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  int found = 0;
  const std::int64_t end = base::monotonic_ns() + 20 * base::kNanosPerSecond;
  while (found == 0 && base::monotonic_ns() < end) {
    found = fl_relay_read(consumer_, &record_);
    if (found == 0) fl_relay_wait(consumer_, 1000);
  }
  EXPECT_EQ(found, -EPIPE);
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
