// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/host_port.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "guest/agent/system.h"

namespace fairlead::guest {

void HostPort::open(const char* name, std::int64_t patience_ns) {
  port_.reset(open_port(name, patience_ns));
  if (!port_) return;
  ::fcntl(port_.get(), F_SETOWN, ::getpid());
  ::fcntl(port_.get(), F_SETFL, O_NONBLOCK | O_ASYNC);
}

short HostPort::wanted() const noexcept {
  return static_cast<short>(sent() ? POLLIN : POLLIN | POLLOUT);
}

std::size_t HostPort::read(char (&bytes)[kLineBytes]) noexcept {
  const ssize_t got = ::read(port_.get(), bytes, sizeof bytes);
  return got <= 0 ? 0 : static_cast<std::size_t>(got);
}

void HostPort::after(short events) {
  if (!sent()) flush();
  if ((events & POLLHUP) == 0) return;
  there_ = false;
  gone_ms_ = uptime_ms();
}

void HostPort::send(const char* bytes, std::size_t size) {
  // Full of answers that nobody takes: the host that asked has gone long ago.
  if (size > sizeof waiting_ - waiting_bytes_) waiting_bytes_ = 0;
  std::memcpy(waiting_ + waiting_bytes_, bytes, size);
  waiting_bytes_ += size;
  flush();
}

// A question can arrive before the news that its host is there: until then the port takes nothing.
void HostPort::flush() {
  const ssize_t sent = ::write(port_.get(), waiting_, waiting_bytes_);
  if (sent <= 0) return;
  waiting_bytes_ -= static_cast<std::size_t>(sent);
  std::memmove(waiting_, waiting_ + sent, waiting_bytes_);
}

void HostPort::answer(std::uint32_t id, const char* wrong) {
  char line[kLineBytes];
  const int size = wrong == nullptr ? std::snprintf(line, sizeof line, "%u ok\n", id)
                                    : std::snprintf(line, sizeof line, "%u error %s\n", id, wrong);
  send(line, static_cast<std::size_t>(size));
}

}  // namespace fairlead::guest
