// SPDX-License-Identifier: Apache-2.0
//
// The running kernel, a loop device of our own, reads that are counted: every event is there, or
// told as lost.
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "relay/stamp.h"
#include "trace/kernel_source.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

namespace fs = std::filesystem;
using abi::BlockAct;

constexpr std::size_t kBlock = 4096;
constexpr std::uint64_t kSectorsOfABlock = 8;
constexpr std::uint64_t kBlocks = 2048;
constexpr const char* kInstances = "/sys/kernel/tracing/instances";

// A file without content as a block device, until the end.
class LoopDevice {
 public:
  // What the machine has not; empty if it has all.
  std::string open() {
    const base::Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control) return "/dev/loop-control";
    std::string name = testing::TempDir() + "loopXXXXXX";
    const base::Fd file(::mkostemp(name.data(), O_CLOEXEC));
    ::unlink(name.c_str());
    if (!file || ::ftruncate(file.get(), kBlocks * kBlock) != 0) return "a temporary file";
    // Somebody else may take the number in between.
    for (int i = 0; i < 100 && !device_; ++i) {
      path_ = "/dev/loop" + std::to_string(::ioctl(control.get(), LOOP_CTL_GET_FREE));
      device_.reset(::open(path_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
      // Who looks at every new device (udev) leaves alone what is locked.
      if (device_) ::flock(device_.get(), LOCK_EX);
      if (device_ && ::ioctl(device_.get(), LOOP_SET_FD, file.get()) != 0) device_.reset();
    }
    return device_ ? "" : "a free loop device";
  }
  ~LoopDevice() {
    if (device_) ::ioctl(device_.get(), LOOP_CLR_FD, 0);
  }

  const std::string& path() const { return path_; }
  void read_block(std::uint64_t block) const {
    alignas(kBlock) static char buffer[kBlock];
    ASSERT_EQ(::pread(device_.get(), buffer, kBlock, static_cast<off_t>(block * kBlock)),
              static_cast<ssize_t>(kBlock));
  }
  void write_block(std::uint64_t block) const {
    alignas(kBlock) static char buffer[kBlock] = {1};
    ASSERT_EQ(::pwrite(device_.get(), buffer, kBlock, static_cast<off_t>(block * kBlock)),
              static_cast<ssize_t>(kBlock));
  }
  void sync() const { ASSERT_EQ(::fsync(device_.get()), 0); }

 private:
  base::Fd device_;
  std::string path_;
};

std::set<std::string> instances() {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(kInstances)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

std::string instance_of(pid_t pid) { return "fairlead-" + std::to_string(pid); }

class KernelSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "tracing the kernel needs root";
    if (::access(kInstances, W_OK) != 0) GTEST_SKIP() << "missing here: tracefs";
    const std::string lacking = loop_.open();
    if (!lacking.empty()) GTEST_SKIP() << "missing here: " << lacking;
    device_ = *device_number(loop_.path());
  }

  std::size_t count(BlockAct act) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        sink_.events,
        [act](const KeptEvent& one) { return BlockAct(one.block.action & 0xffff) == act; }));
  }

  LoopDevice loop_;
  std::uint32_t device_ = 0;
  KeepingSink sink_;
};

// By its rules: a Q, a D and a C for each read, in this order, at its sector.
TEST_F(KernelSourceTest, EveryReadIsThereOnceWithItsSector) {
  constexpr std::uint64_t kReads = 500;
  const std::uint64_t before = relay::stamp();
  auto source = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(source) << source.error().message();
  for (std::uint64_t i = 0; i < kReads; ++i) {
    loop_.read_block(i * 37 % kBlocks);
    if (i % 100 == 0) {
      ASSERT_TRUE(source->drain(sink_));
    }
  }
  ASSERT_TRUE(source->drain(sink_));
  const std::size_t drained = sink_.events.size();
  ASSERT_TRUE(source->close(sink_));
  EXPECT_EQ(sink_.events.size(), drained) << "what was there when drain() was called";
  EXPECT_EQ(source->lost() + source->unreadable(), 0U);
  EXPECT_TRUE(sink_.losses.empty());
  EXPECT_EQ(source->events(), sink_.events.size());
  std::map<BlockAct, std::multiset<std::uint64_t>> sectors;
  for (const KeptEvent& one : sink_.events) {
    sectors[BlockAct(one.block.action & 0xffff)].insert(one.block.sector);
    EXPECT_EQ(one.block.device, device_);
    EXPECT_EQ(one.block.bytes, kBlock);
    EXPECT_EQ(one.stream, one.block.cpu);
    EXPECT_NE(one.block.action & (1U << 16), 0U) << "a read";
    if (source->clock() == abi::RelayClock::kTsc) {
      EXPECT_GT(one.stamp, before);
      EXPECT_LT(one.stamp, relay::stamp());
    }
  }
  std::multiset<std::uint64_t> wanted;
  for (std::uint64_t i = 0; i < kReads; ++i) wanted.insert(i * 37 % kBlocks * kSectorsOfABlock);
  for (const BlockAct act : {BlockAct::kQueue, BlockAct::kIssue, BlockAct::kComplete}) {
    EXPECT_EQ(sectors[act], wanted) << static_cast<int>(act);
  }
}

TEST_F(KernelSourceTest, StagesOfOneReadFollowEachOther) {
  auto source = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(source) << source.error().message();
  for (std::uint64_t i = 0; i < 50; ++i) loop_.read_block(i);
  ASSERT_TRUE(source->close(sink_));
  for (std::uint64_t i = 0; i < 50; ++i) {
    std::map<BlockAct, std::uint64_t> at;
    for (const KeptEvent& one : sink_.events) {
      if (one.block.sector == i * kSectorsOfABlock)
        at[BlockAct(one.block.action & 0xffff)] = one.stamp;
    }
    EXPECT_LT(at[BlockAct::kQueue], at[BlockAct::kIssue]);
    EXPECT_LT(at[BlockAct::kIssue], at[BlockAct::kComplete]);
  }
  ASSERT_FALSE(sink_.names.empty());
  ASSERT_EQ(sink_.devices.size(), 1U);
  EXPECT_EQ("/dev/" + std::string(sink_.devices[0].name), loop_.path());
  const auto queue = std::ranges::find_if(sink_.events, [](const KeptEvent& one) {
    return BlockAct(one.block.action & 0xffff) == BlockAct::kQueue;
  });
  EXPECT_EQ(queue->block.pid, static_cast<std::uint32_t>(::getpid()));
}

TEST_F(KernelSourceTest, WritesAndFlushesAreTold) {
  auto source = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(source) << source.error().message();
  loop_.write_block(3);
  loop_.sync();
  ASSERT_TRUE(source->close(sink_));
  const auto queued = [&](abi::BlockCategory category) {
    return std::ranges::count_if(sink_.events, [&](const KeptEvent& one) {
      return BlockAct(one.block.action & 0xffff) == BlockAct::kQueue &&
             (one.block.action >> (16 + static_cast<unsigned>(category)) & 1) != 0;
    });
  };
  EXPECT_EQ(queued(abi::BlockCategory::kRead), 0);
  EXPECT_GE(queued(abi::BlockCategory::kWrite), 1);
  EXPECT_GE(queued(abi::BlockCategory::kFlush), 1);
}

// Read in the middle and at the end, and what is lost both before and after: with what happened
// counted by a second source whose buffer is large enough.
TEST_F(KernelSourceTest, ReadAndLostAreWhatHappened) {
  auto all = KernelSource::open({.devices = {device_}, .buffer_kib = 4096});
  auto few = KernelSource::open({.devices = {device_}, .buffer_kib = 4});
  ASSERT_TRUE(all && few);
  KeepingSink everything;
  for (const std::uint64_t reads : {100U, 7U, 300U, 64U}) {
    for (std::uint64_t i = 0; i < reads; ++i) loop_.read_block(i);
    ASSERT_TRUE(few->drain(sink_));
  }
  for (std::uint64_t i = 0; i < 200; ++i) loop_.read_block(i);
  ASSERT_TRUE(few->close(sink_));
  ASSERT_TRUE(all->close(everything));
  EXPECT_EQ(all->lost(), 0U);
  EXPECT_GE(all->events(), 3 * 671U);
  EXPECT_GT(few->lost(), 500U);
  EXPECT_EQ(few->events() + few->lost(), all->events());
  EXPECT_EQ(sink_.lost(), few->lost());
  EXPECT_EQ(few->unreadable(), 0U);
  EXPECT_GT(sink_.losses.size(), 1U);
  for (const abi::TraceLoss& loss : sink_.losses) EXPECT_LE(loss.first_stamp, loss.last_stamp);
}

TEST_F(KernelSourceTest, OthersDevicesAreNotSeen) {
  LoopDevice other;
  ASSERT_EQ(other.open(), "");
  auto source = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(source);
  for (std::uint64_t i = 0; i < 20; ++i) other.read_block(i);
  loop_.read_block(5);
  ASSERT_TRUE(source->close(sink_));
  EXPECT_EQ(count(BlockAct::kQueue), 1U);
}

TEST_F(KernelSourceTest, TwoSourcesAtOnceSeeTheSame) {
  auto first = KernelSource::open({.devices = {device_}});
  auto second = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(first && second);
  loop_.read_block(9);
  KeepingSink other;
  ASSERT_TRUE(first->close(sink_));
  ASSERT_TRUE(second->close(other));
  EXPECT_EQ(count(BlockAct::kQueue), 1U);
  EXPECT_EQ(other.events.size(), sink_.events.size());
}

TEST_F(KernelSourceTest, NothingStaysBehind) {
  const auto before = instances();
  {
    auto source = KernelSource::open({.devices = {device_}});
    ASSERT_TRUE(source);
    EXPECT_TRUE(instances().contains(instance_of(::getpid())));
  }
  EXPECT_FALSE(instances().contains(instance_of(::getpid())));
  auto source = KernelSource::open({.devices = {device_}});
  ASSERT_TRUE(source);
  ASSERT_TRUE(source->close(sink_));
  EXPECT_FALSE(instances().contains(instance_of(::getpid())));
}

volatile std::sig_atomic_t asked = 0;

// Traces until it is told to end; says that it has begun.
[[noreturn]] void trace_until_told(std::uint32_t device, int ready) {
  std::signal(SIGTERM, [](int) { asked = 1; });
  {
    auto source = KernelSource::open({.devices = {device}});
    [[maybe_unused]] const ssize_t said = ::write(ready, source ? "y" : "n", 1);
    KeepingSink sink;
    while (source && asked == 0) {
      (void)source->drain(sink);
      ::usleep(1000);
    }
  }
  ::_exit(0);
}

pid_t start_tracer(std::uint32_t device) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) trace_until_told(device, pipe[1]);
  ::close(pipe[1]);
  char answer = 0;
  EXPECT_EQ(::read(pipe[0], &answer, 1), 1);
  ::close(pipe[0]);
  EXPECT_EQ(answer, 'y');
  return child;
}

TEST_F(KernelSourceTest, WhatSigtermEndsRemovesItsInstance) {
  const pid_t child = start_tracer(device_);
  EXPECT_TRUE(instances().contains(instance_of(child)));
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(instances().contains(instance_of(child)));
}

TEST_F(KernelSourceTest, WhatSigkillLeavesTheNextOneRemoves) {
  const pid_t living = start_tracer(device_);
  const pid_t child = start_tracer(device_);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(instances().contains(instance_of(child)));
  auto source = KernelSource::open({.devices = {device_}});
  EXPECT_FALSE(instances().contains(instance_of(child)));
  EXPECT_TRUE(instances().contains(instance_of(living)));
  ::kill(living, SIGTERM);
  ::waitpid(living, nullptr, 0);
}

}  // namespace
}  // namespace fairlead::trace
