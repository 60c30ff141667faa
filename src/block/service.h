// SPDX-License-Identifier: Apache-2.0
//
// Service: the back end.  One thread takes requests from all rings in turn, answers from the cache,
// sends misses to the image in the order of the fair queue, and answers those.
//
//     rings → intake → cache ─ hit ──────────────────────────→ answer → publish
//                        └ miss → FairQueue → ReadPath → answer → publish
//
// With a disk's scheduler the fair queue feeds that one (scheduled_disk.h); throttled, a model says
// when to answer, too (throttle.h).
//
// Thread-safety: start() and run() are the service thread.  The orders may come from any other;
// the thread obeys them at its next turn.
// Ownership: owns image, engine and ports.  Nothing allocates for a request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "block/client_port.h"
#include "block/core_follower.h"
#include "block/engine.h"
#include "block/image.h"
#include "block/orders.h"
#include "block/read_path.h"
#include "block/scheduled_disk.h"
#include "block/service_stats.h"
#include "block/service_trace.h"
#include "block/throttle.h"
#include "block/wake_window.h"
#include "daemon/idle_limit.h"
#include "disk/fair_queue.h"
#include "shm/adaptive_poll.h"

namespace fairlead::block {

struct ServiceLimits {
  std::uint32_t clients = 1024;
  std::uint32_t slots = 1024;                          // of a client's ring
  std::uint32_t data_bytes = 4096;                     // of a slot: the largest request
  std::uint32_t weight = 1000;                         // the greatest a client is given
  std::uint32_t queue_depth = 256;                     // reads at the device
  std::uint32_t cores = 2;                             // that clients and service share
  std::int64_t poll_ns = 1'000'000;                    // longest look before sleep; 0: never
  std::int64_t idle_ns = 300 * base::kNanosPerSecond;  // without a request; 0: no limit
  std::uint64_t cache_bytes = 0;                       // data and bookkeeping
  EngineKind engine = EngineKind::kAuto;
  std::optional<ThrottleOptions> throttle{};    // to a drive's timing, or
  std::optional<ScheduledOptions> scheduled{};  // only in a scheduler's order
};

enum class RunEnd : std::uint8_t { kDrained, kHalted, kIdle };

class Service {
 public:
  static constexpr std::int64_t kDrainNs = base::kNanosPerSecond;

  // What the service tells, from its own thread; must not block.
  struct Fault {
    std::uint32_t client = 0;
    shm::PeerIdentity peer;
    const char* why = "";  // one of a few, so that it can be counted by
  };
  struct Events {
    std::function<void(const Fault&)> fault;
    std::function<void(ImageChange)> image_changed;
  };

  // `trace`: where requests are traced while somebody reads it; nullptr: nowhere.
  Service(Image image, const ServiceLimits& limits, const base::Clock& clock, Events events,
          relay::Producer* trace = nullptr);

  // Both on the service thread: prepares the engine; serves until drained, halted or idle.
  base::Status start();
  RunEnd run();

  // Orders, from any thread.
  void adopt(std::unique_ptr<ClientPort> port) { orders_.adopt(std::move(port)); }
  void drop(std::uint32_t client) { orders_.drop(client); }
  // Answers what has been taken, then ends; after kDrainNs only what is at the device.
  void drain() { orders_.drain(); }
  void halt() { orders_.halt(); }  // ends at once
  void look() { orders_.look(); }  // at the clock, for clocks that jump

  // Whether the service thread lives: after a nudge nudged() grows if so.
  void nudge() { orders_.nudge(); }
  std::uint64_t nudged() const noexcept { return orders_.taken(); }

  // Waits for the running service's answer; after run() the final figures.
  ServiceStats stats() { return orders_.ask_stats(); }

 private:
  enum class State : std::uint8_t { kServing, kDraining, kHalted };

  struct Seat {  // of a client, by disk::ClientIndex
    std::unique_ptr<ClientPort> port;
    bool active = false;            // its ring is looked at each turn
    bool answered = false;          // it has unpublished answers
    std::uint32_t empty_looks = 0;  // in a row
  };

  bool turn();
  bool obey();
  void admit(disk::ClientIndex index, std::unique_ptr<ClientPort> port);
  void leave(std::uint32_t number);
  void seat_standing();
  void dismiss(disk::ClientIndex index);
  void fault(disk::ClientIndex index, const char* why);

  bool intake();
  int take_from(disk::ClientIndex index);
  void accept(disk::ClientIndex index, std::uint32_t slot);
  void identify(ClientPort& port, std::uint32_t slot);
  bool drained_long_enough() const noexcept;
  bool dispatch();
  bool dispatch_scheduled();
  bool reap();
  void read_came(std::uint32_t waiter, const std::byte* bytes);
  void start_scheduled();
  bool answer_scheduled();
  void heard(std::uint64_t token, bool still_watched);
  void answer(disk::ClientIndex index, std::uint32_t slot, abi::BlockStatus status,
              std::uint32_t bytes);
  void publish();

  void look_at_trace() noexcept;
  void activate(disk::ClientIndex index);
  void share_polling();
  bool arm_all();
  void place() noexcept;
  std::int64_t early_ns() const noexcept;
  bool due_soon() const noexcept;
  bool rest();
  void look_at_image();
  ServiceStats collect() const;

  std::uint32_t waiter_of(disk::ClientIndex index, std::uint32_t slot) const noexcept {
    return index * limits_.slots + slot;
  }

  // Constant after construction.
  const ServiceLimits limits_;
  const base::Clock& clock_;
  const Events events_;

  daemon::IdleLimit idle_;  // since the last request
  bool asked_ = false;      // for something, at the last look

  // Belong to the service thread.
  ReadPath reads_;
  disk::FairQueue fair_;
  shm::AdaptivePoll poll_;
  std::unique_ptr<DiskStage> stage_;  // null: none
  WakeWindow wake_window_;
  CoreFollower core_;
  ServiceTrace trace_;
  std::vector<Seat> seats_;
  std::vector<std::unique_ptr<ClientPort>> standing_;  // until reads of who sat there have ended
  std::vector<disk::ClientIndex> active_;
  std::vector<disk::ClientIndex> answered_;
  ServiceStats totals_;
  State state_ = State::kServing;
  bool polling_ = false;
  std::int64_t now_ns_ = 0;
  std::int64_t started_ns_ = 0;
  std::int64_t looked_ns_ = 0;
  std::int64_t drain_end_ns_ = 0;  // while draining

  // Between threads.
  Orders orders_;
};

}  // namespace fairlead::block
