// SPDX-License-Identifier: Apache-2.0
#include "relay/presence.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

namespace fairlead::relay {
namespace {

struct flock lock_of(Side side) noexcept {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(side);
  lock.l_len = 1;
  return lock;
}

std::atomic<std::uint64_t> refused_so_far{0};

}  // namespace

base::Result<base::Fd> take_side(int memory, Side side) {
  const std::string path = "/proc/self/fd/" + std::to_string(memory);
  base::Fd own(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!own) return base::fail_errno(errno, "open the memory of a relay channel again");
  struct flock lock = lock_of(side);
  if (::fcntl(own.get(), F_OFD_SETLK, &lock) == 0) return own;
  if (errno != EAGAIN && errno != EACCES) {
    return base::fail_errno(errno, "lock the memory of a relay channel");
  }
  const std::string who = side == Side::kProducer ? "producer" : "consumer";
  return base::fail(
      refused({base::ErrorKind::kBusy, "this relay channel has a " + who + " already"}));
}

bool is_taken(const base::Fd& other, Side side) noexcept {
  struct flock lock = lock_of(side);
  return ::fcntl(other.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::uint64_t refused_calls() noexcept { return refused_so_far.load(std::memory_order_relaxed); }

base::Error refused(base::Error error) noexcept {
  refused_so_far.fetch_add(1, std::memory_order_relaxed);
  return error;
}

}  // namespace fairlead::relay
