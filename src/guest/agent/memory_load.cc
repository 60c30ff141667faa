// SPDX-License-Identifier: Apache-2.0
//
// The memory loads: pages of their own, touched at a rate, or page cache of the guest's disk.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/clock.h"
#include "guest/agent/loads.h"

namespace fairlead::guest {
namespace {

using base::kNanosPerSecond;
using base::monotonic_ns;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kReadBytes = 128 << 10;
constexpr std::uint64_t kWithoutLimit = std::uint64_t{1} << 40;
constexpr std::int64_t kTickNs = 10'000'000;

void sleep_for(std::int64_t ns) {
  const timespec time{ns / kNanosPerSecond, ns % kNanosPerSecond};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

void hold(const MemoryLoad& load) {
  if (load.hold_ns > 0) return sleep_for(load.hold_ns);
  while (true) ::pause();
}

void hold_now(LoadProgress& progress, std::uint64_t bytes) {
  progress.held_bytes = bytes;
  progress.peak_bytes = std::max<std::uint64_t>(progress.peak_bytes, bytes);
}

// Calls grow(from, to) so often that `limit` is reached at the rate asked for.
template <typename Grow>
void at_rate(const MemoryLoad& load, std::uint64_t limit, LoadProgress& progress, Grow grow) {
  const std::int64_t start_ns = monotonic_ns();
  for (std::uint64_t done = 0; done < limit;) {
    const double elapsed_s = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
    const double due = elapsed_s * static_cast<double>(load.rate_bytes_per_s);
    const std::uint64_t goal = std::min(limit, static_cast<std::uint64_t>(due) / kPage * kPage);
    while (done < goal) {
      const std::uint64_t to = std::min(goal, done + kReadBytes);
      grow(done, to);
      done = to;
      hold_now(progress, done);
    }
    if (done < limit) sleep_for(kTickNs);
  }
}

void own_pages(const MemoryLoad& load, LoadProgress& progress) {
  const std::uint64_t limit = load.limit_bytes == 0 ? kWithoutLimit : load.limit_bytes;
  void* const memory = ::mmap(nullptr, limit, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  ::madvise(memory, limit, MADV_NOHUGEPAGE);
  auto* const bytes = static_cast<volatile char*>(memory);
  at_rate(load, limit, progress, [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t at = from; at < to; at += kPage) bytes[at] = 1;
  });
  hold(load);
  ::munmap(memory, limit);
}

void page_cache(const MemoryLoad& load, LoadProgress& progress) {
  const int disk = ::open("/dev/vda", O_RDONLY | O_CLOEXEC);
  if (disk < 0) return;
  const off_t size = ::lseek(disk, 0, SEEK_END);
  ::posix_fadvise(disk, 0, 0, POSIX_FADV_RANDOM);  // no more than what is read
  std::uint64_t limit = static_cast<std::uint64_t>(std::max<off_t>(size, 0));
  if (load.limit_bytes != 0) limit = std::min(limit, load.limit_bytes);
  static char buffer[kReadBytes];
  at_rate(load, limit, progress, [&](std::uint64_t from, std::uint64_t to) {
    [[maybe_unused]] const ssize_t got = ::pread(disk, buffer, to - from, static_cast<off_t>(from));
  });
  hold(load);
  ::posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
  ::close(disk);
}

}  // namespace

void run_memory_load(const MemoryLoad& load, LoadProgress& progress) {
  do {
    load.cache ? page_cache(load, progress) : own_pages(load, progress);
    progress.held_bytes = 0;
    if (load.end == MemoryEnd::kAgain) sleep_for(kTickNs);
  } while (load.end == MemoryEnd::kAgain);
}

}  // namespace fairlead::guest
