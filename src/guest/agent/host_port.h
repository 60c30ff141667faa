// SPDX-License-Identifier: Apache-2.0
//
// HostPort: a virtio-serial port, and the host at its other end: lines in, answers out.
//
// The port tells by SIGIO that a host connected: without one poll() would return POLLHUP at once,
// again and again, so a port whose host has gone is not polled until then.  Whoever uses it blocks
// SIGIO and says came() when it arrives.
//
// Thread-safety: none; one thread of one process.  Ownership: the port's descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/fd.h"
#include "guest/agent_protocol.h"

namespace fairlead::guest {

class HostPort {
 public:
  // Waits so long for the port to appear; a port that has not can be polled and stays silent.
  void open(const char* name, std::int64_t patience_ns);

  int poll_fd() const noexcept { return there_ ? port_.get() : -1; }
  short wanted() const noexcept;
  void came() noexcept { there_ = true; }

  // After poll(): obey(line) for each line that came.  The host may be gone then.
  template <typename Obey>
  void serve(short events, Obey obey) {
    char bytes[kLineBytes];
    while (const std::size_t got = read(bytes)) {
      std::string_view rest(bytes, got);
      while (!rest.empty()) {
        rest.remove_prefix(lines_.push(rest));
        while (const auto line = lines_.next()) obey(*line);
      }
    }
    after(events);
  }

  void send(const char* bytes, std::size_t size);
  void answer(std::uint32_t id, const char* wrong);  // nullptr: ok
  bool sent() const noexcept { return waiting_bytes_ == 0; }

  bool is_there() const noexcept { return there_; }  // as far as we know
  std::uint64_t gone_ms() const noexcept { return gone_ms_; }

 private:
  std::size_t read(char (&bytes)[kLineBytes]) noexcept;  // 0: nothing more
  void after(short events);
  void flush();

  base::Fd port_;
  LineBuffer lines_;
  char waiting_[4 * kLineBytes] = {};  // answers that could not be sent yet
  std::size_t waiting_bytes_ = 0;
  bool there_ = true;
  std::uint64_t gone_ms_ = 0;
};

}  // namespace fairlead::guest
