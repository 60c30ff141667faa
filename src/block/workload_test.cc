// SPDX-License-Identifier: Apache-2.0
#include "block/workload.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "block/testing_service.h"

namespace fairlead::block {
namespace {

TEST(Pattern, IsParsed) {
  EXPECT_EQ(parse_pattern("uniform")->kind, Pattern::Kind::kUniform);
  EXPECT_EQ(parse_pattern("seq")->kind, Pattern::Kind::kSequential);
  for (const auto& [text, skew] :
       {std::pair{"zipf:0", 0.0}, {"zipf:0.99", 0.99}, {"zipf:10", 10.0}}) {
    const auto pattern = parse_pattern(text);
    ASSERT_TRUE(pattern) << text;
    EXPECT_EQ(pattern->kind, Pattern::Kind::kZipf);
    EXPECT_EQ(pattern->skew, skew);
  }
}

TEST(Pattern, AnythingElseIsRefused) {
  for (const char* text : {"", "Uniform", "zipf", "zipf:", "zipf:-1", "zipf:10.1", "zipf:1x",
                           "zipf: 1", "zipf:nan", "zipf:inf", "seq ", "sequential"}) {
    EXPECT_FALSE(parse_pattern(text)) << text;
  }
}

TEST(ResultLine, HasTheFiveFieldsOfTheDocument) {
  WorkloadResult result;
  for (const double value : {100000.0, 120000.0, 212200.0}) result.latency.add(value);
  result.requests = 3;
  result.wall_ns = 360'000;
  EXPECT_EQ(result_line(result), "212200|144066.7|100000|59846.6|8333.3");
  EXPECT_EQ(result_line(WorkloadResult{}), "0|0.0|0|0.0|0.0");
}

WorkloadOptions options_of(std::uint32_t threads, std::uint64_t requests,
                           const char* pattern = "uniform") {
  WorkloadOptions options;
  options.threads = threads;
  options.requests = requests;
  options.pattern = *parse_pattern(pattern);
  return options;
}

class WorkloadTest : public ::testing::Test {
 protected:
  base::Result<WorkloadResult> go(WorkloadOptions options, std::uint64_t sectors) {
    abi::BlockGeometry geometry{};
    geometry.last_sector = sectors - 1;
    geometry.sector_bytes = 512;
    records_ = std::make_unique<Records>();
    if (options.keep_records) FL_TRY_STATUS(records_->reserve(options.requests));
    done_ = 0;
    return run(*client_, geometry, options, *records_, done_);
  }
  std::vector<std::uint64_t> sectors(const WorkloadOptions& options, std::uint64_t among) {
    EXPECT_TRUE(go(options, among));
    return {records_->sectors(), records_->sectors() + options.requests};
  }

  TestFolder folder_;
  TestService service_{"null:1M", TestService::limits()};
  std::unique_ptr<Client> client_ = service_.client();
  std::unique_ptr<Records> records_;
  std::atomic<std::uint64_t> done_{0};
};

TEST_F(WorkloadTest, MakesExactlyTheRequestsAskedForWhateverTheThreads) {
  for (const std::uint32_t threads : {1U, 2U, 7U, 64U, 100U}) {
    for (const std::uint64_t requests : {1ULL, 5ULL, 64ULL, 333ULL}) {
      const auto result = go(options_of(threads, requests), 2048);
      ASSERT_TRUE(result) << result.error().message();
      EXPECT_EQ(result->requests, requests) << threads;
      EXPECT_EQ(result->latency.count(), requests);
      EXPECT_EQ(result->histogram.count(), requests);
      EXPECT_EQ(done_, requests);
      EXPECT_GT(result->latency.min(), 0);
      EXPECT_LE(result->latency.min(), result->latency.mean());
      EXPECT_LE(result->latency.mean(), result->latency.max());
      EXPECT_GE(static_cast<double>(result->wall_ns), result->latency.max());
    }
  }
}

TEST_F(WorkloadTest, TheNthSectorDependsOnSeedAndNAlone) {
  for (const char* pattern : {"uniform", "zipf:0.9", "seq"}) {
    WorkloadOptions options = options_of(1, 400, pattern);
    const auto alone = sectors(options, 1000);
    options.threads = 13;
    EXPECT_EQ(sectors(options, 1000), alone) << pattern;
    options.requests = 100;
    EXPECT_EQ(sectors(options, 1000), std::vector(alone.begin(), alone.begin() + 100)) << pattern;
    if (options.pattern.kind == Pattern::Kind::kSequential) continue;
    options.requests = 400;
    options.seed = 2;
    EXPECT_NE(sectors(options, 1000), alone) << pattern;
  }
}

// 99.99 % quantile of chi-square with 6 degrees of freedom: 27.9.  A remainder of a small random
// number (8 bits, say) would give 0 … 3 twice as often as 4 … 6.
TEST_F(WorkloadTest, UniformIsUniform) {
  constexpr std::uint64_t kAmong = 7;
  constexpr std::uint64_t kRequests = 14'000;
  std::vector<double> seen(kAmong);
  for (const std::uint64_t sector : sectors(options_of(8, kRequests), kAmong)) {
    ASSERT_LT(sector, kAmong);
    ++seen[sector];
  }
  constexpr double kExpected = static_cast<double>(kRequests) / kAmong;
  double chi_square = 0;
  for (const double count : seen)
    chi_square += (count - kExpected) * (count - kExpected) / kExpected;
  EXPECT_LT(chi_square, 27.9);
  EXPECT_GT(chi_square, 0.01) << "too even to be chance";
}

TEST_F(WorkloadTest, UniformReachesTheFirstAndTheLastSector) {
  const auto chosen = sectors(options_of(4, 3000), 100);
  const std::set<std::uint64_t> distinct(chosen.begin(), chosen.end());
  EXPECT_EQ(*distinct.begin(), 0u);
  EXPECT_EQ(*distinct.rbegin(), 99u);
  EXPECT_EQ(distinct.size(), 100u);
}

TEST_F(WorkloadTest, SequentialGoesRoundTheImage) {
  const auto chosen = sectors(options_of(1, 25, "seq"), 10);
  for (std::uint64_t n = 0; n < chosen.size(); ++n) EXPECT_EQ(chosen[n], n % 10);
}

TEST_F(WorkloadTest, OneSectorIsEnough) {
  for (const char* pattern : {"uniform", "zipf:1", "seq"}) {
    for (const auto sector : sectors(options_of(1, 20, pattern), 1)) {
      EXPECT_EQ(sector, 0u);
    }
  }
}

TEST_F(WorkloadTest, ADurationEndsARunWithoutANumber) {
  WorkloadOptions options = options_of(2, 0);
  options.duration_ns = 20 * base::kNanosPerMilli;
  options.keep_records = false;
  const auto result = go(options, 2048);
  ASSERT_TRUE(result);
  EXPECT_GT(result->requests, 0u);
  EXPECT_GE(result->wall_ns, 20 * base::kNanosPerMilli);
}

TEST_F(WorkloadTest, TheFirstFailedReadEndsTheRunAndIsNamed) {
  const auto result = go(options_of(4, 5000, "seq"), 4000);
  ASSERT_FALSE(result);  // the image has 2048 sectors
  EXPECT_NE(result.error().message().find("past the end"), std::string::npos)
      << result.error().message();
}

TEST_F(WorkloadTest, RecordsBecomeTwoFiles) {
  const base::Fd here(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(go(options_of(3, 50), 2048));
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  const auto written = records_->write(50, "77");
  ASSERT_EQ(::fchdir(here.get()), 0);
  ASSERT_TRUE(written) << written.error().message();
  std::ifstream list(folder_ / "sectors.77");
  std::uint64_t n = 0;
  for (std::uint64_t sector = 0; list >> sector; ++n) EXPECT_EQ(sector, records_->sectors()[n]);
  EXPECT_EQ(n, 50u);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "read.77"), 50u * 512);
}

TEST_F(WorkloadTest, IfOneFileCannotBeWrittenNeitherIsLeft) {
  const base::Fd here(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(go(options_of(1, 5), 2048));
  std::filesystem::create_directory(folder_ / "read.77");  // in the way of the second file
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  const auto written = records_->write(5, "77");
  ASSERT_EQ(::fchdir(here.get()), 0);
  EXPECT_FALSE(written);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "sectors.77"));
}

TEST_F(WorkloadTest, WhatIsInTheWayOfTheFilesIsSeenBeforehand) {
  const base::Fd here(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  EXPECT_TRUE(Records::try_files("77"));
  EXPECT_FALSE(std::filesystem::exists("sectors.77")) << "it leaves nothing";
  EXPECT_FALSE(std::filesystem::exists("read.77"));
  std::ofstream("sectors.77") << "of an earlier process";
  EXPECT_TRUE(Records::try_files("77"));
  EXPECT_TRUE(std::filesystem::exists("sectors.77"));
  std::filesystem::create_directory("read.77");
  const auto status = Records::try_files("77");
  ASSERT_EQ(::fchdir(here.get()), 0);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message().find("--no-files"), std::string::npos);
}

TEST_F(WorkloadTest, ALinkIsNotFollowed) {
  const base::Fd here(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(go(options_of(1, 5), 2048));
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  std::ofstream("precious") << "kept";
  std::filesystem::create_symlink("precious", "sectors.77");
  const auto tried = Records::try_files("77");
  const auto written = records_->write(5, "77");
  ASSERT_EQ(::fchdir(here.get()), 0);
  EXPECT_FALSE(tried);
  EXPECT_FALSE(written);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "precious"), 4u);
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "sectors.77")) << "not ours to remove";
}

TEST(Records, MoreThanMemoryHoldsIsRefusedAndNotTried) {
  for (const std::uint64_t count : {1'000'000'000'000ULL, (1ULL << 55) + 1, ~0ULL}) {
    Records records;
    const auto status = records.reserve(count);
    ASSERT_FALSE(status) << count;
    EXPECT_EQ(status.error().kind(), base::ErrorKind::kLimit);
  }
}

}  // namespace
}  // namespace fairlead::block
