// SPDX-License-Identifier: Apache-2.0
//
// EventSink: where a source puts what it has seen: a relay channel in a guest, a recording on the
// host.  The stamp is of the source's clock.
//
// Thread-safety: the source's thread.
#pragma once

#include <cstdint>

#include "fairlead/abi/trace.h"

namespace fairlead::trace {

class EventSink {
 public:
  EventSink() = default;
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  virtual ~EventSink() = default;

  // `stream`: a processor's number.
  virtual void event(std::uint16_t stream, std::uint64_t stamp, const abi::BlockEvent& event) = 0;
  virtual void loss(std::uint16_t stream, const abi::TraceLoss& loss) = 0;
  virtual void name(const abi::TraceName& name) = 0;
  virtual void device(const abi::TraceDevice& device) = 0;
};

}  // namespace fairlead::trace
