// SPDX-License-Identifier: Apache-2.0
#include "trace/event_format.h"

#include <gtest/gtest.h>

#include "trace/testing_data.h"

namespace fairlead::trace {
namespace {

TEST(EventFormat, ReadsWhatAKernelSays) {
  const auto format = EventFormat::parse(recorded("6.18/block_rq_issue"));
  ASSERT_TRUE(format);
  EXPECT_EQ(format->name(), "block_rq_issue");
  EXPECT_EQ(format->id(), 2104);
  const auto at = [&](const char* name) {
    const FormatField* const field = format->find(name);
    return field == nullptr ? std::pair(0U, 0U) : std::pair(field->offset, field->size);
  };
  EXPECT_EQ(at("common_pid"), std::pair(4U, 4U));
  EXPECT_EQ(at("sector"), std::pair(16U, 8U));
  EXPECT_EQ(at("rwbs"), std::pair(34U, 10U));
  EXPECT_EQ(at("comm"), std::pair(44U, 16U));
  EXPECT_EQ(at("cmd"), std::pair(60U, 4U));
  EXPECT_EQ(format->find("error"), nullptr);
  EXPECT_EQ(format->find(""), nullptr);
}

TEST(EventFormat, WhatIsNoFormatIsRefused) {
  const std::string field = "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n";
  EXPECT_TRUE(EventFormat::parse("name: x\nID: 1\n" + field));
  for (const std::string& bad : {std::string(), "ID: 1\n" + field, "name: x\n" + field,
                                 std::string("name: x\nID: 1\n"), "name: x\nID: 65536\n" + field,
                                 "name: x\nID: -1\n" + field, "name: x\nID: one\n" + field}) {
    EXPECT_FALSE(EventFormat::parse(bad)) << bad;
  }
}

TEST(EventFormat, AFieldThatMakesNoSenseIsRefused) {
  for (const char* bad :
       {"\tfield:int a;\tsize:4;\n", "\tfield:int a;\toffset:8;\n",
        "\tfield:;\toffset:8;\tsize:4;\n", "\tfield:int a;\toffset:-8;\tsize:4;\n",
        "\tfield:int a;\toffset:8x;\tsize:4;\n", "\tfield:int a;\toffset:65536;\tsize:1;\n",
        "\tfield:int a;\toffset:4294967295;\tsize:2;\n"}) {
    EXPECT_FALSE(parse_fields(bad)) << bad;
  }
  EXPECT_EQ(parse_fields("\tfield:int a;\toffset:65535;\tsize:1;\n")->size(), 1U);
  std::string many;
  for (int i = 0; i < 257; ++i) many += "\tfield:int a;\toffset:8;\tsize:4;\n";
  EXPECT_FALSE(parse_fields(many));
}

}  // namespace
}  // namespace fairlead::trace
