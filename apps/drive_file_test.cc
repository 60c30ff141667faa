// SPDX-License-Identifier: Apache-2.0
#include "apps/drive_file.h"

#include <gtest/gtest.h>

#include "apps/drive_text.h"

namespace fairlead::apps {
namespace {

std::string refusal_of(const std::string& text) {
  const auto drive = parse_drive(text, "x.toml");
  return drive ? "none" : drive.error().message();
}

TEST(DriveFile, EveryBuiltInDriveIsWhole) {
  EXPECT_GE(kBuiltInDrives.size(), 5U);
  for (const BuiltInDrive& one : kBuiltInDrives) {
    const auto drive = find_drive(one.name);
    ASSERT_TRUE(drive) << drive.error().message();
    EXPECT_FALSE(drive->about.empty()) << one.name;
    const auto model = disk::make_model(drive->shape);
    EXPECT_EQ(model->sectors(), disk::sectors_of(drive->shape));
    // Its last sectors are there.
    EXPECT_GT(model->access({.sector = model->sectors() - 8, .sector_count = 8}, 0).end_ns, 0);
  }
}

TEST(DriveFile, TakesWhatItSays) {
  const auto drive = parse_drive(
      "model = \"linear\"\nsectors = 1000\nrotation = \"6ms\"\nfull_stroke = \"10ms\"\n", "x.toml");
  ASSERT_TRUE(drive) << drive.error().message();
  const auto model = disk::make_model(drive->shape);
  EXPECT_EQ(model->access({.sector = 500, .sector_count = 1}, 0).end_ns, 8'000'000);
  EXPECT_EQ(model->access({.sector = 500, .sector_count = 1}, 0).hit, false) << "no cache";
}

TEST(DriveFile, ReadsWhatIsWrittenOfADrive) {
  for (const BuiltInDrive& one : kBuiltInDrives) {
    Drive drive = *find_drive(one.name);
    drive.about += " \"\\\n";
    const std::string text = drive_text(drive);
    const auto again = parse_drive(text, "again.toml");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(drive_text(*again), text);
    EXPECT_TRUE(again->about.ends_with(" \"\\?")) << again->about;
    const auto model = disk::make_model(drive.shape);
    const auto other = disk::make_model(again->shape);
    std::int64_t now_ns = 0;
    for (std::uint64_t i = 0; i < 50; ++i) {
      const disk::Transfer asked{.sector = i * 7919 % 90 * 1'000'003, .sector_count = 8};
      const disk::Access access = model->access(asked, now_ns);
      EXPECT_EQ(other->access(asked, now_ns).end_ns, access.end_ns) << one.name;
      now_ns = access.end_ns;
    }
  }
}

TEST(DriveFile, SaysWhereAndWhatIsWrong) {
  const std::string linear = "model = \"linear\"\nsectors = 10\n";
  EXPECT_EQ(refusal_of("sectors = 10\n"),
            "x.toml: model = \"linear\", \"mechanical\" or \"rate\" is expected");
  EXPECT_EQ(refusal_of("model = 7\n"),
            "x.toml line 1: model = \"linear\", \"mechanical\" or \"rate\" is expected");
  EXPECT_EQ(refusal_of(linear), "x.toml: rotation is missing, a linear drive needs it");
  EXPECT_EQ(refusal_of(linear + "rotation = 4\n"),
            "x.toml line 3: rotation: a time from 0s to 60s is expected, as \"4ms\"");
  EXPECT_EQ(refusal_of(linear + "rotation = \"2h\"\n"),
            "x.toml line 3: rotation: a time from 0s to 60s is expected, as \"4ms\"");
  EXPECT_EQ(refusal_of(linear + "speed = 4\n"), "x.toml line 3: a drive has no key 'speed'");
  EXPECT_EQ(refusal_of("model = \"rate\"\nsectors = -1\n"),
            "x.toml line 2: sectors: a number of sectors from 1 to 1099511627776 is expected");
  EXPECT_EQ(refusal_of("model = \"rate\"\nsectors = 10\n"),
            "x.toml: a disk that takes no time: give read, write, transfers_per_second or "
            "bytes_per_second");
  EXPECT_EQ(refusal_of("model = \"rate\"\nsectors = 10\nbytes_per_second = 1e-300\n"),
            "x.toml: a rate is 0, which is no limit, or 0.001 at least");
  EXPECT_EQ(refusal_of("model = \"rate\"\nsectors = 10\nread = \"1ms\"\n[cache]\n"),
            "x.toml line 4: a drive has no key 'cache'");
  EXPECT_TRUE(refusal_of("model = \n").starts_with("x.toml line 1: "));
}

TEST(DriveFile, ADriveOfPlattersHasToAddUp) {
  const auto drive = [](const std::string& more) {
    return "model = \"mechanical\"\nrotation = \"4ms\"\nseek_one = \"1ms\"\nseek_full = \"9ms\"\n" +
           more;
  };
  EXPECT_EQ(
      refusal_of(drive("seek_average = \"3ms\"\nheads = 1\nzones = [[10, 10]]\nsectors = 101\n")),
      "x.toml: sectors: 101 are more than the zones' 100");
  EXPECT_EQ(
      refusal_of(drive("seek_average = \"10ms\"\nheads = 1\nzones = [[10, 10]]\nsectors = 9\n")),
      "x.toml: seek_one, seek_average, seek_full: none is less than the one before");
  EXPECT_EQ(
      refusal_of(drive("seek_average = \"3ms\"\nheads = 0\nzones = [[10, 10]]\nsectors = 9\n")),
      "x.toml: heads: a drive has one at least");
  EXPECT_EQ(refusal_of(drive("zones = [[10]]\n")),
            "x.toml line 5: zones: a list of [cylinders, sectors of a track] is expected, as "
            "[[9000, 720], …]");
}

TEST(DriveFile, TheLargestDriveOfPlattersCanBeAsked) {
  const auto drive = parse_drive(
      "model = \"mechanical\"\nsectors = 1000000000000\nheads = 1000\n"
      "zones = [[1000000, 1000000]]\nrotation = \"60s\"\nseek_one = \"60s\"\n"
      "seek_average = \"60s\"\nseek_full = \"60s\"\nhead_switch = \"60s\"\n"
      "cylinder_skew = \"60s\"\n",
      "x.toml");
  ASSERT_TRUE(drive) << drive.error().message();
  const auto model = disk::make_model(drive->shape);
  const disk::Access access = model->access({.sector = 999'999'999'000, .sector_count = 1000}, 0);
  EXPECT_GE(access.rotation_ns, 0);
  EXPECT_LE(access.rotation_ns, 60'000'000'000);
}

TEST(DriveFile, AnUnknownNameSaysWhatThereIs) {
  const auto unknown = find_drive("floppy");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message().find("there is cheetah-15k4"), std::string::npos);
  EXPECT_FALSE(find_drive("./floppy.toml"));
}

}  // namespace
}  // namespace fairlead::apps
