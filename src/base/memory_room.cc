// SPDX-License-Identifier: Apache-2.0
#include "base/memory_room.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace fairlead::base {
namespace {

constexpr std::size_t kMostText = std::size_t{64} * 1024;

std::uint64_t available_bytes() {
  constexpr const char* kField = "MemAvailable:";
  if (const auto text = read_file("/proc/meminfo", kMostText); text) {
    const auto at = text->find(kField);
    if (at != std::string::npos) {
      return std::strtoull(text->c_str() + at + std::string_view(kField).size(), nullptr, 10) *
             1024;
    }
  }
  // A /proc of processes alone: without the caches that could be given up, so too little.
  struct sysinfo info{};
  if (::sysinfo(&info) != 0) return 0;
  return (std::uint64_t{info.freeram} + info.bufferram) * info.mem_unit;
}

std::uint64_t address_space_used() {
  const auto text = read_file("/proc/self/statm", kMostText);
  if (!text) return 0;
  return std::strtoull(text->c_str(), nullptr, 10) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::uint64_t memory_room_bytes() {
  std::uint64_t room = available_bytes();
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
    const std::uint64_t used = address_space_used();
    room = std::min<std::uint64_t>(room, space.rlim_cur > used ? space.rlim_cur - used : 0);
  }
  return room;
}

}  // namespace fairlead::base
