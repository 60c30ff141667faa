// SPDX-License-Identifier: Apache-2.0
//
// What a service says to registration.  All calls come on the thread that runs PeerAcceptor, one
// at a time, and hold up every other registration while they last.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "fairlead/abi/control.h"
#include "shm/control_socket.h"

namespace fairlead::shm {

// What a welcomed client gets.  The descriptors stay the handler's; they are copied to the client
// before the next call.
struct Admission {
  std::uint32_t client = 0;  // a number never given before, so that a late detach() hits nobody
  std::uint64_t generation = 0;
  std::uint64_t segment_bytes = 0;
  int segment_fd = -1;
  int doorbell_fd = -1;
};

// A connection that was ended because of what the peer did (or did not) do, or refused.
struct PeerFault {
  PeerIdentity peer;
  std::optional<std::uint32_t> client;  // if it had been welcomed; on_hangup follows then
  base::Error error;
};

// Answers a stop question: from any thread, once, also after the acceptor is gone (then it does
// nothing).  JSON text.
using SendReport = std::function<void(std::string report)>;

class RegistrationHandler {
 public:
  virtual ~RegistrationHandler() = default;

  // A well-formed hello of an authorised peer.  An Error becomes the refusal that the client sees.
  virtual base::Result<Admission> on_hello(const PeerIdentity& peer,
                                           const abi::ControlHello& hello) = 0;

  // Exactly once for each Admission: the client left, died, was faulty or detached, or the
  // acceptor ends.
  virtual void on_hangup(std::uint32_t client) = 0;

  // For the log, rate-limited there.
  virtual void on_fault(const PeerFault& fault) = 0;

  // The report of the moment, JSON text.
  virtual std::string on_status() = 0;

  // Somebody asked to stop: drain, then call `send`, then PeerAcceptor::stop().  Each of several
  // askers has a `send` of its own.
  virtual void on_stop(SendReport send) = 0;
};

}  // namespace fairlead::shm
