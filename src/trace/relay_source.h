// SPDX-License-Identifier: Apache-2.0
//
// RelaySource: block events that come through a relay channel: the block service's, or a guest's.
//
// In the memory of a card a producer that died looks like one that is silent: then who lent the
// memory is asked.  How much was lost with it nobody knows: it counts as one.
//
// Thread-safety: the recorder's thread.  Ownership: owns the consumer.
// Distrust: records of another length or type count as corrupt; a channel that breaks its rules
// ends, with a loss that says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/consumer.h"
#include "trace/live_source.h"

namespace fairlead::trace {

class RelaySource final : public LiveSource {
 public:
  // Whether there is still somebody who could write; asked at most once a second, and only while
  // the channel gives no sign of life.
  using Lives = std::function<bool()>;

  // `same_clock`: the producer runs on this host's kernel, so stamps compare.  Else its clock is
  // measured: once a second, more often until the bound is good.  kInvalid for a channel of bare
  // items.
  static base::Result<std::unique_ptr<RelaySource>> make(SourceKind kind, std::string name,
                                                         relay::Consumer consumer, bool same_clock,
                                                         Lives lives = {});

  void introduce(TraceFileWriter& file) override;
  base::Result<bool> poll(TraceFileWriter& file) override;
  base::Status finish(TraceFileWriter& file) override;

 private:
  RelaySource(SourceKind kind, std::string name, relay::Consumer consumer, bool same_clock,
              Lives lives);
  bool has_died();
  void measure_clock(TraceFileWriter& file);  // if it is to be measured, and due
  void settle_clock(TraceFileWriter& file);
  bool clock_is_good() const noexcept;
  base::Result<bool> read_all(TraceFileWriter& file, int pieces);
  void write_down(TraceFileWriter& file, const relay::StreamPiece& piece);
  void write_records(TraceFileWriter& file, const relay::StreamPiece& piece);
  void write_losses(TraceFileWriter& file, const relay::StreamPiece& piece);

  SourceKind kind_;
  std::string name_;
  relay::Consumer consumer_;
  bool same_clock_;
  Lives lives_;
  std::uint64_t heartbeat_ = 0;  // the last one seen
  std::int64_t ask_ns_ = 0;      // when to ask whether it lives
  std::uint16_t number_ = 0;
  std::vector<std::uint64_t> last_stamps_;  // seen of each stream
  relay::ClockCertificate clock_;
  std::int64_t measure_ns_ = 0;  // when its clock is to be measured next
};

}  // namespace fairlead::trace
