// SPDX-License-Identifier: Apache-2.0
//
// Orders: how other threads tell the service thread what to do.  They leave an order and signal;
// the thread takes them between two turns.
//
// Thread-safety: give(), ask(), taken() and the flags from any thread; take() and closed() from the
// service thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "block/client_port.h"
#include "block/service_stats.h"

namespace fairlead::block {

class Orders {
 public:
  // A client comes, with its port, or leaves.
  struct Move {
    std::uint32_t client = 0;
    std::unique_ptr<ClientPort> port;  // none: it leaves
  };
  struct Batch {
    std::vector<Move> moves;  // in the order given: who comes may need the seat of who left before
    bool drain = false;
    bool halt = false;
    bool wants_stats = false;
  };

  Orders();

  void adopt(std::unique_ptr<ClientPort> port);
  void drop(std::uint32_t client);
  void drain();
  void halt();
  void look() { signal(); }
  void nudge();  // nothing to do but to take it

  // Waits until the service thread has answered, or has ended: then the last it said.
  ServiceStats ask_stats();

  // True: take() has something.  A relaxed look, cheap enough for every turn.
  bool waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  Batch take();
  // How often it has: grows after a nudge if the service thread is alive.
  std::uint64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  void answer_stats(ServiceStats stats);
  void close(ServiceStats last);

  int signal_fd() const noexcept { return signal_.get(); }

 private:
  template <typename Change>
  void give(Change&& change);
  void signal() noexcept;

  base::Fd signal_;
  std::atomic<bool> waiting_{false};
  std::atomic<std::uint64_t> taken_{0};
  std::mutex mutex_;
  std::condition_variable answered_;
  Batch batch_;
  ServiceStats stats_;
  std::uint64_t answers_ = 0;
  bool closed_ = false;
};

}  // namespace fairlead::block
