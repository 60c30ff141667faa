// SPDX-License-Identifier: Apache-2.0
#include "trace/kernel_source.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "trace/testing_data.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

namespace fs = std::filesystem;

// A folder with a header_page and nothing that makes an instance.
class FalseTracefs : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "tracefsXXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    fs::create_directories(root_ + "/instances");
    fs::create_directories(root_ + "/events");
    put("events/header_page", recorded("6.18/header_page"));
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& file, const std::string& text) {
    ASSERT_TRUE(base::write_file_atomic(root_ + "/" + file, text));
  }
  std::size_t instances() const {
    const fs::directory_iterator all(root_ + "/instances");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  std::string root_;
};

TEST_F(FalseTracefs, WhatHasNoFilesLeavesNothingBehind) {
  const auto source = KernelSource::open({.tracefs = root_});
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message().find("trace_clock"), std::string::npos);
  EXPECT_EQ(instances(), 0U);
}

TEST_F(FalseTracefs, LeftOverInstancesGoAndOthersStay) {
  for (const char* name : {"fairlead-1", "fairlead-99999999", "other"}) {
    fs::create_directory(root_ + "/instances/" + name);
  }
  EXPECT_FALSE(KernelSource::open({.tracefs = root_}));
  EXPECT_EQ(instances(), 1U);
  EXPECT_TRUE(fs::exists(root_ + "/instances/other"));
}

TEST_F(FalseTracefs, AnUnknownPageIsRefusedBeforeAnythingIsMade) {
  put("events/header_page", "\tfield: u64 timestamp;\toffset:0;\tsize:4;\n");
  const auto source = KernelSource::open({.tracefs = root_});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind(), base::ErrorKind::kUnsupported);
  EXPECT_EQ(instances(), 0U);
}

TEST(KernelSource, WithoutTracefsItSaysHowToMountIt) {
  const auto source = KernelSource::open({.tracefs = "/nonexistent"});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind(), base::ErrorKind::kNotFound);
  EXPECT_NE(source.error().message().find("mount -t tracefs"), std::string::npos);
}

TEST(KernelSource, TooManyDevicesAreRefused) {
  const auto source =
      KernelSource::open({.tracefs = "/nonexistent", .devices = std::vector<std::uint32_t>(33, 1)});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind(), base::ErrorKind::kLimit);
}

TEST(KernelSource, FiltersAreTheKernelsExpressions) {
  EXPECT_EQ(filter_of({}, false), "0");
  EXPECT_EQ(filter_of({7340032}, false), "dev == 7340032");
  EXPECT_EQ(filter_of({1, 2}, false), "dev == 1 || dev == 2");
  EXPECT_EQ(filter_of({1}, true), "dev == 1 || old_dev == 1");
}

TEST(DeviceNumber, OnlyOfBlockDevices) {
  EXPECT_EQ(device_number("/dev/null").error().kind(), base::ErrorKind::kInvalid);
  EXPECT_EQ(device_number("/nonexistent").error().kind(), base::ErrorKind::kNotFound);
}

}  // namespace
}  // namespace fairlead::trace
