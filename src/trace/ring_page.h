// SPDX-License-Identifier: Apache-2.0
//
// RingPage: one page of the kernel's trace ring buffer, as per_cpu/cpuN/trace_pipe_raw gives it.
//
//   0             8                16
//   +-------------+----------------+-----------------------------------------------+
//   | u64 stamp   | commit: bytes, | events: u32 type_len:5, delta:27, then …      |
//   | of the page | flags          |   0       u32 length with itself, data        |
//   +-------------+----------------+   1 … 28  4 · type_len bytes of data          |
//     bit 31: events are missing   |   29      padding: delta 0 to the page's end, |
//     before this page; bit 30:    |           else u32 length, a discarded event  |
//     how many stands in 8 bytes   |   30      u32: delta's high bits              |
//     after the last event         |   31      u32: a stamp, not a delta           |
//                                  +-----------------------------------------------+
//
// The page is not trusted: nothing outside it is read, and what does not fit ends it as broken.
//
// Thread-safety: one thread.  Ownership: a view of the caller's bytes, and so are its events.
// Units: stamps of the buffer's trace clock.
// Source: Linux, Documentation/trace/ring-buffer-design.rst; events/header_page, header_event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace fairlead::trace {

// Where a page's parts lie.  A page is data_at + data_bytes long.
struct PageShape {
  std::size_t stamp_at = 0;
  std::size_t commit_at = 8;
  std::size_t data_at = 16;
  std::size_t data_bytes = 4080;

  std::size_t bytes() const noexcept { return data_at + data_bytes; }
};

inline constexpr std::size_t kMostPageBytes = 65'536;

// From the text of events/header_page.
base::Result<PageShape> parse_page_shape(std::string_view text);

struct RingEvent {
  std::uint64_t stamp = 0;
  std::span<const std::byte> data;
};

class RingPage {
 public:
  // A span shorter than the shape is broken from the start.
  RingPage(std::span<const std::byte> page, const PageShape& shape) noexcept;

  // The next event with data; false at the end.
  bool next(RingEvent& event) noexcept;

  bool misses_events() const noexcept { return misses_; }                     // before this page
  std::optional<std::uint64_t> missing() const noexcept { return missing_; }  // if it says how many
  bool broken() const noexcept { return broken_; }  // what follows the last event was unreadable
  std::uint64_t stamp() const noexcept { return stamp_; }  // of the page, then of its last event

 private:
  struct Head;
  bool take(const Head& head, RingEvent& event) noexcept;
  bool give_up() noexcept;
  std::uint32_t word(std::size_t at) const noexcept;
  std::size_t left() const noexcept { return data_.size() - at_; }

  std::span<const std::byte> data_;  // what is committed
  std::size_t at_ = 0;
  std::uint64_t stamp_ = 0;
  std::optional<std::uint64_t> missing_;
  bool misses_ = false;
  bool broken_ = false;
};

}  // namespace fairlead::trace
