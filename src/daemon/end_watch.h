// SPDX-License-Identifier: Apache-2.0
//
// EndWatch: SIGTERM and SIGINT for programs whose loop calls what may not answer (a libvirt daemon,
// a pipe that nobody reads).  The loop is told by a descriptor and ends by itself; if it has not
// within a few seconds, or at a later signal, the process ends, with one line and exit code 1.
//
// Thread-safety: start() in main before any other thread; the questions from any thread.
// Ownership: a thread and two descriptors; the destructor calls the end off.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "daemon/signals.h"

namespace fairlead::daemon {

class EndWatch {
 public:
  static base::Result<std::unique_ptr<EndWatch>> start(
      std::string program, std::int64_t patience_ns = 5 * base::kNanosPerSecond);
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;
  ~EndWatch();

  // Readable, and never read, once the end is asked for.
  int fd() const noexcept { return asked_.get(); }
  bool asked() const noexcept;
  // By which signal; 0 before.
  int number() const noexcept { return number_.load(); }

 private:
  EndWatch(Signals signals, std::string program, std::int64_t patience_ns);
  void watch();
  [[noreturn]] void end_now(const std::string& why) const;

  Signals signals_;
  const std::string program_;
  const std::int64_t patience_ns_;
  std::atomic<int> number_{0};
  base::Fd asked_;
  base::Fd stop_;
  std::thread thread_;
};

}  // namespace fairlead::daemon
