// SPDX-License-Identifier: Apache-2.0
#include "trace/port_frames.h"

#include <algorithm>
#include <cstring>

namespace fairlead::trace {
namespace {

using abi::PortType;
using abi::TraceLossCause;
using abi::TraceType;

template <typename T>
T payload_as(const PortFrame& frame) noexcept {
  T value;
  static_assert(sizeof value == sizeof frame.payload);
  std::memcpy(&value, frame.payload, sizeof value);
  return value;
}

PortFrame make_frame(std::uint16_t type, std::uint16_t sequence, std::uint64_t stamp,
                     const void* payload) noexcept {
  PortFrame frame{{kPortFrameBytes, type, sequence, stamp}, {}};
  std::memcpy(frame.payload, payload, sizeof frame.payload);
  return frame;
}

template <std::size_t kSize>
std::size_t append(std::array<std::byte, kSize>& to, std::size_t& used,
                   std::span<const std::byte> bytes) noexcept {
  const std::size_t fits = std::min(bytes.size(), kSize - used);
  std::copy_n(bytes.data(), fits, to.data() + used);
  used += fits;
  return fits;
}

}  // namespace

// ---- the guest's end ----

PortQueue::PortQueue(std::uint64_t session, std::uint32_t frames)
    : ring_(std::max(frames, kLeastPortFrames)) {
  const abi::PortHello hello{session, {}};
  put(static_cast<std::uint16_t>(PortType::kHello), 0, &hello);
}

void PortQueue::put(std::uint16_t type, std::uint64_t stamp, const void* payload) noexcept {
  ring_[put_ % ring_.size()] = make_frame(type, static_cast<std::uint16_t>(put_), stamp, payload);
  ++put_;
}

void PortQueue::put_loss(const abi::TraceLoss& loss) noexcept {
  put(static_cast<std::uint16_t>(TraceType::kLoss), loss.last_stamp, &loss);
  ++records_;
  told_ += loss.records;
}

bool PortQueue::write(TraceType type, std::uint64_t stamp, const void* payload) noexcept {
  end_gap();
  const bool is_loss = type == TraceType::kLoss;
  abi::TraceLoss loss{1, kPayloadBytes, stamp, stamp, TraceLossCause::kFull, {}};
  if (is_loss) std::memcpy(&loss, payload, sizeof loss);
  if (!gap_ && !ended_ && free() > kReserve) [[likely]] {
    if (is_loss) {
      put_loss(loss);
    } else {
      put(static_cast<std::uint16_t>(type), stamp, payload);
      ++records_;
    }
    return true;
  }
  gap_ = true;
  miss(loss);
  if (!is_loss) ++full_;
  return is_loss;
}

// Events of several processors do not come in order.
void PortQueue::miss(const abi::TraceLoss& loss) noexcept {
  abi::TraceLoss& known = missing_[static_cast<std::uint32_t>(loss.cause) % kCauses];
  if (known.records == 0) {
    known = loss;
    return;
  }
  known.records += loss.records;
  known.bytes += loss.bytes;
  known.first_stamp = std::min(known.first_stamp, loss.first_stamp);
  known.last_stamp = std::max(known.last_stamp, loss.last_stamp);
}

// Not for every frame that the port takes: that would be a thousand gaps of one record.
void PortQueue::end_gap() noexcept {
  const auto enough = std::max(static_cast<std::uint32_t>(ring_.size()) / 8, 2 * kReserve);
  if (gap_ && !ended_ && free() >= enough) [[unlikely]]
    tell_losses();
}

void PortQueue::tell_losses() noexcept {
  for (abi::TraceLoss& loss : missing_) {
    if (loss.records != 0) put_loss(loss);
    loss = {};
  }
  gap_ = false;
}

bool PortQueue::answer(std::uint64_t round, std::uint64_t stamp) noexcept {
  if (answer_sent_ != 0) return false;
  const abi::PortAnswer answer{round, {}};
  answer_ = make_frame(static_cast<std::uint16_t>(PortType::kAnswer), 0, stamp, &answer);
  answer_waits_ = true;
  return true;
}

void PortQueue::end(std::uint64_t stamp) noexcept {
  if (ended_) return;
  tell_losses();
  ended_ = true;
  const abi::PortEnd end{records_, told_, {}};
  put(static_cast<std::uint16_t>(PortType::kEnd), stamp, &end);
}

std::span<const std::byte> PortQueue::front() noexcept {
  end_gap();
  if (answering()) return std::as_bytes(std::span(&answer_, 1)).subspan(answer_sent_);
  const std::span<const std::byte> ring = std::as_bytes(std::span(ring_));
  const std::size_t at = sent_ % ring.size();
  std::size_t size = std::min<std::uint64_t>(put_ * kPortFrameBytes - sent_, ring.size() - at);
  // Within a frame: to its end, and then the answer.
  if (answer_waits_) size = std::min(size, kPortFrameBytes - sent_ % kPortFrameBytes);
  return ring.subspan(at, size);
}

void PortQueue::sent(std::size_t bytes) noexcept {
  if (!answering()) {
    sent_ += bytes;
    return;
  }
  answer_sent_ += bytes;
  if (answer_sent_ != kPortFrameBytes) return;
  answer_sent_ = 0;
  answer_waits_ = false;
}

std::uint64_t PortQueue::unsent() const noexcept {
  std::uint64_t count = 0;
  for (std::uint64_t i = sent_ / kPortFrameBytes; i < put_; ++i) {
    const std::uint16_t type = ring_[i % ring_.size()].record.type;
    if (type <= static_cast<std::uint16_t>(TraceType::kDevice)) ++count;
  }
  return count;
}

// ---- the host's end ----

std::size_t PortReader::push(std::span<const std::byte> bytes) noexcept {
  if (over_) return bytes.size();
  if (taken_ != 0) {
    std::memmove(bytes_.data(), bytes_.data() + taken_, used_ - taken_);
    used_ -= taken_;
    taken_ = 0;
  }
  return append(bytes_, used_, bytes);
}

PortReader::Look PortReader::next(PortFrame& frame) noexcept {
  if (!over_ && !begun_) skip_to_hello();
  if (over_) return *over_;
  if (!begun_ || used_ - taken_ < sizeof frame) return Look::kMore;
  std::memcpy(&frame, bytes_.data() + taken_, sizeof frame);
  taken_ += sizeof frame;
  const Look look = look_at(frame);
  if (look == Look::kEnd || look == Look::kBroken) over_ = look;
  return look;
}

void PortReader::skip_to_hello() noexcept {
  PortFrame frame;
  while (used_ - taken_ >= sizeof frame) {
    std::memcpy(&frame, bytes_.data() + taken_, sizeof frame);
    if (is_hello(frame)) {
      taken_ += sizeof frame;
      begun_ = true;
      sequence_ = 1;
      return;
    }
    ++taken_;
    if (++skipped_ > kMostSkipped) {
      over_ = Look::kBroken;
      return;
    }
  }
}

bool PortReader::is_hello(const PortFrame& frame) const noexcept {
  return frame.record.bytes == sizeof frame &&
         frame.record.type == static_cast<std::uint16_t>(PortType::kHello) &&
         frame.record.sequence == 0 && payload_as<abi::PortHello>(frame).session == session_;
}

PortReader::Look PortReader::look_at(const PortFrame& frame) noexcept {
  if (frame.record.bytes != sizeof frame) return Look::kBroken;
  if (frame.record.type == static_cast<std::uint16_t>(PortType::kAnswer)) return Look::kAnswer;
  if (frame.record.sequence != sequence_++) return Look::kBroken;
  if (frame.record.type == static_cast<std::uint16_t>(PortType::kEnd)) {
    const auto end = payload_as<abi::PortEnd>(frame);
    return end.records == records_ && end.lost == lost_ ? Look::kEnd : Look::kBroken;
  }
  ++records_;
  if (frame.record.type == static_cast<std::uint16_t>(TraceType::kLoss)) {
    lost_ += payload_as<abi::TraceLoss>(frame).records;
  }
  return Look::kFrame;
}

// ---- and back ----

std::size_t PortQuestions::push(std::span<const std::byte> bytes) noexcept {
  return append(bytes_, used_, bytes);
}

std::optional<std::uint64_t> PortQuestions::next() noexcept {
  abi::PortQuestion question;
  if (used_ < sizeof question) return std::nullopt;
  std::memcpy(&question, bytes_.data(), sizeof question);
  if (question.magic == abi::kPortQuestionMagic) {
    used_ = 0;
    return question.round;
  }
  std::memmove(bytes_.data(), bytes_.data() + 1, --used_);
  return std::nullopt;
}

}  // namespace fairlead::trace
