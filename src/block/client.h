// SPDX-License-Identifier: Apache-2.0
//
// Client: the front end as a library.  Blocking reads from any number of threads over one ring.
//
//     auto client = block::Client::connect({.socket_path = "/run/fairlead/block.sock"});
//     if (client) status = (*client)->read(sector, buffer);
//
// docs/examples/read.cc is a whole program.
//
// If the service dies and comes back within `reconnect_ns`, outstanding calls are asked again and
// complete once each; else they fail with kClosed.  No call hangs, whatever the service does: one
// that answers nobody for `request_ns` is connected to anew, and one that leaves a single call
// unanswered for `request_ns` + `reconnect_ns`, however often it came back, is given up: that call
// and all others end with kTimeout.  The time counts from when a call has a slot, and stands still
// while this process is stopped.
//
// Thread-safety: read(), geometry() from any thread; destroy when no call is under way.
// Ownership: owns the connection, its memory, and one watching thread that sleeps.
// Units: sectors of 512 bytes, nanoseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "fairlead/abi/block.h"

namespace fairlead::block {

struct ClientOptions {
  std::string socket_path;      // of the service
  std::string name = "client";  // for the service's status; at most 31 bytes
  std::uint32_t slots = 64;     // calls at once; more callers wait for a slot
  std::uint32_t data_bytes = 512;
  std::uint32_t weight = 1;
  std::int64_t poll_ns = base::kNanosPerMilli;  // longest look before a sleep; 0: never look
  std::int64_t connect_ns = base::kNanosPerSecond;
  std::int64_t reconnect_ns = 10 * base::kNanosPerSecond;
  std::int64_t request_ns = 30 * base::kNanosPerSecond;
};

// How a read ended; no text, so that the data path allocates nothing.
enum class ReadStatus : std::uint8_t {
  kOk,
  kIoError,
  kOutOfRange,
  kInvalid,      // a size that is no multiple of 512, zero, or more than a slot holds
  kUnsupported,  // the service refuses the operation
  kClosed,       // the service is gone and did not come back in time
  kTimeout,      // the service lives and has left a call unanswered
};

const char* explain(ReadStatus status) noexcept;

class Client {
 public:
  static base::Result<std::unique_ptr<Client>> connect(const ClientOptions& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Asks the service, through the ring.
  base::Result<abi::BlockGeometry> geometry();

  // Reads out.size() / 512 sectors.  Blocks until they are there.
  ReadStatus read(std::uint64_t sector, std::span<std::byte> out) noexcept;

  std::uint32_t number() const noexcept;      // given by the service
  std::uint64_t reconnects() const noexcept;  // since connect()

 private:
  class Link;
  explicit Client(std::unique_ptr<Link> link);
  const std::unique_ptr<Link> link_;
};

}  // namespace fairlead::block
