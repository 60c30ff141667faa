// SPDX-License-Identifier: Apache-2.0
//
// The Unix socket (SOCK_SEQPACKET: one message, one packet) on which clients register.
//
// ControlListener  the service's end: a path that clients know.
// ControlSocket    one connection, either end.  Never blocks longer than the caller says.
//
// Thread-safety: none; one thread per object.  Ownership: both own their descriptor
// (close-on-exec). Units: nanoseconds.  Errors: kNotFound no service, kTimeout nothing in time,
// kClosed hang-up, kCorrupt a packet that breaks the rules of abi/control.h. Limit: death of a peer
// is the close of the *last* copy of its socket: a child that it forked without exec keeps it
// alive.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::shm {

inline constexpr std::size_t kMaxPacketFds = 4;

// Who connected (or, at the client, who listens), as the kernel noted it at that moment.
struct PeerIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

struct Packet {
  std::size_t bytes = 0;
  std::size_t fd_count = 0;
  std::array<base::Fd, kMaxPacketFds> fds;
};

class ControlSocket {
 public:
  explicit ControlSocket(base::Fd socket) noexcept : socket_(std::move(socket)) {}
  static base::Result<ControlSocket> connect(const std::string& path, std::int64_t timeout_ns);

  // One packet with copies of `fds`, now or not at all: kBusy when the other side does not read.
  base::Status send(std::span<const std::byte> message, std::span<const int> fds = {});

  // One packet into `buffer`.  A longer packet, or one with more than `max_fds` descriptors, is
  // kCorrupt and all its descriptors are closed.  A packet of no bytes cannot be told from a
  // hang-up and counts as one.  timeout_ns: 0 only what is there, negative for ever.
  base::Result<Packet> receive(std::span<std::byte> buffer, std::size_t max_fds,
                               std::int64_t timeout_ns);

  base::Result<PeerIdentity> peer() const;
  // A handle on the peer's process that a reused pid cannot fool; kUnsupported before Linux 6.5.
  base::Result<base::Fd> peer_process() const;
  int fd() const noexcept { return socket_.get(); }

 private:
  base::Fd socket_;
};

class ControlListener {
 public:
  // Listens on `path` with mode 0600.  The path changes from what a dead owner left to the new
  // socket in one step; kBusy if somebody answers there, kExists if it is no socket.
  // The caller holds the lock of the service, so nobody else binds at this moment.
  static base::Result<ControlListener> bind(const std::string& path, int backlog = 128);
  ControlListener(ControlListener&&) noexcept = default;
  ControlListener& operator=(ControlListener&&) = delete;
  ~ControlListener();  // removes the path if it still is this socket

  // The next connection, non-blocking; nullopt: none waits (or it left again).
  base::Result<std::optional<ControlSocket>> accept();
  int fd() const noexcept { return socket_.get(); }

 private:
  ControlListener(base::Fd socket, std::string path) noexcept
      : socket_(std::move(socket)), path_(std::move(path)) {}

  base::Fd socket_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace fairlead::shm
