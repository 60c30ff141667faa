// SPDX-License-Identifier: Apache-2.0
//
// TraceChannel: the way out of this guest for what its kernel says of its block devices, in records
// of 64 bytes: through the memory of an ivshmem card or, without one, a virtio-serial port.
//
// Either loses what there is no room for, counts it, and tells it in its place.
//
// Thread-safety: the tracer's one thread.  Nothing waits, but for close().
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "guest/agent_protocol.h"
#include "relay/stamp.h"
#include "trace/event_sink.h"

namespace fairlead::guest {

class TraceChannel : public trace::EventSink {
 public:
  void event(std::uint16_t, std::uint64_t stamp, const abi::BlockEvent& event) final {
    put(abi::TraceType::kBlock, stamp, event);
  }
  void loss(std::uint16_t, const abi::TraceLoss& loss) final {
    put(abi::TraceType::kLoss, loss.last_stamp, loss);
  }
  void name(const abi::TraceName& name) final { put(abi::TraceType::kName, relay::stamp(), name); }
  void device(const abi::TraceDevice& device) final {
    put(abi::TraceType::kDevice, relay::stamp(), device);
  }

  virtual std::uint64_t bytes() const = 0;  // that it holds
  // The host's questions about the clock, and what waits; every few milliseconds.
  virtual void serve() = 0;
  // Nothing more comes; waits a little for a host that still reads.
  virtual base::Status close() = 0;
  virtual std::uint64_t lost() const = 0;  // records, for want of room

 private:
  virtual void write(abi::TraceType type, std::uint64_t stamp, const void* payload,
                     std::size_t bytes) = 0;
  template <typename T>
  void put(abi::TraceType type, std::uint64_t stamp, const T& what) {
    static_assert(sizeof(abi::RelayRecord) + sizeof what == 64);
    write(type, stamp, &what, sizeof what);
  }
};

// A new relay channel in the card's memory.  kNotFound without a card.
base::Result<std::unique_ptr<TraceChannel>> open_card_channel();

// A new session of the port kTracePort, of that number, with a queue of so many bytes.  kNotFound
// without such a port, kBusy while somebody else here has it.
base::Result<std::unique_ptr<TraceChannel>> open_port_channel(const TraceCommand& command);

}  // namespace fairlead::guest
