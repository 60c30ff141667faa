// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_mailbox.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

namespace fairlead::shm {

base::Result<base::Fd> PeerMailbox::make_event() {
  base::Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return base::fail_errno(errno, "make an eventfd");
  return event;
}

void PeerMailbox::put(Order order) {
  {
    const std::scoped_lock lock(mutex_);
    const bool waits = std::any_of(orders_.begin(), orders_.end(),
                                   [&](const Order& other) { return other.same_as(order); });
    if (!waits) orders_.push_back(std::move(order));
  }
  // Fails only when the counter is full, and then it is readable anyway.
  static_cast<void>(::eventfd_write(event_.get(), 1));
}

std::vector<PeerMailbox::Order> PeerMailbox::take() {
  eventfd_t ignored = 0;
  static_cast<void>(::eventfd_read(event_.get(), &ignored));
  const std::scoped_lock lock(mutex_);
  return std::exchange(orders_, {});
}

}  // namespace fairlead::shm
