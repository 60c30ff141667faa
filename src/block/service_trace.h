// SPDX-License-Identifier: Apache-2.0
//
// ServiceTrace: what becomes of each request, as block events in a relay channel, while somebody
// reads it.  Six events of a read, on two devices (abi/trace.h):
//
//     front   Q called   D in the ring   C the caller has its answer   told by the client
//     back    Q taken    I waits for its turn    D to the image    C done
//
// A read that the cache answers has no I and no D.  `request` is the ring's id, `queue` the low
// bits of the client's number.  The front's events come late, when the client has told them, with
// the stamps of when they happened.
//
// Thread-safety: the service thread.  Ownership: the producer is the caller's and outlives it.
// Nothing allocates or waits.
#pragma once

#include <cstdint>

#include "block/client_port.h"
#include "fairlead/abi/trace.h"
#include "relay/producer.h"

namespace fairlead::block {

// The channel of the service NAME is announced under this and NAME.
inline constexpr const char* kTracePrefix = "block-";

class ServiceTrace {
 public:
  explicit ServiceTrace(relay::Producer* producer) noexcept : producer_(producer) {}

  // Once a turn.  True: it was switched on or off since.
  bool look() noexcept {
    const bool on = producer_ != nullptr && producer_->connected();
    const bool changed = on != on_;
    on_ = on;
    return changed;
  }
  bool on() const noexcept { return on_; }

  // Each does nothing while it is off.
  void taken(ClientPort& port, std::uint32_t slot) noexcept {
    if (!on_) return;
    tell(port, slot);
    put(port, port.request(slot), abi::BlockAct::kQueue);
  }
  void waits(const ClientPort& port, std::uint32_t slot) noexcept {
    if (on_) put(port, port.request(slot), abi::BlockAct::kInsert);
  }
  void issued(const ClientPort& port, std::uint32_t slot) noexcept {
    if (on_) put(port, port.request(slot), abi::BlockAct::kIssue);
  }
  void done(const ClientPort& port, std::uint32_t slot, int error) noexcept {
    if (on_) put(port, port.request(slot), abi::BlockAct::kComplete, error);
  }

  // Once it is on and the client is there: who that is.
  void name(const ClientPort& port) noexcept;
  // The client leaves: what it has not told yet.
  void left(ClientPort& port) noexcept;

 private:
  void tell(ClientPort& port, std::uint32_t slot) noexcept;
  void put(const ClientPort& port, const abi::BlockRequest& request, abi::BlockAct act,
           int error = 0) noexcept;
  void write(const ClientPort& port, const abi::BlockRequest& request, abi::BlockAct act,
             std::uint32_t device, std::uint64_t stamp, int error) noexcept;

  relay::Producer* producer_;
  bool on_ = false;
};

}  // namespace fairlead::block
