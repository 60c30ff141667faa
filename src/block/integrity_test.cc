// SPDX-License-Identifier: Apache-2.0
#include "block/integrity.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>

#include <gtest/gtest.h>

#include "block/testing_image.h"

namespace fairlead::block {
namespace {

using base::ErrorKind;

class IntegrityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    make_test_image(image_, 64);
    write_lists({7, 0, 63, 7});
  }
  void write_lists(const std::vector<std::uint64_t>& sectors) {
    std::ofstream list(sectors_);
    std::ofstream data(data_, std::ios::binary);
    for (const std::uint64_t sector : sectors) {
      std::array<char, 512> bytes;
      expected_sector(sector, 1, reinterpret_cast<std::byte*>(bytes.data()));
      list << sector << '\n';
      data.write(bytes.data(), bytes.size());
    }
  }
  static void flip(const std::string& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1));
  }
  base::Result<IntegrityResult> check(std::vector<std::string> paths) {
    FL_TRY(const auto files, sort_out(paths));
    return compare(files);
  }
  base::Result<IntegrityResult> check() { return check({sectors_, data_, image_}); }

  TestFolder folder_;
  const std::string sectors_ = folder_ / "sectors.123";
  const std::string data_ = folder_ / "read.123";
  const std::string image_ = folder_ / "disk1.img";
};

TEST_F(IntegrityTest, TheThreeFilesMayComeInAnyOrder) {
  std::vector<std::string> paths{sectors_, data_, image_};
  std::sort(paths.begin(), paths.end());
  do {
    const auto result = check(paths);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->good());
    EXPECT_EQ(result->records, 4u);
    EXPECT_FALSE(result->first_mismatch);
  } while (std::next_permutation(paths.begin(), paths.end()));
}

TEST_F(IntegrityTest, RenamedFilesAreToldApartByContentInAnyOrder) {
  std::vector<std::string> paths{folder_ / "a", folder_ / "b", folder_ / "c"};
  std::filesystem::rename(sectors_, paths[0]);
  std::filesystem::rename(data_, paths[1]);
  std::filesystem::rename(image_, paths[2]);
  do {
    const auto result = check(paths);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->good());
    EXPECT_EQ(result->records, 4u);
  } while (std::next_permutation(paths.begin(), paths.end()));
}

TEST_F(IntegrityTest, RenamedFilesThatCannotBeToldApartAreNoMismatch) {
  std::vector<std::uint64_t> all(64);
  for (std::uint64_t i = 0; i < all.size(); ++i) all[i] = 63 - i;
  write_lists(all);  // as many records as the image has sectors
  std::vector<std::string> paths{folder_ / "a", folder_ / "b", sectors_};
  std::filesystem::rename(data_, paths[0]);
  std::filesystem::rename(image_, paths[1]);
  for (int order = 0; order < 2; ++order) {
    const auto result = check(paths);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kInvalid) << result.error().message();
    std::swap(paths[0], paths[1]);
  }
}

TEST_F(IntegrityTest, AnyWrongByteIsFoundAndNamed) {
  for (const auto& [record, sector] : {std::pair{0, 7}, {1, 0}, {2, 63}}) {
    for (const int byte : {0, 1, 300, 511}) {
      SetUp();
      flip(data_, record * 512 + byte);
      const auto result = check();
      ASSERT_TRUE(result);
      EXPECT_FALSE(result->good());
      EXPECT_EQ(result->records, 4u);
      EXPECT_EQ(result->matched, 3u);
      ASSERT_TRUE(result->first_mismatch);
      EXPECT_EQ(result->first_mismatch->record, static_cast<std::uint64_t>(record));
      EXPECT_EQ(result->first_mismatch->sector, static_cast<std::uint64_t>(sector));
      EXPECT_EQ(result->first_mismatch->byte, static_cast<std::uint32_t>(byte));
    }
  }
}

TEST_F(IntegrityTest, AWrongSectorNumberIsFound) {
  std::ofstream(sectors_) << "7\n1\n63\n7\n";
  const auto result = check();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->matched, 3u);
  EXPECT_EQ(result->first_mismatch->record, 1u);
}

TEST_F(IntegrityTest, TruncatedFilesAreAnErrorAndNoMatch) {
  std::filesystem::resize_file(data_, 4 * 512 - 1);
  EXPECT_FALSE(check());
  std::filesystem::resize_file(data_, 3 * 512);
  const auto result = check();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  EXPECT_NE(result.error().message().find("lists 4 sectors"), std::string::npos);
}

TEST_F(IntegrityTest, ASectorThatTheImageDoesNotHaveIsNamed) {
  std::filesystem::resize_file(image_, 63 * 512);
  const auto result = check();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("line 3: sector 63"), std::string::npos);
}

TEST_F(IntegrityTest, AListThatIsNoneIsRefused) {
  for (const char* text : {"7\nx\n", "7\n-1\n", "7\n\n8\n", "18446744073709551616\n", "7 8\n"}) {
    std::ofstream(sectors_) << text;
    const auto result = check();
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt) << text;
  }
}

TEST_F(IntegrityTest, NoRecordsAtAllProveNothing) {
  write_lists({});
  const auto result = check();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_FALSE(result->good());
  EXPECT_EQ(result->records, 0u);
}

TEST_F(IntegrityTest, ALastLineWithoutItsEndCounts) {
  std::ofstream(sectors_) << "7\n0\n63\n7";
  const auto result = check();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->matched, 4u);
}

TEST_F(IntegrityTest, AnImageNamedLikeDataIsToldApartBySize) {
  std::vector<std::string> paths{folder_ / "read.img", sectors_, data_};
  std::filesystem::rename(image_, paths[0]);
  std::sort(paths.begin(), paths.end());
  do {
    const auto result = check(paths);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->good());
  } while (std::next_permutation(paths.begin(), paths.end()));
}

TEST_F(IntegrityTest, AnImageNamedLikeAListIsToldApartByContent) {
  std::vector<std::string> paths{folder_ / "sectors.img", sectors_, data_};
  std::filesystem::rename(image_, paths[0]);
  std::sort(paths.begin(), paths.end());
  do {
    const auto result = check(paths);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->good());
  } while (std::next_permutation(paths.begin(), paths.end()));
}

TEST_F(IntegrityTest, AHugeListTakesNoMemory) {
  std::filesystem::resize_file(sectors_, std::uint64_t{1} << 40);  // zeros behind four lines
  const auto result = check();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("line 5 is no sector number"), std::string::npos)
      << result.error().message();
}

TEST_F(IntegrityTest, AListLongerThanAPageIsReadWhole) {
  std::vector<std::uint64_t> many(50'000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = i * 7 % 64;
  write_lists(many);
  const auto result = check();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->matched, many.size());
}

TEST_F(IntegrityTest, FifosAndDevicesAreErrorsAndNotWaitedFor) {
  const std::string fifo = folder_ / "fifo";
  const std::string named = folder_ / "sectors.fifo";
  for (const auto& path : {fifo, named}) ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  for (const std::string& odd : {fifo, named, std::string("/dev/zero"), std::string("/dev/null")}) {
    EXPECT_FALSE(check({odd, data_, image_})) << odd;
    EXPECT_FALSE(check({sectors_, odd, image_})) << odd;
    EXPECT_FALSE(check({sectors_, data_, odd})) << odd;
  }
}

TEST_F(IntegrityTest, MissingFilesAndFoldersAreErrors) {
  EXPECT_FALSE(check({sectors_, data_, folder_ / "none"}));
  EXPECT_FALSE(check({sectors_, folder_ / "read.9", image_}));
  EXPECT_FALSE(check({folder_ / "sectors.9", data_, image_}));
  EXPECT_FALSE(check({sectors_, data_, folder_.path()}));
  EXPECT_FALSE(check({data_, image_, image_}));
}

TEST_F(IntegrityTest, PidTypedAsItStandsInTheManualIsExplained) {
  const auto result = check({folder_ / "sectors.PID", folder_ / "read.PID", image_});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("PID stands for"), std::string::npos);
  EXPECT_NE(result.error().message().find("sectors.*"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::block
