// SPDX-License-Identifier: Apache-2.0
#include "virt/host_files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"

namespace fairlead::virt {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16} * 1024 * 1024;

// The next word or number of a line; false at its end.
bool next_word(std::string_view& line, std::string_view& word) {
  const auto first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  line.remove_prefix(first);
  const auto end = std::min(line.find_first_of(" \t"), line.size());
  word = line.substr(0, end);
  line.remove_prefix(end);
  return true;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

template <typename Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// proc(5): user nice system idle iowait irq softirq steal guest guest_nice; guest time is part of
// user and nice.  What runs niced takes what others leave, and is no reason to keep a guest away;
// unless it is a guest itself.
std::optional<std::uint64_t> busy_ticks(std::string_view line) {
  constexpr int kNice = 1;
  constexpr int kIdle = 3;
  constexpr int kIoWait = 4;
  constexpr int kSteal = 7;
  constexpr int kGuestNice = 9;
  std::uint64_t busy = 0;
  std::uint64_t niced = 0;
  std::string_view word;
  int field = 0;
  for (; field <= kGuestNice && next_word(line, word); ++field) {
    const auto ticks = number(word);
    if (!ticks) return {};
    if (field == kNice) niced = *ticks;
    if (field == kGuestNice) busy += std::min(*ticks, niced);
    if (field <= kSteal && field != kNice && field != kIdle && field != kIoWait) busy += *ticks;
  }
  return field > kIdle ? std::optional(busy) : std::nullopt;
}

}  // namespace

base::Result<std::vector<manage::PcpuSample>> parse_stat(std::string_view text,
                                                         std::int64_t ticks_per_second) {
  std::vector<manage::PcpuSample> pcpus;
  bool broken = false;
  for_each_line(text, [&](std::string_view line) {
    std::string_view word;
    if (!line.starts_with("cpu") || line.starts_with("cpu ") || !next_word(line, word)) return;
    const auto cpu = number(word.substr(3));
    const auto busy = busy_ticks(line);
    if (!cpu || *cpu >= manage::CpuSet::kMostCpus || !busy) {
      broken = true;
      return;
    }
    const auto tick_ns = static_cast<std::uint64_t>(base::kNanosPerSecond / ticks_per_second);
    pcpus.push_back({.cpu = static_cast<std::uint32_t>(*cpu), .busy_ns = *busy * tick_ns});
  });
  if (broken || pcpus.empty()) {
    return base::fail(base::ErrorKind::kCorrupt, "/proc/stat has not the form of proc(5)");
  }
  std::ranges::sort(pcpus, {}, &manage::PcpuSample::cpu);
  return pcpus;
}

base::Result<manage::HostMemory> parse_meminfo(std::string_view text) {
  constexpr std::uint64_t kKiB = 1024;
  manage::HostMemory memory;
  for_each_line(text, [&](std::string_view line) {
    std::string_view name;
    std::string_view word;
    if (!next_word(line, name) || !next_word(line, word)) return;
    const auto value = number(word);
    if (!value) return;
    if (name == "MemTotal:") memory.total_bytes = *value * kKiB;
    if (name == "MemAvailable:") memory.available_bytes = *value * kKiB;
  });
  if (memory.total_bytes == 0 || memory.available_bytes > memory.total_bytes) {
    return base::fail(base::ErrorKind::kCorrupt, "/proc/meminfo has not the form of proc(5)");
  }
  return memory;
}

base::Result<std::vector<manage::PcpuSample>> HostFiles::processors() {
  FL_TRY(const std::string text, base::read_file(root_ + "proc/stat", kMostBytes));
  FL_TRY(auto pcpus, parse_stat(text, ::sysconf(_SC_CLK_TCK)));
  const bool same = std::ranges::equal(pcpus, places_, {}, &manage::PcpuSample::cpu, &Place::cpu);
  if (!same) learn_topology(pcpus);
  for (std::size_t i = 0; i < pcpus.size(); ++i) {
    pcpus[i].core = places_[i].core;
    pcpus[i].cache = places_[i].cache;
    pcpus[i].node = places_[i].node;
  }
  return pcpus;
}

base::Result<manage::HostMemory> HostFiles::memory() const {
  FL_TRY(const std::string text, base::read_file(root_ + "proc/meminfo", kMostBytes));
  FL_TRY(manage::HostMemory memory, parse_meminfo(text));
  // "some avg10=0.12 avg60=…", where the kernel has it.
  if (const auto pressure = base::read_file(root_ + "proc/pressure/memory", kMostBytes)) {
    constexpr std::string_view kKey = "some avg10=";
    if (const auto at = pressure->find(kKey); at != std::string::npos) {
      double value = 0;
      const char* from = pressure->data() + at + kKey.size();
      const auto [end, error] = std::from_chars(from, pressure->data() + pressure->size(), value);
      if (error == std::errc()) memory.pressure_some = value;
    }
  }
  return memory;
}

// The lowest number of a list like "0,4" names what its members share.
std::uint32_t HostFiles::lowest_of(const std::string& path, std::uint32_t otherwise) const {
  auto text = base::read_file(root_ + path, kMostBytes);
  if (!text) return otherwise;
  const auto set = manage::CpuSet::parse(*text);
  return set ? set->lowest() : otherwise;
}

void HostFiles::learn_topology(const std::vector<manage::PcpuSample>& online) {
  places_.clear();
  for (const manage::PcpuSample& pcpu : online) {
    const std::string folder = fmt::format("sys/devices/system/cpu/cpu{}/", pcpu.cpu);
    Place place{.cpu = pcpu.cpu};
    place.core = lowest_of(folder + "topology/thread_siblings_list", pcpu.cpu);
    place.cache = lowest_of(folder + "cache/index3/shared_cpu_list", 0);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + folder, error)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("node")) continue;
      if (const auto node = number(std::string_view(name).substr(4))) {
        place.node = static_cast<std::uint32_t>(*node);
      }
    }
    places_.push_back(place);
  }
}

}  // namespace fairlead::virt
