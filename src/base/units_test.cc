// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <cstdint>
#include <limits>
#include <locale>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kMaxNs = std::numeric_limits<std::int64_t>::max();

struct Size {
  std::string_view text;
  std::uint64_t bytes;
};

TEST(ParseBytes, TakesEveryUnit) {
  constexpr Size kSizes[] = {
      {"0", 0},
      {"4096", 4096},
      {"007", 7},
      {"12B", 12},
      {"4K", 4096},
      {"4k", 4096},
      {"4KiB", 4096},
      {"256M", 256 << 20},
      {"1G", 1 << 30},
      {"1gib", 1 << 30},
      {"2T", std::uint64_t{2} << 40},
      {"3PiB", std::uint64_t{3} << 50},
      {"15E", std::uint64_t{15} << 60},
      {"1.5G", 3 << 29},
      {"0.25KiB", 256},
      {"1.5000000000000000000000K", 1536},
      {"18446744073709551615", kMax},
  };
  for (const auto& size : kSizes) {
    const auto parsed = parse_bytes(size.text);
    ASSERT_TRUE(parsed) << size.text;
    EXPECT_EQ(*parsed, size.bytes) << size.text;
  }
}

TEST(ParseBytes, RefusesWhatIsNotASize) {
  for (const std::string_view text : {"",      " 1",        "1 ",
                                      "1 K",   "-1",        "+1",
                                      "K",     ".5K",       "1.K",
                                      "1..5K", "4KB",       "1e3",
                                      "0x10",  "1KiBs",     "18446744073709551616",
                                      "16E",   "16777216T", "99999999999999999999999E",
                                      "0.3K",  "1,5K"}) {
    const auto parsed = parse_bytes(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::kInvalid);
  }
}

// Ten to the 64th is nought modulo two to the 64th.
TEST(ParseBytes, RefusesADigitFarBehindThePoint) {
  EXPECT_FALSE(parse_bytes("1." + std::string(63, '0') + "1K"));
}

TEST(ParseBytes, SaysWhatWasGivenAndWhatIsAccepted) {
  EXPECT_EQ(parse_bytes("4KB").error().message(),
            "'4KB' has no known unit; accepted: bytes as in 4096, 64K, 256MiB or 1.5G (powers of "
            "1024)");
  EXPECT_EQ(parse_bytes("16E").error().message().substr(0, 20), "'16E' is too large; ");
  EXPECT_EQ(parse_bytes("0.3K").error().message().substr(0, 36),
            "'0.3K' is not a whole number of the ");
}

TEST(ParseBytes, TheErrorIsOneShortLineWhateverWasGiven) {
  const std::string wild = "1\n\x1b[31m" + std::string(1000, 'x');
  const std::string message = parse_bytes(wild).error().message();
  EXPECT_LT(message.size(), 200);
  for (const char c : message) EXPECT_TRUE(c < 0 || c >= ' ');
}

TEST(ParseDuration, TakesEveryUnitAndAPlainNumber) {
  EXPECT_EQ(parse_duration_ns("300"), 300 * kNanosPerSecond);
  EXPECT_EQ(parse_duration_ns("300", kNanosPerMilli), 300 * kNanosPerMilli);
  EXPECT_EQ(parse_duration_ns("1.5s"), 1'500'000'000);
  EXPECT_EQ(parse_duration_ns("20ms"), 20'000'000);
  EXPECT_EQ(parse_duration_ns("7us"), 7'000);
  EXPECT_EQ(parse_duration_ns("0.000000001"), 1);
  EXPECT_EQ(parse_duration_ns("9ns"), 9);
  EXPECT_EQ(parse_duration_ns("2min"), 120 * kNanosPerSecond);
  EXPECT_EQ(parse_duration_ns("1h"), 3600 * kNanosPerSecond);
  EXPECT_EQ(parse_duration_ns("87600h"), kLongestNs) << "ten years";
  for (const char* longer : {"87601h", "2562047h", "9223372036854775807ns", "315360000.1s"}) {
    const auto refused = parse_duration_ns(longer);
    ASSERT_FALSE(refused) << longer;
    EXPECT_NE(refused.error().message().find("is too large"), std::string::npos);
  }
}

TEST(ParseDuration, RefusesWhatIsNotADuration) {
  for (const std::string_view text : {"", "s", "-1s", "1 s", "5m", "1.5ns", "9223372036854775808ns",
                                      "9999999999h", "soon", "1s30ms", "nan", "inf"}) {
    EXPECT_FALSE(parse_duration_ns(text)) << text;
  }
  EXPECT_EQ(parse_duration_ns("5m").error().message(),
            "'5m' has no known unit; accepted: a duration as in 20ms, 1.5s or 2min (ns us ms s min "
            "h)");
}

TEST(ParseUnsigned, HoldsToItsRange) {
  EXPECT_EQ(parse_unsigned("0"), 0);
  EXPECT_EQ(parse_unsigned("18446744073709551615"), kMax);
  EXPECT_FALSE(parse_unsigned("18446744073709551616"));
  EXPECT_EQ(parse_unsigned("4", 2, 4), 4);
  EXPECT_EQ(parse_unsigned("2", 2, 4), 2);
  for (const std::string_view text :
       {"1", "5", "99999999999999999999", "", "-3", "+3", "3 ", "3x"}) {
    EXPECT_FALSE(parse_unsigned(text, 2, 4)) << text;
  }
  EXPECT_EQ(parse_unsigned("5", 2, 4).error().message(),
            "'5' is out of range; accepted: a whole number from 2 to 4");
  EXPECT_EQ(parse_unsigned("many", 1).error().message(),
            "'many' is not a whole number; accepted: a whole number from 1");
}

TEST(Format, ThreeDigitsAndAUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(3 << 29), "1.50 GiB");
  EXPECT_EQ(format_bytes(256 << 20), "256 MiB");
  EXPECT_EQ(format_bytes((1 << 20) - 1), "1.00 MiB");  // never "1024 KiB"
  EXPECT_EQ(format_bytes(kMax), "16.0 EiB");
  EXPECT_EQ(format_ns(0), "0 ns");
  EXPECT_EQ(format_ns(999), "999 ns");
  EXPECT_EQ(format_ns(1'234'567), "1.23 ms");
  EXPECT_EQ(format_ns(999'999), "1.00 ms");
  EXPECT_EQ(format_ns(-2 * kNanosPerSecond), "-2.00 s");
  EXPECT_EQ(format_ns(90 * kNanosPerSecond), "90.0 s");
  EXPECT_EQ(format_ns(kMaxNs), "9223372037 s");
  EXPECT_EQ(format_rate(12'345, "requests"), "12.3 k requests/s");
  EXPECT_EQ(format_rate(0.5, "passes"), "0.50 passes/s");
  EXPECT_EQ(format_byte_rate(1.5 * (1 << 30)), "1.50 GiB/s");
  EXPECT_EQ(format_byte_rate(99.97), "100 B/s");
}

// As a German user's locale would have it, without needing one installed.
class Commas : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(Format, NoLocaleChangesIt) {
  const std::locale before = std::locale::global(std::locale(std::locale(), new Commas));
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_ns(kMaxNs), "9223372037 s");
  EXPECT_EQ(parse_bytes("1.5K"), 1536);
  EXPECT_EQ(parse_unsigned("70000", 1, 5000).error().message(),
            "'70000' is out of range; accepted: a whole number from 1 to 5000");
  std::locale::global(before);
}

TEST(ParseReal, TakesNumbersOfTheRangeAndNothingElse) {
  EXPECT_EQ(*parse_real("0.5", 0, 1), 0.5);
  EXPECT_EQ(*parse_real("1e-3", 0, 1), 1e-3);
  EXPECT_EQ(*parse_real("-2", -2, 1), -2);
  for (const char* const wrong : {"", "x", "1x", " 1", "1.01", "-0.1", "nan", "inf", "1e999"}) {
    EXPECT_FALSE(parse_real(wrong, 0, 1)) << wrong;
  }
  EXPECT_NE(parse_real("7", 0, 1).error().message().find("from 0 to 1"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::base
