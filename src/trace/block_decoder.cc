// SPDX-License-Identifier: Apache-2.0
#include "trace/block_decoder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "trace/trace.h"

namespace fairlead::trace {

using abi::BlockAct;
using abi::BlockCategory;
using base::ErrorKind;

namespace {

constexpr std::uint32_t bit(BlockCategory category) noexcept {
  return std::uint32_t{1} << (16 + static_cast<unsigned>(category));
}

// What blktrace says beside what happened.
constexpr std::uint32_t category_of(BlockAct act) noexcept {
  switch (act) {
    case BlockAct::kIssue: return bit(BlockCategory::kIssue);
    case BlockAct::kComplete: return bit(BlockCategory::kComplete);
    case BlockAct::kRequeue: return bit(BlockCategory::kRequeue);
    case BlockAct::kSplit: return 0;
    default: return bit(BlockCategory::kQueue);
  }
}

template <typename T>
T copy_at(std::span<const std::byte> record, std::uint32_t at) noexcept {
  T value;
  std::memcpy(&value, record.data() + at, sizeof value);
  return value;
}

std::string_view text_at(std::span<const std::byte> record, std::uint32_t at,
                         std::uint32_t bytes) noexcept {
  const std::string_view all(reinterpret_cast<const char*>(record.data()) + at, bytes);
  return all.substr(0, all.find('\0'));
}

// Takes the operation's letters; its category.
std::uint32_t take_operation(std::string_view& rest) noexcept {
  const auto take = [&rest](std::string_view letters) {
    if (!rest.starts_with(letters)) return false;
    rest.remove_prefix(letters.size());
    return true;
  };
  if (take("WZ") || take("W") || take("ZA")) return bit(BlockCategory::kWrite);
  if (take("R")) return bit(BlockCategory::kRead);
  if (take("DE") || take("D")) return bit(BlockCategory::kDiscard);
  if (take("F")) return bit(BlockCategory::kFlush);
  if (take("ZRA") || take("ZR") || take("ZO") || take("ZC") || take("ZF")) return 0;
  take("N");
  return 0;
}

// What a field is to be, and where its offset goes.
struct Wanted {
  const char* name;
  std::uint32_t bytes;
  std::uint32_t* at;
  bool needed;
};

std::uint16_t positive_errno(std::int32_t error) noexcept {
  if (error >= 0) return 0;
  constexpr std::int32_t kMostErrno = 4095;
  return static_cast<std::uint16_t>(error < -kMostErrno ? kMostErrno : -error);
}

}  // namespace

std::uint32_t categories_of(std::string_view rwbs) noexcept {
  std::uint32_t all = 0;
  // A flush before the operation, or the operation: it is both times one.
  if (rwbs.starts_with('F')) {
    all |= bit(BlockCategory::kFlush);
    rwbs.remove_prefix(1);
  }
  all |= take_operation(rwbs);
  for (const char letter : rwbs) {
    switch (letter) {
      case 'F': all |= bit(BlockCategory::kFua); break;
      case 'A': all |= bit(BlockCategory::kAhead); break;
      case 'S': all |= bit(BlockCategory::kSync); break;
      case 'M': all |= bit(BlockCategory::kMeta); break;
      default: break;  // a later kernel's
    }
  }
  return all;
}

bool BlockDecoder::place_numbers(const EventFormat& format, Layout& layout) noexcept {
  const bool split = layout.act == BlockAct::kSplit;
  const bool remap = layout.act == BlockAct::kRemap;
  const Wanted wanted[] = {
      {"common_pid", 4, &layout.pid, true},         {"dev", 4, &layout.dev, true},
      {"sector", 8, &layout.sector, true},          {"nr_sector", 4, &layout.sectors, !split},
      {"bytes", 4, &layout.bytes, false},           {"error", 4, &layout.error, false},
      {"new_sector", 8, &layout.new_sector, split}, {"old_dev", 4, &layout.old_dev, remap},
      {"old_sector", 8, &layout.old_sector, remap},
  };
  for (const Wanted& one : wanted) {
    const FormatField* const field = format.find(one.name);
    if (field == nullptr && !one.needed) continue;
    if (field == nullptr || field->size != one.bytes) return false;
    *one.at = field->offset;
    layout.least_bytes = std::max(layout.least_bytes, field->offset + field->size);
  }
  return true;
}

bool BlockDecoder::place_texts(const EventFormat& format, Layout& layout) noexcept {
  const FormatField* const rwbs = format.find("rwbs");
  if (rwbs == nullptr) return false;
  layout.rwbs = rwbs->offset;
  layout.rwbs_bytes = rwbs->size;
  layout.least_bytes = std::max(layout.least_bytes, rwbs->offset + rwbs->size);
  if (const FormatField* const comm = format.find("comm")) {
    layout.comm = comm->offset;
    layout.comm_bytes = comm->size;
    layout.least_bytes = std::max(layout.least_bytes, comm->offset + comm->size);
  }
  return true;
}

base::Status BlockDecoder::add(const EventFormat& format) {
  const auto* const known =
      std::ranges::find(kBlockTracepoints, format.name(),
                        [](const BlockTracepoint& one) { return std::string_view(one.name); });
  if (known == std::end(kBlockTracepoints)) {
    return base::fail(ErrorKind::kNotFound, format.name() + ": no block tracepoint of ours");
  }
  Layout layout;
  layout.id = format.id();
  layout.act = known->act;
  const FormatField* const type = format.find("common_type");
  if (type == nullptr || type->offset != 0 || type->size != sizeof layout.id ||
      !place_numbers(format, layout) || !place_texts(format, layout)) {
    return base::fail(ErrorKind::kUnsupported,
                      format.name() + ": this kernel's record has other fields");
  }
  layouts_.push_back(layout);
  return {};
}

abi::BlockEvent BlockDecoder::event_of(const Layout& layout,
                                       std::span<const std::byte> record) noexcept {
  abi::BlockEvent event{};
  event.device = copy_at<std::uint32_t>(record, layout.dev);
  event.sector = copy_at<std::uint64_t>(record, layout.sector);
  event.pid = copy_at<std::uint32_t>(record, layout.pid);
  event.action = static_cast<std::uint32_t>(layout.act) | category_of(layout.act) |
                 categories_of(text_at(record, layout.rwbs, layout.rwbs_bytes));
  if (layout.bytes != kNone) {
    event.bytes = copy_at<std::uint32_t>(record, layout.bytes);
  } else if (layout.sectors != kNone) {
    event.bytes = copy_at<std::uint32_t>(record, layout.sectors) * kSectorBytes;
  }
  if (layout.error != kNone) {
    event.error = positive_errno(copy_at<std::int32_t>(record, layout.error));
  }
  if (layout.new_sector != kNone) {
    event.aux = copy_at<std::uint64_t>(record, layout.new_sector);
  }
  if (layout.old_sector != kNone) {
    event.request = copy_at<std::uint32_t>(record, layout.old_dev);
    event.aux = copy_at<std::uint64_t>(record, layout.old_sector);
  }
  return event;
}

std::optional<BlockDecoder::Decoded> BlockDecoder::decode(std::span<const std::byte> record,
                                                          std::uint16_t cpu) const noexcept {
  if (record.size() < sizeof(std::uint16_t)) return std::nullopt;
  const auto id = copy_at<std::uint16_t>(record, 0);
  const auto found = std::ranges::find(layouts_, id, &Layout::id);
  if (found == layouts_.end() || record.size() < found->least_bytes) return std::nullopt;
  Decoded decoded;
  decoded.event = event_of(*found, record);
  decoded.event.cpu = cpu;
  if (found->comm != kNone) decoded.comm = text_at(record, found->comm, found->comm_bytes);
  return decoded;
}

}  // namespace fairlead::trace
