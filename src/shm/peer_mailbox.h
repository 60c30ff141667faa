// SPDX-License-Identifier: Apache-2.0
//
// PeerMailbox: orders from any thread to the thread that runs PeerAcceptor, in the sequence given.
//
// Thread-safety: put() from any thread; take() and fd() from the acceptor's.
// Limit: an order that already waits is not added again, so what waits is at most one order for
// each client, one report for each asker, one stop and one wake.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::shm {

class PeerMailbox {
 public:
  enum class Kind : std::uint8_t { kDetach, kReport, kStop, kWake };
  struct Order {
    Kind kind;
    std::uint64_t target = 0;  // kDetach: client; kReport: connection
    std::string text;          // kReport
    bool same_as(const Order& o) const noexcept { return kind == o.kind && target == o.target; }
  };

  static base::Result<base::Fd> make_event();
  explicit PeerMailbox(base::Fd event) noexcept : event_(std::move(event)) {}

  void put(Order order);
  std::vector<Order> take();
  int fd() const noexcept { return event_.get(); }  // readable while an order waits

 private:
  base::Fd event_;
  std::mutex mutex_;
  std::vector<Order> orders_;
};

}  // namespace fairlead::shm
