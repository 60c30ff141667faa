// SPDX-License-Identifier: Apache-2.0
//
// What babeltrace2 makes of it is looked at in tests/trace/formats.py.
#include "trace/ctf_writer.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing_full_disk.h"
#include "trace/ctf_metadata.h"
#include "trace/testing_planted.h"

namespace fairlead::trace {
namespace {

class CtfWriter : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "fl-ctf-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string out() const { return folder_ + "/ctf"; }

  std::string folder_;
};

struct Packet {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t bytes = 0;
  std::uint64_t number = 0;
  std::uint64_t discarded = 0;
  bool empty = false;
};

std::vector<Packet> packets_of(const std::string& path) {
  const std::string bytes = *base::read_file(path, 1 << 26);
  std::vector<Packet> packets;
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint32_t magic = 0;
    std::uint64_t words[6];
    std::memcpy(&magic, bytes.data() + at, sizeof magic);
    std::memcpy(words, bytes.data() + at + 8, sizeof words);
    EXPECT_EQ(magic, kCtfMagic);
    EXPECT_EQ(words[2], words[3]);
    const std::uint64_t size = words[3] / 8;
    packets.push_back(
        {words[0], words[1], size, words[4], words[5], size == kCtfPacketHeaderBytes});
    at += size;
  }
  return packets;
}

TEST_F(CtfWriter, PacketsAreBoundedNumberedAndInOrder) {
  ASSERT_TRUE(write_ctf(Planter({3000, false, true, "none"}).plant(), out()));
  for (const char* name : {"/stream_0_0", "/stream_0_1"}) {
    const auto packets = packets_of(out() + name);
    EXPECT_GT(packets.size(), 5u);
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      EXPECT_EQ(packets[i].number, i);
      EXPECT_LE(packets[i].bytes, kCtfPacketBytes);
      EXPECT_LE(packets[i].begin, packets[i].end);
      EXPECT_FALSE(packets[i].empty);
      EXPECT_GE(packets[i].begin, before);
      before = packets[i].end;
    }
  }
}

TEST_F(CtfWriter, ALossIsAnEmptyPacketInItsPlace) {
  ASSERT_TRUE(write_ctf(Planter({300, false, true, "middle"}).plant(), out()));
  const auto packets = packets_of(out() + "/stream_0_0");
  ASSERT_EQ(packets.size(), 3u);
  EXPECT_TRUE(packets[1].empty);
  EXPECT_EQ(packets[0].discarded, 0u);
  EXPECT_EQ(packets[1].discarded, 7u);
  EXPECT_EQ(packets[2].discarded, 7u);
  EXPECT_EQ(packets[1].begin, 15'000'500u);
  EXPECT_EQ(packets[1].end, 15'000'510u);
}

// Else nobody could say how much.
TEST_F(CtfWriter, ALossBeforeAllIsNotInTheFirstPacket) {
  ASSERT_TRUE(write_ctf(Planter({300, false, true, "all"}).plant(), out()));
  const auto packets = packets_of(out() + "/stream_0_0");
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].discarded, 0u);
  EXPECT_EQ(packets[0].end, 1'000u);
  EXPECT_EQ(packets[1].discarded, 1000u);
}

TEST_F(CtfWriter, TimesBelowZeroMoveTheClock) {
  Trace trace = Planter({1, false, true, "none"}).plant();
  trace.wall_start_ns = 5;
  trace.events.front().time_ns = -10;
  ASSERT_TRUE(write_ctf(trace, out()));
  EXPECT_EQ(packets_of(out() + "/stream_0_0").front().begin, 0u);
  const std::string metadata = *base::read_file(out() + "/metadata", 1 << 20);
  EXPECT_NE(metadata.find("offset_s = -1; offset = 999999995;"), std::string::npos);
}

TEST_F(CtfWriter, NamesCannotEndTheirText) {
  Trace trace = Planter({1, false, true, "none"}).plant();
  trace.sources[0].name = "a\"; }\\\n";
  const std::string metadata = ctf_metadata(trace, 0);
  EXPECT_NE(metadata.find(R"({ "a\"; }\\?" = 0 })"), std::string::npos) << metadata;
}

TEST_F(CtfWriter, AFolderThatIsThereIsLeftAlone) {
  const Trace trace = Planter({1, false, true, "none"}).plant();
  std::filesystem::create_directory(out());
  EXPECT_EQ(write_ctf(trace, out()).error().kind(), base::ErrorKind::kExists);
  EXPECT_TRUE(std::filesystem::is_empty(out()));
}

TEST_F(CtfWriter, AfterAFullDiskThereIsNoFolder) {
  base::Status written;
  {
    const base::FullDisk full(8192);
    written = write_ctf(Planter({300, false, true, "none"}).plant(), out());
  }
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message().find("stream_0_0"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(out()));
}

TEST_F(CtfWriter, AnUnknownSourceIsRefused) {
  Trace trace = Planter({1, false, true, "none"}).plant();
  trace.sources.clear();
  EXPECT_EQ(write_ctf(trace, out()).error().kind(), base::ErrorKind::kInvalid);
  EXPECT_FALSE(std::filesystem::exists(out()));
}

}  // namespace
}  // namespace fairlead::trace
