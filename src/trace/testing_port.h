// SPDX-License-Identifier: Apache-2.0
//
// For tests and fuzzers: numbered records for a PortQueue, and a host that keeps what comes out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "trace/port_frames.h"

namespace fairlead::trace {

inline std::uint64_t stamp_of(std::uint64_t number) { return 1000 + number; }

inline bool write_number(PortQueue& queue, std::uint64_t number) {
  abi::BlockEvent event{};
  event.sector = number;
  return queue.write(abi::TraceType::kBlock, stamp_of(number), &event);
}

// Whatever it says next, at most so much.
inline std::vector<std::byte> bytes_of(PortQueue& queue, std::size_t most = SIZE_MAX) {
  std::vector<std::byte> bytes;
  while (bytes.size() < most) {
    const auto next = queue.front();
    const std::size_t size = std::min(next.size(), most - bytes.size());
    if (size == 0) break;
    bytes.insert(bytes.end(), next.begin(), next.begin() + static_cast<std::ptrdiff_t>(size));
    queue.sent(size);
  }
  return bytes;
}

class PortKeeper {
 public:
  struct Kept {
    abi::TraceLoss loss{};
    std::size_t index = 0;    // how many numbers came before it
    std::uint64_t after = 0;  // the last of them
  };
  struct Answer {
    std::uint64_t round = 0;
    std::uint64_t stamp = 0;
    std::size_t after = 0;  // how many numbers came before it
  };

  explicit PortKeeper(std::uint64_t session) : reader_(session) {}

  void take(PortQueue& queue, std::size_t most) {
    const auto bytes = bytes_of(queue, most);
    take(bytes, bytes.size());
  }
  void take_all(PortQueue& queue) { take(queue, SIZE_MAX); }
  void take(std::span<const std::byte> bytes, std::size_t piece) {
    while (!bytes.empty()) {
      auto part = bytes.first(std::min(piece, bytes.size()));
      bytes = bytes.subspan(part.size());
      while (!part.empty()) {
        part = part.subspan(reader_.push(part));
        look();
      }
    }
  }

  const std::vector<std::uint64_t>& numbers() const { return numbers_; }
  const std::vector<Kept>& losses() const { return losses_; }
  const std::vector<Answer>& answers() const { return answers_; }
  std::uint64_t frames() const { return frames_; }
  PortReader::Look last() const { return last_; }
  bool begun() const { return reader_.begun(); }

 private:
  void look() {
    PortFrame frame{};
    while (true) {
      last_ = reader_.next(frame);
      if (last_ == PortReader::Look::kFrame) {
        keep(frame);
      } else if (last_ == PortReader::Look::kAnswer) {
        abi::PortAnswer answer{};
        std::memcpy(&answer, frame.payload, sizeof answer);
        answers_.push_back({answer.round, frame.record.stamp, numbers_.size()});
      } else {
        return;
      }
    }
  }
  void keep(const PortFrame& frame) {
    ++frames_;
    if (frame.record.type == static_cast<std::uint16_t>(abi::TraceType::kLoss)) {
      Kept kept{.loss = {}, .index = numbers_.size(), .after = 0};
      if (!numbers_.empty()) kept.after = numbers_.back();
      std::memcpy(&kept.loss, frame.payload, sizeof kept.loss);
      losses_.push_back(kept);
      return;
    }
    abi::BlockEvent event{};
    std::memcpy(&event, frame.payload, sizeof event);
    numbers_.push_back(event.sector);
  }

  PortReader reader_;
  std::vector<std::uint64_t> numbers_;
  std::vector<Kept> losses_;
  std::vector<Answer> answers_;
  std::uint64_t frames_ = 0;
  PortReader::Look last_ = PortReader::Look::kMore;
};

}  // namespace fairlead::trace
