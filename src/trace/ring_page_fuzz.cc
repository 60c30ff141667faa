// SPDX-License-Identifier: Apache-2.0
//
// Pages and formats from a hostile kernel, or from a recording that somebody has changed: nothing
// outside them is read, and no more comes out than went in.  The first byte says what the rest is.
//
//     0  a page, with the records of two kernels' formats       2  a format
//     1  places of an honest page that change                   3  events/header_page
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "trace/block_decoder.h"
#include "trace/cpu_stream.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

constexpr const char* kCommon =
    "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
    "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
    "\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;\n"
    "\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n"
    "\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;\n";

// As kernel 6.18 numbers and lays them out.
BlockDecoder decoder() {
  BlockDecoder all;
  const auto add = [&all](const char* head, const char* fields) {
    const auto format = EventFormat::parse(std::string(head) + kCommon + fields);
    FL_CHECK(format && all.add(*format));
  };
  add("name: block_bio_queue\nID: 2097\n",
      "\tfield:char rwbs[10];\toffset:28;\tsize:10;\tsigned:0;\n"
      "\tfield:char comm[16];\toffset:38;\tsize:16;\tsigned:0;\n");
  add("name: block_getrq\nID: 2096\n",
      "\tfield:char rwbs[10];\toffset:28;\tsize:10;\tsigned:0;\n"
      "\tfield:char comm[16];\toffset:38;\tsize:16;\tsigned:0;\n");
  add("name: block_rq_issue\nID: 2104\n",
      "\tfield:unsigned int bytes;\toffset:28;\tsize:4;\tsigned:0;\n"
      "\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n"
      "\tfield:char comm[16];\toffset:44;\tsize:16;\tsigned:0;\n");
  add("name: block_rq_complete\nID: 2107\n",
      "\tfield:int error;\toffset:28;\tsize:4;\tsigned:1;\n"
      "\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n");
  add("name: block_bio_remap\nID: 2091\n",
      "\tfield:dev_t old_dev;\toffset:28;\tsize:4;\tsigned:0;\n"
      "\tfield:sector_t old_sector;\toffset:32;\tsize:8;\tsigned:0;\n"
      "\tfield:char rwbs[8];\toffset:40;\tsize:8;\tsigned:0;\n");
  return all;
}

void check_page(std::span<const std::byte> bytes) {
  static const BlockDecoder all = decoder();
  // A page of its own, so that a sanitizer sees what lies behind it.
  const std::vector<std::byte> page(bytes.begin(), bytes.end());
  RingPage events(page, {});
  std::size_t sum = 0;
  std::size_t count = 0;
  for (RingEvent event; events.next(event); ++count) {
    FL_CHECK(event.data.empty() ||
             (event.data.data() >= page.data() + 16 &&
              event.data.data() + event.data.size() <= page.data() + page.size()));
    sum += event.data.size() + 4;
    // Likewise a record.
    const std::vector<std::byte> record(event.data.begin(), event.data.end());
    (void)all.decode(record, 0);
  }
  FL_CHECK(sum <= page.size());
  FL_CHECK(!events.missing() || events.misses_events());
  CpuStream stream(0, all);
  NameBook names;
  KeepingSink sink;
  stream.take(RingPage(page, {}), 1000, names, sink);
  stream.end(1 << 20, 1, sink);
  FL_CHECK(sink.events.size() == stream.events());
  FL_CHECK(stream.events() + stream.unreadable() == count + (events.broken() ? 1 : 0));
  FL_CHECK(sink.names.size() <= sink.events.size());
}

void check_format(std::string_view text, std::span<const std::byte> record) {
  const auto format = EventFormat::parse(text);
  if (!format) return;
  BlockDecoder one;
  if (!one.add(*format)) return;
  const std::vector<std::byte> copy(record.begin(), record.end());
  if (const auto decoded = one.decode(copy, 0)) {
    FL_CHECK(decoded->comm.empty() ||
             (decoded->comm.data() >= reinterpret_cast<const char*>(copy.data()) &&
              decoded->comm.data() + decoded->comm.size() <=
                  reinterpret_cast<const char*>(copy.data()) + copy.size()));
  }
}

std::vector<std::byte> honest() {
  std::string queue(56, '\0');
  queue.replace(0, 2, "\x31\x08");
  queue.replace(28, 2, "RS");
  queue.replace(38, 7, "python3");
  const std::string complete = std::string("\x3b\x08") + std::string(46, '\0');
  return PageMaker(1U << 30)
      .data(0, queue)
      .data(9, complete)
      .special(29, 1, 20)
      .special(30, 1, 2)
      .data(1, queue)
      .special(31, 5, 6)
      .data(3, std::string(200, 'x'))
      .end()
      .make((1U << 31) | (1U << 30), 12);
}

}  // namespace
}  // namespace fairlead::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fairlead::trace;
  if (size == 0) return 0;
  fairlead::base::FuzzInput input(data + 1, size - 1);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: {
      std::vector<std::byte> page(bytes.begin(), bytes.end());
      if (page.size() > 16) page.resize(4096);  // short ones too
      check_page(page);
      break;
    }
    case 1: {
      auto page = honest();
      input.patch(page);
      check_page(page);
      break;
    }
    case 2: check_format(text, bytes); break;
    default: {
      const auto shape = parse_page_shape(text);
      if (shape) FL_CHECK(shape->bytes() <= kMostPageBytes);
    }
  }
  return 0;
}
