// SPDX-License-Identifier: Apache-2.0
//
// What a child after fork() has of its parent's and no part in: a side of a channel.  It stays the
// parent's; the child's copy does nothing, and gives up the descriptors by which others would take
// the parent for alive after its end.
//
// Thread-safety: is_ours() from any thread.  Ownership: a member of what it speaks of, the last, so
// that it goes first.
// Source: pthread_atfork(3); fcntl(2): a file description's lock ends with its last descriptor.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace fairlead::relay {

class NotInherited {
 public:
  // `let_go` is called in a child, while it has one thread.
  explicit NotInherited(std::function<void()> let_go);
  NotInherited(const NotInherited&) = delete;
  NotInherited& operator=(const NotInherited&) = delete;
  ~NotInherited();

  // Of this process, and no parent's.  One load.
  bool is_ours() const noexcept { return forks_ == forks.load(std::memory_order_relaxed); }

 private:
  friend class NotInheritedOnes;

  static inline std::atomic<std::uint32_t> forks{0};  // that led to this process

  const std::function<void()> let_go_;
  std::uint32_t forks_ = 0;
};

}  // namespace fairlead::relay
