// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"

namespace fairlead::base {
namespace {

template <typename T>
std::string written(const T& value) {
  std::string out;
  JsonWriter(out).value(value);
  return out;
}

TEST(JsonWriter, WritesObjectsAndArrays) {
  std::string out = "# ";
  JsonWriter json(out);
  json.begin_object().member("event", "interval").member("reads", 3u);
  json.key("parts").begin_array().value(1).begin_object().end_object().begin_array().end_array();
  json.null().value(true).value(false).end_array();
  EXPECT_FALSE(json.complete());
  json.member("name", std::string("a")).end_object();
  EXPECT_TRUE(json.complete());
  EXPECT_EQ(out,
            R"(# {"event":"interval","reads":3,"parts":[1,{},[],null,true,false],"name":"a"})");
}

TEST(JsonWriter, WritesNumbersToTheEndsOfTheirRange) {
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(written(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(written(std::uint8_t{200}), "200");
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(-1e300), "-1e+300");
  EXPECT_EQ(written(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(written(-std::numeric_limits<double>::infinity()), "null");
}

TEST(JsonWriter, EveryDoubleReadsBackTheSame) {
  Random random(5);
  for (int i = 0; i < 20'000; ++i) {
    const double number = std::bit_cast<double>(random.next());
    if (!std::isfinite(number)) continue;
    EXPECT_EQ(nlohmann::json::parse(written(number)).get<double>(), number);
  }
}

TEST(JsonWriter, EscapesWhatWouldBreakTheLine) {
  EXPECT_EQ(written("a\"b\\c/\n\t\r"), R"("a\"b\\c/\n\t\r")");
  EXPECT_EQ(written(std::string("\0\x01\x1b[31m\x7f", 8)), R"("\u0000\u0001\u001b[31m\u007f")");
  EXPECT_EQ(written("äß€😀"), "\"äß€😀\"");
}

TEST(JsonWriter, InvalidUtf8BecomesReplacementCharacters) {
  EXPECT_EQ(written("a\xff"
                    "b"),
            "\"a\uFFFDb\"");
  EXPECT_EQ(written("\xe2\x82"), "\"\uFFFD\"");                            // cut short
  EXPECT_EQ(written("\xc0\xaf"), "\"\uFFFD\uFFFD\"");                      // overlong '/'
  EXPECT_EQ(written("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\"");            // a surrogate
  EXPECT_EQ(written("\xf4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");  // past U+10FFFF
  EXPECT_EQ(written("\xf0\x9f\x98\"x"), R"("�\"x")");                      // the quote is not eaten
}

// Another writer and another reader, over bytes of every kind.
TEST(JsonWriter, AnyBytesAgreeWithNlohmann) {
  Random random(6);
  const std::string pieces[] = {"a", "\"", "\\",   "\n",       "é",
                                "€", "😀", "\xc3", "\xe2\x82", "\xf0\x9f"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(8); n > 0; --n) {
      if (random.below(3) == 0) {
        text += pieces[random.below(std::size(pieces))];
      } else {
        text += static_cast<char>(random.below(256));
      }
    }
    const auto theirs =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    EXPECT_EQ(nlohmann::json::parse(written(text)), nlohmann::json::parse(theirs));
  }
}

TEST(JsonWriterDeathTest, ACallOutOfPlaceAborts) {
  std::string out;
  EXPECT_DEATH(JsonWriter(out).begin_object().value(1), "not true");
  EXPECT_DEATH(JsonWriter(out).begin_array().key("a"), "not true");
  EXPECT_DEATH(JsonWriter(out).begin_array().end_object(), "not true");
  EXPECT_DEATH(JsonWriter(out).begin_object().key("a").end_object(), "not true");
  EXPECT_DEATH(JsonWriter(out).value(1).value(2), "not true");
  EXPECT_DEATH(JsonWriter(out).end_array(), "not true");
}

TEST(JsonWriter, SixtyFourLevels) {
  std::string out;
  JsonWriter json(out);
  for (int i = 0; i < 32; ++i) json.begin_array().begin_object().key("k");
  // The 64 levels are taken; a scalar still fits.
  json.value(1);
  for (int i = 0; i < 32; ++i) json.end_object().end_array();
  EXPECT_TRUE(json.complete());
  EXPECT_TRUE(nlohmann::json::accept(out));
}

}  // namespace
}  // namespace fairlead::base
