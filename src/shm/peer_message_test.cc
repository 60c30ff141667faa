// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_message.h"

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead::shm {
namespace {

using base::ErrorKind;

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(PeerMessage, HelloSurvivesTheWay) {
  const auto sent = make_hello(64, 4096, 7, "db-1");
  const auto got = parse_hello(bytes_of(sent));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->slots, 64U);
  EXPECT_EQ(got->data_bytes, 4096U);
  EXPECT_EQ(got->weight, 7U);
  EXPECT_STREQ(got->name, "db-1");
}

TEST(PeerMessage, NamesAreCutAndMadePrintable) {
  const auto hello = make_hello(1, 1, 1, std::string("a\nb\x1b[2J") + std::string(100, 'x'));
  EXPECT_EQ(std::string(hello.name).substr(0, 7), "a?b?[2J");
  EXPECT_EQ(std::strlen(hello.name), 31U);
  EXPECT_TRUE(parse_hello(bytes_of(hello)));
}

// Every value in every byte of a good hello: only what the rules leave free may pass.
TEST(PeerMessage, EveryChangedByteOfTheHeaderIsSeen) {
  const auto good = copy_of(bytes_of(make_hello(64, 4096, 1, "a")));
  for (std::size_t at = 0; at < sizeof(abi::ControlHeader); ++at) {
    for (int value = 0; value < 256; ++value) {
      auto bad = good;
      bad[at] = static_cast<std::byte>(value);
      const bool minor = at == 6 || at == 7;
      EXPECT_EQ(parse_hello(bad).has_value(), minor || bad[at] == good[at])
          << "byte " << at << " value " << value;
    }
  }
}

TEST(PeerMessage, EveryOtherLengthIsRefused) {
  auto bytes = copy_of(bytes_of(make_hello(64, 4096, 1, "a")));
  bytes.resize(200);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    EXPECT_EQ(parse_hello(std::span(bytes).first(length)).has_value(), length == 64) << length;
    // A header that owns up to the length does not help.
    auto claims = bytes;
    const auto said = static_cast<std::uint32_t>(length);
    std::memcpy(claims.data() + offsetof(abi::ControlHeader, bytes), &said, sizeof said);
    EXPECT_EQ(parse_hello(std::span(claims).first(length)).has_value(), length == 64) << length;
  }
}

TEST(PeerMessage, HelloContentsAreChecked) {
  const auto kind = [](auto change) {
    auto hello = make_hello(64, 4096, 1, "a");
    change(hello);
    const auto parsed = parse_hello(bytes_of(hello));
    return parsed ? std::optional<ErrorKind>() : parsed.error().kind();
  };
  using Hello = abi::ControlHello;
  EXPECT_EQ(kind([](Hello&) {}), std::nullopt);
  EXPECT_EQ(kind([](Hello& h) { h.header.version_major = 2; }), ErrorKind::kUnsupported);
  EXPECT_EQ(kind([](Hello& h) { h.features = 1; }), ErrorKind::kUnsupported);
  EXPECT_EQ(kind([](Hello& h) { h.weight = 0; }), ErrorKind::kInvalid);
  EXPECT_EQ(kind([](Hello& h) { h.weight = abi::kMaxWeight + 1; }), ErrorKind::kInvalid);
  EXPECT_EQ(kind([](Hello& h) { h.weight = abi::kMaxWeight; }), std::nullopt);
  EXPECT_EQ(kind([](Hello& h) { std::memset(h.name, 'x', sizeof h.name); }), ErrorKind::kInvalid);
  EXPECT_EQ(kind([](Hello& h) { h.name[0] = '\n'; }), ErrorKind::kInvalid);
  EXPECT_EQ(kind([](Hello& h) { h.name[31] = 'x'; }), ErrorKind::kInvalid);
}

TEST(PeerMessage, RefusalKeepsItsKind) {
  for (int k = 0; k <= static_cast<int>(ErrorKind::kIo); ++k) {
    const auto kind = static_cast<ErrorKind>(k);
    const auto refused = make_refused({kind, "no: " + std::string(200, 'y') + "\n"});
    const auto got = parse_refused(bytes_of(refused));
    EXPECT_EQ(got.kind(), kind) << name(kind);
    EXPECT_TRUE(got.message().starts_with("refused by the service: no: yyy"));
  }
}

TEST(PeerMessage, RefusalOfAHostileServiceIsNoTerminalEscape) {
  auto refused = make_refused({ErrorKind::kBusy, "x"});
  refused.text[0] = '\x1b';
  EXPECT_EQ(parse_refused(bytes_of(refused)).kind(), ErrorKind::kCorrupt);
  std::memset(refused.text, 'x', sizeof refused.text);
  EXPECT_EQ(parse_refused(bytes_of(refused)).kind(), ErrorKind::kCorrupt);
}

TEST(PeerMessage, ReportOfAnyAllowedLength) {
  const std::string longest(abi::kMaxReportBytes - sizeof(abi::ControlHeader), 'z');
  for (const std::string& text : {std::string(), std::string("{}"), longest}) {
    const auto packet = make_report(text);
    ASSERT_TRUE(packet);
    EXPECT_EQ(parse_report(std::as_bytes(std::span(*packet))).value(), text);
  }
  EXPECT_EQ(make_report(longest + "z").error().kind(), ErrorKind::kLimit);
}

}  // namespace
}  // namespace fairlead::shm
