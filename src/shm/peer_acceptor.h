// SPDX-License-Identifier: Apache-2.0
//
// PeerAcceptor: the service's side of registration.  Accepts connections, authorises them, hands
// hello and questions to a RegistrationHandler, sees hang-ups.
//
// Thread-safety: create(), turn(), run(), counts() and the destructor belong to one control thread;
// detach(), wake() and stop() may be called from any.  Each waits for nobody but that thread's
// epoll.
// Ownership: owns the listener and every connection; the handler must outlive it.
// Distrust: whatever a peer sends ends at worst its own connection.  Everything has a limit.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "shm/control_socket.h"
#include "shm/peer_handler.h"

namespace fairlead::shm {

class PeerMailbox;

struct AcceptorOptions {
  std::uint32_t connections = 256;          // at once, those without a hello included
  std::uint32_t connections_per_uid = 192;  // of them, so that one user leaves room for others
  std::uint32_t accepts_per_turn = 16;
  std::int64_t handshake_ns = base::kNanosPerSecond;   // to say the first message
  std::int64_t retry_ns = base::kNanosPerSecond / 10;  // pause of accepting when out of descriptors
  // Who may connect.  Default: root, and the user that the service runs as.
  std::function<bool(const PeerIdentity&)> may_connect = {};
};

struct AcceptorCounts {
  std::uint64_t accepted = 0;   // connections
  std::uint64_t admitted = 0;   // welcomed clients
  std::uint64_t refused = 0;    // by policy, by a limit, by the handler
  std::uint64_t faults = 0;     // ended for a broken rule or a passed deadline
  std::uint32_t connected = 0;  // now
};

class PeerAcceptor {
 public:
  static base::Result<std::unique_ptr<PeerAcceptor>> create(ControlListener listener,
                                                            RegistrationHandler& handler,
                                                            const base::Clock& clock,
                                                            AcceptorOptions options = {});
  ~PeerAcceptor();
  PeerAcceptor(const PeerAcceptor&) = delete;
  PeerAcceptor& operator=(const PeerAcceptor&) = delete;

  // Serves until stop(); then closes every connection (on_hangup for each client) and the path.
  base::Status run();

  // For a control thread with a loop of its own: one round of waiting (at most timeout_ns,
  // negative: until something happens) and serving.  False after stop().  poll_fd() is readable
  // when a turn has work; wait_ns() says after how long it has some anyway, negative: never.
  base::Result<bool> turn(std::int64_t timeout_ns);
  int poll_fd() const noexcept { return epoll_.get(); }
  std::int64_t wait_ns() const;

  // Ends the connection of a client that was found faulty elsewhere; on_hangup follows.
  void detach(std::uint32_t client);
  // Makes poll_fd() readable and turn() come back, for a loop with work of its own.
  void wake();
  // Ends run() after the orders given before it, reports of on_stop among them.
  void stop();

  const AcceptorCounts& counts() const noexcept { return counts_; }

 private:
  struct Connection;
  enum class Watch : bool { kOff, kOn };

  PeerAcceptor(ControlListener, RegistrationHandler&, const base::Clock&, AcceptorOptions);
  base::Status start();
  void accept_some();
  void take(ControlSocket socket);
  void watch_listener(Watch watch);
  void serve(Connection& connection, std::uint32_t events);
  void first_message(Connection& connection, std::span<const std::byte> packet, bool gone);
  void greet(Connection& connection, const abi::ControlHello& hello);
  void answer(Connection& connection, std::string_view report);
  void refuse(Connection& connection, const base::Error& why);
  void note(const Connection& connection, const base::Error& error);
  void fault(Connection& connection, const base::Error& error);
  void close(Connection& connection);
  void expire();
  bool obey_orders();
  base::Error full_for(const PeerIdentity& peer) const;

  ControlListener listener_;
  RegistrationHandler& handler_;
  const base::Clock& clock_;
  AcceptorOptions options_;
  AcceptorCounts counts_;
  base::Fd epoll_;
  std::shared_ptr<PeerMailbox> mailbox_;
  std::vector<Connection> table_;  // of fixed size
  std::uint64_t serial_ = 0;
  std::int64_t resume_ns_ = -1;  // when accepting goes on, -1: it does
  bool stopped_ = false;
};

}  // namespace fairlead::shm
