// SPDX-License-Identifier: Apache-2.0
//
// DiskLog: the requests of a throttled service as CSV (disk/request_csv.h), for replay.
//
//     service thread ── add() ──► ring of kRoom stories ──► own thread ──► the file
//
// add() takes neither a lock nor a system call.  The log is whole or it ends: if a write fails, or
// the file is so slow that the ring is full, nothing more is written; the file then ends with a
// whole line, `on_end` is called once, and stats() says why.  The service goes on.
//
// Thread-safety: add() and stats() are the service thread's.  `on_end` is called on the log's
// thread and must not block for long.
// Ownership: owns the descriptor.  The destructor writes what is left.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "disk/request_story.h"

namespace fairlead::block {

struct DiskLogStats {
  std::string path;
  std::uint64_t requests = 0;  // that were written, or wait to be
  std::string ended{};         // why; empty: it has not
};

class DiskLog {
 public:
  static constexpr std::size_t kRoom = std::size_t{1} << 16;

  // Empties `file` and begins.
  static base::Result<std::unique_ptr<DiskLog>> begin(base::Fd file, std::string path,
                                                      std::function<void(std::string)> on_end);
  DiskLog(const DiskLog&) = delete;
  DiskLog& operator=(const DiskLog&) = delete;
  ~DiskLog();

  void add(const disk::RequestStory& story) noexcept;
  DiskLogStats stats() const;

 private:
  DiskLog(base::Fd file, std::string path, std::function<void(std::string)> on_end);

  void work();
  void write_what_waits();
  void write(std::uint64_t next);
  void end(std::string why);

  const base::Fd file_;
  const std::string path_;
  const std::function<void(std::string)> on_end_;
  std::vector<disk::RequestStory> ring_;
  std::atomic<std::uint64_t> added_ = 0;    // the service thread's
  std::atomic<std::uint64_t> taken_ = 0;    // the log's, as all below but the next
  std::atomic<bool> too_slow_ = false;      // the service thread found no room
  std::atomic<std::uint64_t> written_ = 0;  // whole
  std::atomic<bool> has_ended_ = false;     // `why_` stands
  std::string why_;
  std::string text_;
  off_t whole_bytes_ = 0;
  std::mutex mutex_;  // for the end only
  std::condition_variable asked_to_end_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace fairlead::block
