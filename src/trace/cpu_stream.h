// SPDX-License-Identifier: Apache-2.0
//
// CpuStream: what one processor's pages hold, given to a sink: its events, and in the places where
// some are missing how many.
//
// The kernel's buffer gives up its oldest pages.  The page after such a gap says so, and how many
// events were there if it has eight bytes left to say it; where it has not, the buffer's own count
// of all that it has lost tells.  That count is taken later than the gap and may tell too much
// there: so much less the next page tells, and what was then too little, end() tells.  The sum is
// the kernel's in the end.
//
// Of a loss, first_stamp is that of the last event before it (0: there is none), last_stamp that of
// the first after it.
//
// Thread-safety: none.  Ownership: the decoder must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "fairlead/abi/trace.h"
#include "trace/block_decoder.h"
#include "trace/event_sink.h"
#include "trace/name_book.h"
#include "trace/ring_page.h"

namespace fairlead::trace {

// All that a buffer has lost, from per_cpu/cpuN/stats: given up, and refused to a writer.
std::optional<std::uint64_t> parse_lost(std::string_view stats) noexcept;

class CpuStream {
 public:
  CpuStream(std::uint16_t cpu, const BlockDecoder& decoder) noexcept
      : cpu_(cpu), decoder_(&decoder) {}

  // `lost`: the buffer's count, where the page does not say how many are missing.
  void take(RingPage page, std::optional<std::uint64_t> lost, NameBook& names, EventSink& sink);
  // After the last page: what no page has told.
  void end(std::uint64_t lost, std::uint64_t stamp, EventSink& sink);

  std::uint16_t cpu() const noexcept { return cpu_; }
  std::uint64_t events() const noexcept { return events_; }
  std::uint64_t lost() const noexcept { return told_; }
  std::uint64_t unreadable() const noexcept { return unreadable_; }  // events, or ends of pages

 private:
  void tell(std::uint64_t records, std::uint64_t last_stamp, abi::TraceLossCause cause,
            EventSink& sink) const;
  void tell_missing(std::uint64_t records, std::uint64_t last_stamp, EventSink& sink);

  const std::uint16_t cpu_;
  const BlockDecoder* decoder_;
  std::uint64_t last_stamp_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t ahead_ = 0;  // of told_: what the next page may say again
  std::uint64_t unreadable_ = 0;
};

}  // namespace fairlead::trace
