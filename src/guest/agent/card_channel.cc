// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include <string.h>

#include "guest/agent/shared_card.h"
#include "guest/agent/trace_channel.h"
#include "relay/producer.h"

namespace fairlead::guest {
namespace {

constexpr std::uint32_t kSubBufferBytes = 16'384;
constexpr std::chrono::microseconds kClockSpin(500);  // for the next question of a burst
constexpr std::chrono::milliseconds kDrain(500);      // for a host that still reads, at the end

// The channel itself tells its reader where records are missing.
class CardChannel final : public TraceChannel {
 public:
  CardChannel(SharedCard card, relay::Producer producer)
      : card_(std::move(card)), producer_(std::move(producer)) {}

  std::uint64_t bytes() const override { return producer_.bytes(); }
  void serve() override { producer_.answer_clock(kClockSpin); }
  base::Status close() override {
    FL_TRY(const bool all_read, producer_.close(kDrain));
    (void)all_read;
    return {};
  }
  std::uint64_t lost() const override { return lost_; }

 private:
  void write(abi::TraceType type, std::uint64_t stamp, const void* payload,
             std::size_t bytes) override {
    const auto written = producer_.write(static_cast<std::uint16_t>(type), stamp, payload, bytes);
    if (written != relay::Written::kDone) ++lost_;
  }

  SharedCard card_;  // outlives the producer
  relay::Producer producer_;
  std::uint64_t lost_ = 0;
};

// The largest of one stream that fits: a power of two of sub-buffers.
relay::ChannelOptions options_for(std::uint64_t bytes) {
  relay::ChannelOptions options;
  options.streams = 1;
  options.sub_buffer_bytes = kSubBufferBytes;
  options.sub_buffers = abi::kMaxSubBuffers;
  options.keep = true;  // the host may come when it has our answer
  while (relay::channel_bytes(options) > bytes && options.sub_buffers > abi::kMinSubBuffers) {
    options.sub_buffers /= 2;
  }
  return options;
}

// What an earlier channel has left: its magic number first, so that nobody takes it for the next.
void clear(const SharedCard& card) {
  std::atomic_ref<std::uint64_t> magic(*reinterpret_cast<std::uint64_t*>(card.data()));
  magic.store(0, std::memory_order_release);
  ::memset(card.data(), 0, std::min<std::uint64_t>(card.bytes(), 3 * abi::kRelayPageBytes));
}

}  // namespace

base::Result<std::unique_ptr<TraceChannel>> open_card_channel() {
  FL_TRY(SharedCard card, SharedCard::open());
  clear(card);
  FL_TRY(auto producer,
         relay::Producer::open_in(card.data(), card.bytes(), options_for(card.bytes())));
  return std::make_unique<CardChannel>(std::move(card), std::move(producer));
}

}  // namespace fairlead::guest
