// SPDX-License-Identifier: Apache-2.0
#include "block/disk_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing_full_disk.h"
#include "block/testing_service.h"
#include "disk/request_csv.h"

namespace fairlead::block {
namespace {

struct LogUnderTest {
  explicit LogUnderTest(base::Fd file) {
    auto begun = DiskLog::begin(std::move(file), "a file",
                                [this](const std::string& why) { ends.push_back(why); });
    EXPECT_TRUE(begun);
    log = *std::move(begun);
  }
  void add(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      log->add({.request = {.sector = 8 * added, .sector_count = 8}, .number = added});
      ++added;
    }
  }
  std::vector<std::string> ends;
  std::unique_ptr<DiskLog> log;
  std::uint64_t added = 0;
};

disk::RequestTrace logged_requests(const std::string& text) {
  EXPECT_TRUE(text.ends_with('\n'));
  disk::RequestCsv csv("log");
  EXPECT_TRUE(csv.take(text));
  auto trace = std::move(csv).finish();
  EXPECT_TRUE(trace) << trace.error().message();
  return trace ? *std::move(trace) : disk::RequestTrace();
}

TEST(DiskLog, HasEachRequestOfAFileThatHeldMore) {
  const TestFolder folder;
  const std::string path = folder / "log.csv";
  ASSERT_TRUE(base::write_file_atomic(path, std::string(1 << 20, 'x')));
  {
    LogUnderTest test(base::Fd(::open(path.c_str(), O_WRONLY)));
    test.add(20'000);
    EXPECT_EQ(test.log->stats().requests, 20'000U);
    test.log.reset();
    EXPECT_TRUE(test.ends.empty());
  }
  const auto trace = logged_requests(*base::read_file(path, 1 << 24));
  ASSERT_EQ(trace.requests.size(), 20'000U);
  EXPECT_EQ(trace.requests[19'999].sector, 8U * 19'999);
}

TEST(DiskLog, AFullDiskEndsItOnce) {
  LogUnderTest test(base::Fd(::open("/dev/full", O_WRONLY)));
  test.add(10);
  ASSERT_TRUE(eventually([&] { return !test.log->stats().ended.empty(); }));
  test.add(10);
  EXPECT_EQ(test.log->stats().requests, 0U);
  test.log.reset();
  EXPECT_THAT(test.ends, testing::ElementsAre(testing::HasSubstr("No space left")));
}

TEST(DiskLog, AFullDiskLeavesNoPartOfALine) {
  const TestFolder folder;
  const std::string path = folder / "log.csv";
  const base::FullDisk full(8192 + 11);
  LogUnderTest test(base::Fd(::open(path.c_str(), O_WRONLY | O_CREAT, 0600)));
  test.add(10);
  const std::size_t header = std::string_view(disk::kRequestCsvHeader).size();
  ASSERT_TRUE(eventually([&] { return base::read_file(path, 1 << 20)->size() > header; }));
  test.add(1000);
  ASSERT_TRUE(eventually([&] { return !test.log->stats().ended.empty(); }));
  test.log.reset();
  EXPECT_FALSE(logged_requests(*base::read_file(path, 1 << 20)).requests.empty());
}

TEST(DiskLog, AFileThatIsTooSlowEndsItWithAWholeLine) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Fd reader(ends[0]);
  LogUnderTest test((base::Fd(ends[1])));
  test.add(3 * DiskLog::kRoom);
  std::string text;
  std::jthread reading([&] {
    char piece[4096];
    for (ssize_t n = 1; n > 0;) {
      n = ::read(reader.get(), piece, sizeof piece);
      if (n > 0) text.append(piece, static_cast<std::size_t>(n));
    }
  });
  test.log.reset();
  reading.join();
  const auto trace = logged_requests(text);
  ASSERT_GE(trace.requests.size(), DiskLog::kRoom);
  EXPECT_LT(trace.requests.size(), 3 * DiskLog::kRoom);
  EXPECT_EQ(trace.requests.back().number, trace.requests.size() - 1) << "none is left out";
  EXPECT_THAT(test.ends, testing::ElementsAre(testing::HasSubstr("slower than the requests")));
}

}  // namespace
}  // namespace fairlead::block
