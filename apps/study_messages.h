// SPDX-License-Identifier: Apache-2.0
//
// Document 003, slides 15-17: how many bytes a second go from a process to another, by the size of
// the messages, and by how much is read at once.
//
// Thread-safety: a process of one thread, as message_stream.h.  Errors: its errors, and kClosed if
// somebody asked for the end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/message_stream.h"
#include "base/result.h"

namespace fairlead::apps {

struct MessagePoint {
  Carrier carrier = Carrier::kRelay;
  std::uint32_t write_bytes = 0;
  std::uint32_t read_bytes = 0;
  std::vector<double> bytes_per_s;  // of each round, in order of size

  double median() const noexcept { return bytes_per_s[bytes_per_s.size() / 2]; }
};

struct MessageStudy {
  std::vector<MessagePoint> by_message;  // what is read is what was written: relay and its peers
  std::vector<MessagePoint> by_read;     // the relay, 26 bytes written, as many or more read
};

struct MessagePlan {
  std::uint32_t rounds = 5;  // odd, interleaved
  std::int64_t point_ns = 300'000'000;
  std::function<void(std::string_view)> on_step;
  std::function<bool()> stop;
};

base::Result<MessageStudy> study_messages(const MessagePlan& plan);

std::string messages_csv(const MessageStudy& study);
std::string messages_text(const MessageStudy& study);
std::string messages_script();  // gnuplot: messages.csv into messages.svg

}  // namespace fairlead::apps
