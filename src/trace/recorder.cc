// SPDX-License-Identifier: Apache-2.0
#include "trace/recorder.h"

#include <time.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "relay/stamp.h"

namespace fairlead::trace {
namespace {

constexpr std::chrono::milliseconds kEvery(2);
constexpr std::int64_t kFlushNs = base::kNanosPerSecond;

std::int64_t wall_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * base::kNanosPerSecond + now.tv_nsec;
}

}  // namespace

base::Result<Recorder> Recorder::create(const std::string& path) {
  const std::uint64_t hz = relay::stamp_hz();
  FL_TRY(auto file,
         TraceFileWriter::create(path, {.wall_ns = wall_ns(), .stamp = relay::stamp(), .hz = hz}));
  return Recorder(std::move(file));
}

void Recorder::add(std::unique_ptr<LiveSource> source) {
  source->introduce(file_);
  sources_.push_back(std::move(source));
}

base::Status Recorder::poll_until(const std::function<bool()>& stop) {
  std::vector<bool> over(sources_.size());
  std::size_t left = sources_.size();
  FL_TRY_STATUS(file_.flush());  // from here on there is a new recording
  std::int64_t flushed_ns = base::monotonic_ns();
  while (left > 0 && !stop()) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (over[i]) continue;
      FL_TRY(const bool more, sources_[i]->poll(file_));
      if (more) continue;
      over[i] = true;
      --left;
    }
    // A full disk is told now, and a killed recorder leaves what is older than this.
    if (const std::int64_t now = base::monotonic_ns(); now - flushed_ns > kFlushNs) {
      flushed_ns = now;
      FL_TRY_STATUS(file_.flush());
    }
    std::this_thread::sleep_for(kEvery);
  }
  return {};
}

// The sources are finished whatever happened: some leave traces of their own in the kernel.
base::Status Recorder::run(const std::function<bool()>& stop) {
  base::Status status = poll_until(stop);
  for (const auto& source : sources_) {
    base::Status finished = source->finish(file_);
    if (status && !finished) status = std::move(finished);
  }
  base::Status ended = file_.end();
  return status ? ended : status;
}

}  // namespace fairlead::trace
