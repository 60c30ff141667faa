// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_note.h"

#include <cstdint>
#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace fairlead::trace {
namespace {

TEST(BlktraceNote, WhatWasWrittenIsRead) {
  const std::string odd("a %41\n\0\xff=b c=1", 15);
  NoteWriter writer("verb");
  writer.with("least", std::numeric_limits<std::int64_t>::min())
      .with("text", odd)
      .with("empty", "")
      .with_device("device", 4095U << 20 | 0xfffff);
  EXPECT_EQ(writer.text().find_first_of(std::string("\n\0\xff", 3)), std::string::npos);
  NoteReader reader(writer.text());
  EXPECT_EQ(reader.verb(), "verb");
  EXPECT_EQ(reader.number<std::int64_t>("least"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(reader.text("text"), odd);
  EXPECT_TRUE(reader.has("empty"));
  EXPECT_EQ(reader.text("empty"), "");
  EXPECT_EQ(reader.device("device"), UINT32_MAX);
  EXPECT_EQ(reader.problem(), "");
}

TEST(BlktraceNote, AValueIsFoundByItsWholeName) {
  NoteReader reader("fairlead v sources=3 so=1 source=4");
  EXPECT_EQ(reader.number<int>("source"), 4);
  EXPECT_FALSE(reader.has("sour"));
  EXPECT_EQ(reader.problem(), "");
}

TEST(BlktraceNote, MessagesOfOthersAreNone) {
  for (const char* text : {"", "fairlead", "fairleads set a=1", "cfq set a=1"}) {
    EXPECT_EQ(NoteReader(text).verb(), "") << text;
  }
}

TEST(BlktraceNote, WhatIsWrongIsNamed) {
  const std::string long_text(kMostNoteText + 1, 'x');
  const std::string note =
      "fairlead v big=256 minus=-1 tail=1x none= bad=%4 worse=%zz d=1 e=1,2,3 "
      "f=4096,0 long=" +
      long_text;
  for (const char* name : {"big", "minus", "tail", "none", "missing"}) {
    NoteReader reader(note);
    EXPECT_EQ(reader.number<std::uint8_t>(name), 0);
    EXPECT_EQ(reader.problem(), std::string("the note 'v' has no right '") + name + "'");
  }
  for (const char* name : {"bad", "worse", "long", "missing"}) {
    NoteReader reader(note);
    reader.text(name);
    EXPECT_NE(reader.problem(), "") << name;
  }
  for (const char* name : {"d", "e", "f", "missing"}) {
    NoteReader reader(note);
    EXPECT_EQ(reader.device(name), 0u);
    EXPECT_NE(reader.problem(), "") << name;
  }
}

TEST(BlktraceNote, OfALongTextTheBeginningIsWritten) {
  NoteWriter writer("v");
  writer.with("text", std::string(kMostNoteText + 5, 'x'));
  NoteReader reader(writer.text());
  EXPECT_EQ(reader.text("text"), std::string(kMostNoteText, 'x'));
}

}  // namespace
}  // namespace fairlead::trace
