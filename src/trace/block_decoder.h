// SPDX-License-Identifier: Apache-2.0
//
// BlockDecoder: a block tracepoint's record, as it lies in a ring buffer page, into a BlockEvent.
//
//     tracepoint              action     sector, bytes
//     block_bio_queue         Q
//     block_getrq             G
//     block_bio_backmerge     M          of the bio
//     block_bio_frontmerge    F
//     block_rq_insert         I
//     block_rq_issue          D
//     block_rq_requeue        R
//     block_rq_complete       C          what is done now: a request may complete in parts
//     block_split             X          of the bio before the split, no bytes; aux: where
//     block_bio_remap         A          after; request, aux: device and sector before
//
// Categories come from the kernel's letters ("WFS"): what moves data is a read or a write; a
// discard or an empty flush is neither.  D and C carry `bytes` of what their record says, the
// others sectors · 512.
//
// The record is not trusted: it is read within its bounds, at the offsets of the format, which was
// checked when it was taken up.
//
// Thread-safety: decode() is const.  Ownership: the comm of a result points into the record.
// Source: Linux, include/trace/events/block.h, block/blk-core.c and kernel/trace/blktrace.c
// (blk_fill_rwbs); include/uapi/linux/blktrace_api.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fairlead/abi/trace.h"
#include "trace/event_format.h"

namespace fairlead::trace {

struct BlockTracepoint {
  const char* name;
  abi::BlockAct act;
};

inline constexpr BlockTracepoint kBlockTracepoints[] = {
    {"block_bio_queue", abi::BlockAct::kQueue},
    {"block_getrq", abi::BlockAct::kGetRequest},
    {"block_bio_backmerge", abi::BlockAct::kBackMerge},
    {"block_bio_frontmerge", abi::BlockAct::kFrontMerge},
    {"block_rq_insert", abi::BlockAct::kInsert},
    {"block_rq_issue", abi::BlockAct::kIssue},
    {"block_rq_complete", abi::BlockAct::kComplete},
    {"block_rq_requeue", abi::BlockAct::kRequeue},
    {"block_split", abi::BlockAct::kSplit},
    {"block_bio_remap", abi::BlockAct::kRemap},
};

// The high half of an action, from the kernel's letters.
std::uint32_t categories_of(std::string_view rwbs) noexcept;

class BlockDecoder {
 public:
  struct Decoded {
    abi::BlockEvent event{};
    std::string_view comm;  // of the process `event.pid`; empty if the record has none
  };

  // Takes up one event's format; kNotFound if it is none of kBlockTracepoints, kUnsupported if it
  // lacks a field or has it in another size.
  base::Status add(const EventFormat& format);

  // nullopt: an event that was not added, or a record too short for its fields.
  std::optional<Decoded> decode(std::span<const std::byte> record,
                                std::uint16_t cpu) const noexcept;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Layout {
    std::uint16_t id = 0;
    abi::BlockAct act{};
    std::uint32_t least_bytes = 0;  // of a record
    std::uint32_t pid = kNone;      // offsets, here and below
    std::uint32_t dev = kNone;
    std::uint32_t sector = kNone;
    std::uint32_t sectors = kNone;
    std::uint32_t bytes = kNone;
    std::uint32_t error = kNone;
    std::uint32_t new_sector = kNone;
    std::uint32_t old_dev = kNone;
    std::uint32_t old_sector = kNone;
    std::uint32_t rwbs = kNone;
    std::uint32_t rwbs_bytes = 0;
    std::uint32_t comm = kNone;
    std::uint32_t comm_bytes = 0;
  };

  static bool place_numbers(const EventFormat& format, Layout& layout) noexcept;
  static bool place_texts(const EventFormat& format, Layout& layout) noexcept;
  static abi::BlockEvent event_of(const Layout& layout, std::span<const std::byte> record) noexcept;

  std::vector<Layout> layouts_;
};

}  // namespace fairlead::trace
