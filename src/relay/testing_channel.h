// SPDX-License-Identifier: Apache-2.0
//
// For tests: a channel of one process, whose records are strings.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/consumer.h"
#include "relay/producer.h"
#include "shm/segment.h"

namespace fairlead::relay {

inline Producer open_channel(const ChannelOptions& options = {}) {
  auto producer = Producer::open(options);
  if (!producer) throw std::runtime_error(producer.error().message());
  return std::move(*producer);
}

inline base::Result<Consumer> connect_to(const Producer& producer) {
  return Consumer::connect(base::Fd(::dup(producer.fd())), producer.bytes());
}

// A second mapping of its memory, to write what a broken side would.
class Memory {
 public:
  explicit Memory(const Producer& producer)
      : segment_(shm::Segment::attach(base::Fd(::dup(producer.fd())), producer.bytes())),
        map_(segment_ ? map_channel(segment_->data(), segment_->size())
                      : base::fail(segment_.error())) {
    if (!map_) throw std::runtime_error(map_.error().message());
  }
  const ChannelMap* operator->() const { return &*map_; }

 private:
  base::Result<shm::Segment> segment_;
  base::Result<ChannelMap> map_;
};

inline Written write(Producer& producer, std::string_view text) {
  return producer.write(1, text.data(), text.size());
}

inline std::vector<std::string> records_of(const StreamPiece& piece) {
  std::vector<std::string> records;
  for (std::size_t at = 0; at < piece.data.size();) {
    abi::RelayRecord record;
    std::memcpy(&record, piece.data.data() + at, sizeof record);
    const auto* text = reinterpret_cast<const char*>(piece.data.data() + at + sizeof record);
    records.emplace_back(text, record.bytes - sizeof record);
    at += round_up_8(record.bytes);
  }
  return records;
}

struct Read {
  std::vector<std::string> records;
  std::uint64_t lost = 0;
};

inline Read read_all(Consumer& consumer) {
  Read all;
  StreamPiece piece;
  for (;;) {
    const auto look = consumer.read(piece);
    if (!look || *look == Look::kEmpty || *look == Look::kBroken) return all;
    for (auto& record : records_of(piece)) all.records.push_back(std::move(record));
    all.lost += piece.losses.records();
    consumer.take();
  }
}

// The first page in a vector that has one more than is needed.
inline std::byte* at_a_page(std::byte* begin) {
  return begin + (4096 - reinterpret_cast<std::uintptr_t>(begin) % 4096) % 4096;
}

// 0 if `work` is true there.
inline int exit_code_of_a_child(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace fairlead::relay
