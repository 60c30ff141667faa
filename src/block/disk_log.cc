// SPDX-License-Identifier: Apache-2.0
#include "block/disk_log.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/file.h"
#include "disk/request_csv.h"

namespace fairlead::block {
namespace {

// At kRoom stories in between, more than half a million requests a second.
constexpr std::chrono::milliseconds kNap{100};
constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

}  // namespace

base::Result<std::unique_ptr<DiskLog>> DiskLog::begin(base::Fd file, std::string path,
                                                      std::function<void(std::string)> on_end) {
  // A device or a pipe has no length.
  if (::ftruncate(file.get(), 0) != 0 && errno != EINVAL) {
    return base::fail_errno(errno, "empty " + path);
  }
  return std::unique_ptr<DiskLog>(new DiskLog(std::move(file), std::move(path), std::move(on_end)));
}

DiskLog::DiskLog(base::Fd file, std::string path, std::function<void(std::string)> on_end)
    : file_(std::move(file)), path_(std::move(path)), on_end_(std::move(on_end)), ring_(kRoom) {
  text_ = disk::kRequestCsvHeader;
  thread_ = std::thread([this] { work(); });
  ::pthread_setname_np(thread_.native_handle(), "fl-disk-log");
}

DiskLog::~DiskLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_to_end_.notify_one();
  thread_.join();
}

void DiskLog::add(const disk::RequestStory& story) noexcept {
  const std::uint64_t at = added_.load(std::memory_order_relaxed);
  if (too_slow_.load(std::memory_order_relaxed)) return;
  if (has_ended_.load(std::memory_order_relaxed)) return;
  if (at - taken_.load(std::memory_order_acquire) == kRoom) {
    too_slow_.store(true, std::memory_order_release);
    return;
  }
  ring_[at % kRoom] = story;
  added_.store(at + 1, std::memory_order_release);
}

DiskLogStats DiskLog::stats() const {
  if (!has_ended_.load(std::memory_order_acquire)) {
    return {.path = path_, .requests = added_.load(std::memory_order_relaxed)};
  }
  return {.path = path_, .requests = written_.load(std::memory_order_relaxed), .ended = why_};
}

void DiskLog::work() {
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    last = asked_to_end_.wait_for(lock, kNap, [this] { return ending_; });
    lock.unlock();
    write_what_waits();
    lock.lock();
  }
}

void DiskLog::write_what_waits() {
  // Before the ring is emptied: what came until then is in it.
  const bool too_slow = too_slow_.load(std::memory_order_acquire);
  const std::uint64_t added = added_.load(std::memory_order_acquire);
  std::uint64_t at = taken_.load(std::memory_order_relaxed);
  while (at != added) {
    disk::append_csv(text_, ring_[at % kRoom]);
    ++at;
    if (text_.size() >= kPieceBytes) write(at);
  }
  taken_.store(at, std::memory_order_release);
  if (!text_.empty()) write(at);
  if (too_slow) end("the file is slower than the requests");
}

// All of text_, which ends with the story before `next`.
void DiskLog::write(std::uint64_t next) {
  const std::string lines = std::exchange(text_, {});
  if (has_ended_.load(std::memory_order_relaxed)) return;
  if (const auto done = base::write_all(file_.get(), lines); !done) {
    // A line that was cut would be read as one with other numbers.
    if (::ftruncate(file_.get(), whole_bytes_) != 0) errno = 0;  // a device has no length
    return end(done.error().message());
  }
  whole_bytes_ += static_cast<off_t>(lines.size());
  written_.store(next, std::memory_order_relaxed);
}

void DiskLog::end(std::string why) {
  if (has_ended_.load(std::memory_order_relaxed)) return;
  why_ = std::move(why);
  has_ended_.store(true, std::memory_order_release);
  on_end_("the log of requests in " + path_ + " has ended: " + why_);
}

}  // namespace fairlead::block
