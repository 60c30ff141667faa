// SPDX-License-Identifier: Apache-2.0
//
// ServiceHost: a service with its registration, its two threads, and its end.
//
//   control thread (the caller's)     registration, questions, signals; never on the data path
//   service thread                    Service::run()
//
// Thread-safety: create() and serve() on one thread; stop() from any.
// Ownership: owns listener, acceptor and service.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "block/image.h"
#include "block/service.h"
#include "shm/control_socket.h"

namespace fairlead::block {

struct HostOptions {
  std::string socket_path;
  ServiceLimits limits;
  std::uint32_t clients_per_uid = 1000;  // fewer than limits.clients, or nobody else gets a seat
  std::uint64_t client_bytes = ~std::uint64_t{0};  // of all clients' rings and what they cost here
  relay::Producer* trace = nullptr;                // as Service's; outlives the host
  int signal_fd = -1;                              // readable: on_signal() is called
  std::function<bool()> on_signal;                 // true: drain; called on the control thread
  std::function<base::Status()> ready;  // both threads run, clients may come: last chance to fail
  // Every beat_ns of real time (0: never), if the service thread has obeyed since the one before.
  std::int64_t beat_ns = 0;
  std::function<void()> on_beat;  // on the control thread
  // On the control thread.  `key` stands for what repeats.
  std::function<void(std::string_view key, std::string_view text)> log;
};

struct HostEnd {
  RunEnd how = RunEnd::kDrained;
  ServiceStats totals;
};

class ServiceHost {
 public:
  static base::Result<std::unique_ptr<ServiceHost>> create(Image image, HostOptions options,
                                                           const base::Clock& clock);
  ~ServiceHost();

  // Serves until stopped by a client's question, a signal, stop(), or idleness.
  base::Result<HostEnd> serve();

  void stop();  // drains
  void look();  // at the clock, for clocks that jump

 private:
  class Desk;
  explicit ServiceHost(std::unique_ptr<Desk> desk);
  const std::unique_ptr<Desk> desk_;
};

}  // namespace fairlead::block
