// SPDX-License-Identifier: Apache-2.0
//
// PortSource: block events of a guest, through its virtio-serial port (port_frames.h), whose other
// end is a stream socket here.
//
// Thread-safety: the recorder's thread.  Ownership: the socket.
// Distrust: what is no frame, or out of its turn, ends the source with a loss that says so; as does
// a socket that closes before the guest has said its end.  A guest that says nothing holds nobody
// up; one that says too much is read for a while in each turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "relay/clock_sync.h"
#include "trace/live_source.h"
#include "trace/port_frames.h"

namespace fairlead::trace {

class PortSource final : public LiveSource {
 public:
  // `session`: the number that the guest has been given.
  PortSource(std::string name, base::Fd socket, std::uint64_t session);

  void introduce(TraceFileWriter& file) override;
  base::Result<bool> poll(TraceFileWriter& file) override;
  // What is on its way still; the guest has been told to end before.
  base::Status finish(TraceFileWriter& file) override;

 private:
  struct Answer {
    std::uint64_t round = 0;
    std::uint64_t stamp = 0;    // the guest's
    std::uint64_t arrived = 0;  // ours
  };

  bool receive(TraceFileWriter& file);
  void take(TraceFileWriter& file, std::span<const std::byte> bytes, std::uint64_t arrived);
  void write_frame(TraceFileWriter& file, const PortFrame& frame);
  void end(TraceFileWriter& file, bool whole);
  bool await(std::chrono::milliseconds patience) const;
  void measure_clock(TraceFileWriter& file);
  std::optional<relay::ClockInterval> ask(TraceFileWriter& file,
                                          std::chrono::milliseconds patience);

  std::string name_;
  base::Fd socket_;
  PortReader reader_;
  std::vector<std::byte> room_;
  std::uint16_t number_ = 0;
  std::uint64_t last_stamp_ = 0;
  bool over_ = false;
  relay::ClockCertificate clock_;
  std::int64_t measure_ns_ = 0;  // when its clock is to be measured next
  std::uint64_t round_;
  Answer answer_;  // the last one
};

}  // namespace fairlead::trace
