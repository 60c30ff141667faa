// SPDX-License-Identifier: Apache-2.0
//
// For tests: what tests/trace/data holds.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "trace/block_decoder.h"

#ifndef FL_TRACE_DATA  // cmake/targets.cmake knows
#define FL_TRACE_DATA "tests/trace/data"
#endif

namespace fairlead::trace {

inline std::string recorded(const std::string& name) {
  auto text = base::read_file(std::string(FL_TRACE_DATA) + "/" + name, 1 << 20);
  EXPECT_TRUE(text) << name;
  return text ? *text : std::string();
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// With all events of one kernel.
inline BlockDecoder decoder_of(const std::string& kernel) {
  BlockDecoder decoder;
  for (const BlockTracepoint& one : kBlockTracepoints) {
    const auto format = EventFormat::parse(recorded(kernel + "/" + one.name));
    EXPECT_TRUE(format && decoder.add(*format)) << one.name;
  }
  return decoder;
}

}  // namespace fairlead::trace
