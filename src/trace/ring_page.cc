// SPDX-License-Identifier: Apache-2.0
#include "trace/ring_page.h"

#include <cstring>

#include "trace/event_format.h"

namespace fairlead::trace {

using base::ErrorKind;

namespace {

enum : std::uint32_t { kPadding = 29, kTimeExtend = 30, kTimeStamp = 31 };

constexpr std::uint32_t kMissing = std::uint32_t{1} << 31;
constexpr std::uint32_t kMissingStored = std::uint32_t{1} << 30;
constexpr std::uint32_t kLengthBits = (std::uint32_t{1} << 20) - 1;
constexpr int kDeltaBits = 27;
constexpr int kStampBits = 59;  // of an absolute stamp: those above are the last one's
constexpr std::size_t kWord = sizeof(std::uint32_t);

template <typename T>
T copy_at(std::span<const std::byte> bytes, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// An absolute stamp lacks its highest bits; if the lower ones ran over, they are one more.
std::uint64_t whole_stamp(std::uint64_t low, std::uint64_t last) noexcept {
  const std::uint64_t high = last >> kStampBits << kStampBits;
  const std::uint64_t stamp = low | high;
  return high != 0 && stamp < last ? stamp + (std::uint64_t{1} << kStampBits) : stamp;
}

}  // namespace

base::Result<PageShape> parse_page_shape(std::string_view text) {
  FL_TRY(const auto fields, parse_fields(text));
  PageShape shape{};
  bool stamp = false;
  bool commit = false;
  bool data = false;
  for (const FormatField& field : fields) {
    if (field.name == "timestamp" && field.size == sizeof(std::uint64_t)) {
      stamp = true;
      shape.stamp_at = field.offset;
    } else if (field.name == "commit" && field.size >= kWord) {
      commit = true;
      shape.commit_at = field.offset;
    } else if (field.name == "data") {
      data = true;
      shape.data_at = field.offset;
      shape.data_bytes = field.size;
    }
  }
  if (!stamp || !commit || !data || shape.bytes() > kMostPageBytes ||
      shape.stamp_at + sizeof(std::uint64_t) > shape.data_at ||
      shape.commit_at + kWord > shape.data_at) {
    return base::fail(ErrorKind::kUnsupported, "the kernel's trace pages have an unknown shape");
  }
  return shape;
}

struct RingPage::Head {
  std::uint32_t type_len;
  std::uint64_t delta;
};

RingPage::RingPage(std::span<const std::byte> page, const PageShape& shape) noexcept {
  if (page.size() < shape.bytes()) {
    broken_ = true;
    return;
  }
  stamp_ = copy_at<std::uint64_t>(page, shape.stamp_at);
  const auto commit = copy_at<std::uint32_t>(page, shape.commit_at);
  const std::size_t length = commit & kLengthBits;
  const auto data = page.subspan(shape.data_at, shape.data_bytes);
  misses_ = (commit & kMissing) != 0;
  if (length > data.size()) {
    broken_ = true;
    return;
  }
  data_ = data.first(length);
  if (misses_ && (commit & kMissingStored) != 0) {
    if (data.size() - length < sizeof(std::uint64_t)) {
      broken_ = true;
    } else {
      missing_ = copy_at<std::uint64_t>(data, length);
    }
  }
}

std::uint32_t RingPage::word(std::size_t at) const noexcept {
  return copy_at<std::uint32_t>(data_, at);
}

bool RingPage::give_up() noexcept {
  broken_ = true;
  at_ = data_.size();
  return false;
}

bool RingPage::next(RingEvent& event) noexcept {
  while (left() >= kWord) {
    const std::uint32_t first = word(at_);
    const Head head{first & 31, first >> 5};
    at_ += kWord;
    if (head.type_len != 0 && head.type_len < kPadding) return take(head, event);
    if (head.type_len == kPadding && head.delta == 0) {
      at_ = data_.size();
      return false;
    }
    if (left() < kWord) return give_up();
    const std::uint32_t second = word(at_);
    const std::uint64_t wide = (std::uint64_t{second} << kDeltaBits) + head.delta;
    switch (head.type_len) {
      case 0: return take(head, event);
      case kTimeExtend:
        stamp_ += wide;
        at_ += kWord;
        break;
      case kTimeStamp:
        stamp_ = whole_stamp(wide, stamp_);
        at_ += kWord;
        break;
      default:  // a discarded event; its delta of 1 may stand for 0, as the kernel allows itself
        if (second < kWord || second > left()) return give_up();
        if (head.delta != 1) stamp_ += head.delta;
        at_ += second;
    }
  }
  return left() == 0 ? false : give_up();
}

// An event with data; at_ is behind its first word.
bool RingPage::take(const Head& head, RingEvent& event) noexcept {
  std::size_t bytes = head.type_len * kWord;
  if (head.type_len == 0) {
    bytes = word(at_);
    if (bytes < kWord) return give_up();
    at_ += kWord;
    bytes -= kWord;
  }
  if (bytes > left()) return give_up();
  stamp_ += head.delta;
  event.stamp = stamp_;
  event.data = data_.subspan(at_, bytes);
  at_ += (bytes + kWord - 1) / kWord * kWord;
  if (at_ > data_.size()) at_ = data_.size();
  return true;
}

}  // namespace fairlead::trace
