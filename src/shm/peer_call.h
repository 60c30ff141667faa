// SPDX-License-Identifier: Apache-2.0
//
// The client's side of registration: one call, one connection.
//
// Thread-safety: free functions; they block at most timeout_ns, all steps together.
// Errors: kNotFound no service is running, kTimeout, kClosed hang-up before the answer; a refusal
// keeps the kind that the service gave it; kCorrupt if the service breaks the rules.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "fairlead/abi/control.h"
#include "shm/control_socket.h"

namespace fairlead::shm {

struct Registration {
  ControlSocket socket;  // keep it open: closing it is leaving; its hang-up is the service's death
  PeerIdentity service;
  abi::ControlWelcome welcome;
  base::Fd segment;   // unchecked: seals and size are for whoever maps it
  base::Fd doorbell;  // eventfd
};

// Registers with the service on `path` (a hello from make_hello).
base::Result<Registration> register_client(const std::string& path, const abi::ControlHello& hello,
                                           std::int64_t timeout_ns);

// Asks kQueryStatus or kQueryStop; returns the report, JSON text.  kQueryStop is answered once
// the service has drained.
base::Result<std::string> query_service(const std::string& path, abi::ControlType question,
                                        std::int64_t timeout_ns);

}  // namespace fairlead::shm
