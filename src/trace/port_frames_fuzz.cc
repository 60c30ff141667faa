// SPDX-License-Identifier: Apache-2.0
//
// A guest's trace port, both ends.  An odd first byte: the rest are bytes of a hostile guest, in
// pieces; what comes out is frames in order, and nothing after a broken one.  An even one: the rest
// are what a guest does (write, lose, answer) and what its port takes; all is delivered or told as
// lost, in order.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "trace/testing_port.h"

namespace fairlead::trace {
namespace {

constexpr std::uint64_t kSession = 0x0102'0304'0506'0708;

void check_host(std::span<const std::byte> bytes, std::size_t piece) {
  PortReader reader(kSession);
  bool over = false;
  std::uint64_t seen = 0;
  const std::uint64_t room = bytes.size();
  while (!bytes.empty()) {
    auto part = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(part.size());
    while (!part.empty()) {
      const std::size_t took = reader.push(part);
      FL_CHECK(took > 0 && took <= part.size());
      part = part.subspan(took);
      PortFrame frame{};
      for (auto look = reader.next(frame); look != PortReader::Look::kMore;
           look = reader.next(frame)) {
        const bool last = look == PortReader::Look::kEnd || look == PortReader::Look::kBroken;
        FL_CHECK(!over || last);
        over = over || last;
        if (last) break;
        FL_CHECK(reader.begun() && frame.record.bytes == sizeof frame);
        ++seen;
      }
    }
  }
  FL_CHECK(seen <= room / kPortFrameBytes);
}

// Questions, in the same pieces: no more than the bytes can hold.
void check_questions(std::span<const std::byte> bytes) {
  PortQuestions questions;
  std::size_t found = 0;
  const std::size_t size = bytes.size();
  while (!bytes.empty()) {
    bytes = bytes.subspan(questions.push(bytes));
    if (questions.next()) ++found;
  }
  FL_CHECK(found <= size / sizeof(abi::PortQuestion));
}

void check_guest(std::span<const std::byte> acts) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  std::uint64_t written = 0;
  std::uint64_t lost = 0;
  std::uint64_t of_the_kernel = 0;
  for (const std::byte act : acts) {
    const auto number = static_cast<std::uint8_t>(act);
    const std::uint64_t count = number >> 2;
    if ((number & 3) == 0) {
      for (std::uint64_t i = 0; i < count; ++i) lost += write_number(queue, ++written) ? 0 : 1;
    } else if ((number & 3) == 1) {
      host.take(queue, count * 37);
    } else if ((number & 3) == 2) {
      queue.answer(count, 1);
    } else {
      const abi::TraceLoss loss{count, 0, 5, 6, abi::TraceLossCause::kKernel, {}};
      FL_CHECK(queue.write(abi::TraceType::kLoss, 6, &loss));
      of_the_kernel += count;
    }
    FL_CHECK(queue.lost() == lost && queue.unsent() <= written - lost);
  }
  queue.end(1);
  host.take_all(queue);
  FL_CHECK(host.last() == PortReader::Look::kEnd && queue.unsent() == 0);
  std::uint64_t next = 1;
  auto loss = host.losses().begin();
  for (std::size_t i = 0; i <= host.numbers().size(); ++i) {
    for (; loss != host.losses().end() && loss->index == i; ++loss) {
      const bool kernel = loss->loss.cause == abi::TraceLossCause::kKernel;
      (kernel ? of_the_kernel : lost) -= loss->loss.records;
      if (!kernel) next += loss->loss.records;
    }
    if (i < host.numbers().size()) FL_CHECK(host.numbers()[i] == next++);
  }
  FL_CHECK(next == written + 1 && lost == 0 && of_the_kernel == 0);
}

}  // namespace
}  // namespace fairlead::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fairlead::trace;
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data + 1, size - 1));
  if (data[0] % 2 == 0) {
    check_guest(rest);
  } else {
    check_host(rest, data[0]);
    check_questions(rest);
  }
  return 0;
}
