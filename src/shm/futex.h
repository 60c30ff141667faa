// SPDX-License-Identifier: Apache-2.0
//
// Futex waits.  std::atomic::wait is no substitute: libstdc++ 12 uses process-private futexes,
// which never wake another process.
//
// Thread-safety: any thread.  Times in nanoseconds, relative; kForever waits without limit.
// Source: futex(2).
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace fairlead::shm {

inline constexpr std::int64_t kForever = -1;

enum class FutexScope : int { kShared = 0, kPrivate = FUTEX_PRIVATE_FLAG };

// Sleeps while word == expected, until woken, timed out or interrupted; the caller looks again.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::int64_t timeout_ns, FutexScope scope) noexcept {
  const timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT | static_cast<int>(scope), expected,
            timeout_ns == kForever ? nullptr : &limit, nullptr, 0);
}

// Returns how many were woken.
inline long futex_wake(std::atomic<std::uint32_t>& word, int count, FutexScope scope) noexcept {
  return ::syscall(SYS_futex, &word, FUTEX_WAKE | static_cast<int>(scope), count, nullptr, nullptr,
                   0);
}

}  // namespace fairlead::shm
