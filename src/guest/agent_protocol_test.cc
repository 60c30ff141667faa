// SPDX-License-Identifier: Apache-2.0
#include "guest/agent_protocol.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace fairlead::guest {
namespace {

TEST(AgentProtocol, ReadsRequests) {
  const auto request = parse_request("7 load cpu:heavy mem:limit=1M");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->id, 7U);
  EXPECT_EQ(request->verb, Verb::kLoad);
  EXPECT_EQ(request->arguments, " cpu:heavy mem:limit=1M");
  EXPECT_EQ(parse_request("4294967295 ping")->id, 4294967295U);
  for (const char* bad : {"", "load", "x load", "-1 ping", "4294967296 ping", "1 dance", "1 Ping",
                          "1 pin", "1ping"}) {
    EXPECT_FALSE(parse_request(bad)) << bad;
  }
}

TEST(AgentProtocol, ReadsAnswers) {
  EXPECT_TRUE(parse_answer("7 ok")->ok);
  const auto refused = parse_answer("8 error no disk to read");
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->ok);
  EXPECT_EQ(refused->text, "no disk to read");
  for (const char* bad : {"", "7", "7 yes", "ok", "seven ok"})
    EXPECT_FALSE(parse_answer(bad)) << bad;
}

TEST(AgentProtocol, AReportComesThroughWhole) {
  rc::check([](const std::vector<std::uint64_t>& values) {
    const auto value = [&](std::size_t i) { return i < values.size() ? values[i] : i; };
    const Report report{value(0), value(1), value(2), value(3),  value(4),  value(5), value(6),
                        value(7), value(8), value(9), value(10), value(11), value(12)};
    char text[kLineBytes];
    const std::size_t size = format_report(report, text, sizeof text);
    RC_ASSERT(size > 0U);
    RC_ASSERT(parse_report({text, size}) == report);
  });
}

TEST(AgentProtocol, AReportThatDoesNotFitIsNotCut) {
  char text[64];
  EXPECT_EQ(format_report(Report{}, text, sizeof text), 0U);
}

TEST(AgentProtocol, AReportWithNewKeysIsReadAndWithoutNumbersNot) {
  EXPECT_EQ(parse_report("up_ms=5 colour=blue")->up_ms, 5U);
  EXPECT_FALSE(parse_report("up_ms=blue"));
  EXPECT_FALSE(parse_report("up_ms=-5"));
  EXPECT_FALSE(parse_report("up_ms=18446744073709551616"));
  EXPECT_FALSE(parse_report("up_ms"));
}

TEST(AgentProtocol, ReadsWhatToTrace) {
  const auto plain = parse_trace(" start");
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->start);
  EXPECT_EQ(plain->disk_count, 0U);
  const auto full = parse_trace("start disk=vda buffer_kib=64 pause_us=500 disk=dm-0");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->buffer_kib, 64U);
  EXPECT_EQ(full->pause_us, 500U);
  ASSERT_EQ(full->disk_count, 2U);
  EXPECT_EQ(full->disks[0], "vda");
  EXPECT_EQ(full->disks[1], "dm-0");
  EXPECT_EQ(full->port, 0U);
  const auto port = parse_trace("start port=18446744073709551615 queue_kib=16");
  ASSERT_TRUE(port);
  EXPECT_EQ(port->port, UINT64_MAX);
  EXPECT_EQ(port->queue_kib, 16U);
  const auto stop = parse_trace("stop");
  ASSERT_TRUE(stop);
  EXPECT_FALSE(stop->start);
}

TEST(AgentProtocol, RefusesWhatIsNotToBeTraced) {
  for (const char* bad : {"",
                          "begin",
                          "Start",
                          "stop disk=vda",
                          "start vda",
                          "start disk=",
                          "start disk=../x",
                          "start disk=Vda",
                          "start disk=/dev/vda",
                          "start buffer_kib=3",
                          "start buffer_kib=65537",
                          "start buffer_kib=64K",
                          "start pause_us=0",
                          "start pause_us=99",
                          "start pause_us=1000001",
                          "start port=0",
                          "start port=",
                          "start port=18446744073709551616",
                          "start port=-1",
                          "start queue_kib=7",
                          "start queue_kib=65537",
                          "stop port=1",
                          "start colour=blue",
                          "start disk=a disk=a disk=a disk=a disk=a disk=a disk=a disk=a disk=a",
                          "start disk=abcdefghijklmnopqrstuvwxyzabcdef"}) {
    EXPECT_FALSE(parse_trace(bad)) << bad;
  }
}

TEST(AgentProtocol, SumsOfATraceComeThroughWhole) {
  rc::check([](std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
    const TraceSums sums{a, b, c, d};
    char text[kLineBytes];
    const std::size_t size = format_sums(sums, text, sizeof text);
    RC_ASSERT(parse_sums({text, size}) == sums);
  });
}

std::vector<std::string> lines_of(LineBuffer& buffer, std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    bytes.remove_prefix(buffer.push(bytes));
    while (const auto line = buffer.next()) lines.emplace_back(*line);
  }
  return lines;
}

TEST(LineBuffer, CutsWhereverTheBytesWereCut) {
  rc::check([](const std::vector<std::uint8_t>& cuts) {
    const std::string text = "one\ntwo\n\nthree and more\n";
    LineBuffer buffer;
    std::vector<std::string> lines;
    std::string_view rest = text;
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const std::size_t cut = i < cuts.size() ? cuts[i] % 5 + 1 : rest.size();
      for (auto& line : lines_of(buffer, rest.substr(0, cut))) lines.push_back(line);
      rest.remove_prefix(std::min(cut, rest.size()));
    }
    RC_ASSERT(lines == (std::vector<std::string>{"one", "two", "", "three and more"}));
  });
}

TEST(LineBuffer, ALineThatIsTooLongIsDroppedWholeAndAlone) {
  LineBuffer buffer;
  const std::string longest(kLineBytes - 1, 'x');
  EXPECT_EQ(lines_of(buffer, longest + "\n"), std::vector<std::string>{longest});
  EXPECT_EQ(lines_of(buffer, longest + "y\nnext\n"), std::vector<std::string>{"next"});
  EXPECT_EQ(lines_of(buffer, std::string(5 * kLineBytes, 'z') + "\nlast\n"),
            std::vector<std::string>{"last"});
  EXPECT_EQ(buffer.dropped(), 2U);
}

}  // namespace
}  // namespace fairlead::guest
