// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_set.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/check.h"
#include "base/quote.h"
#include "base/units.h"

namespace fairlead::manage {
namespace {

constexpr unsigned kBits = 64;

std::string_view strip(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

base::Result<unsigned> parse_cpu(std::string_view text) {
  FL_TRY(const std::uint64_t cpu, base::parse_unsigned(strip(text), 0, CpuSet::kMostCpus - 1));
  return static_cast<unsigned>(cpu);
}

}  // namespace

CpuSet CpuSet::of(std::initializer_list<unsigned> cpus) {
  CpuSet set;
  for (const unsigned cpu : cpus) set.add(cpu);
  return set;
}

CpuSet CpuSet::first(unsigned count) {
  CpuSet set;
  for (unsigned cpu = 0; cpu < count; ++cpu) set.add(cpu);
  return set;
}

base::Result<CpuSet> CpuSet::parse(std::string_view text) {
  CpuSet set;
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const std::string_view range = rest.substr(0, comma);
    const auto dash = range.find('-');
    auto low = parse_cpu(range.substr(0, dash));
    auto high = dash == std::string_view::npos ? low : parse_cpu(range.substr(dash + 1));
    if (!low || !high || *low > *high) {
      return base::fail(base::ErrorKind::kInvalid,
                        base::quoted(text) + " is no list of processors like 0-3,8");
    }
    for (unsigned cpu = *low; cpu <= *high; ++cpu) set.add(cpu);
    if (comma == std::string_view::npos) return set;
    rest = rest.substr(comma + 1);
  }
}

CpuSet CpuSet::from_bytes(const unsigned char* bytes, std::size_t size) {
  CpuSet set;
  const auto bits = std::min<std::size_t>(size * 8, kMostCpus);
  for (unsigned cpu = 0; cpu < bits; ++cpu) {
    if ((bytes[cpu / 8] >> (cpu % 8) & 1) != 0) set.add(cpu);
  }
  return set;
}

std::vector<unsigned char> CpuSet::to_bytes(unsigned cpus) const {
  std::vector<unsigned char> bytes((cpus + 7) / 8);
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    if (contains(cpu)) bytes[cpu / 8] |= static_cast<unsigned char>(1U << (cpu % 8));
  }
  return bytes;
}

void CpuSet::add(unsigned cpu) {
  FL_CHECK(cpu < kMostCpus);
  if (words_.size() <= cpu / kBits) words_.resize(cpu / kBits + 1);
  words_[cpu / kBits] |= std::uint64_t{1} << (cpu % kBits);
}

void CpuSet::remove(unsigned cpu) {
  if (!contains(cpu)) return;
  words_[cpu / kBits] &= ~(std::uint64_t{1} << (cpu % kBits));
  trim();
}

bool CpuSet::contains(unsigned cpu) const noexcept {
  return cpu / kBits < words_.size() && (words_[cpu / kBits] >> (cpu % kBits) & 1) != 0;
}

bool CpuSet::contains(const CpuSet& other) const noexcept {
  if (other.words_.size() > words_.size()) return false;
  for (std::size_t i = 0; i < other.words_.size(); ++i) {
    if ((other.words_[i] & ~words_[i]) != 0) return false;
  }
  return true;
}

unsigned CpuSet::count() const noexcept {
  unsigned count = 0;
  for (const std::uint64_t word : words_) count += static_cast<unsigned>(std::popcount(word));
  return count;
}

unsigned CpuSet::lowest() const noexcept {
  FL_CHECK(!empty());
  std::size_t i = 0;
  while (words_[i] == 0) ++i;
  return static_cast<unsigned>(i * kBits) + static_cast<unsigned>(std::countr_zero(words_[i]));
}

std::vector<unsigned> CpuSet::members() const {
  std::vector<unsigned> cpus;
  cpus.reserve(count());
  for (unsigned cpu = 0; cpu < words_.size() * kBits; ++cpu) {
    if (contains(cpu)) cpus.push_back(cpu);
  }
  return cpus;
}

CpuSet CpuSet::operator&(const CpuSet& other) const {
  CpuSet both;
  both.words_.resize(std::min(words_.size(), other.words_.size()));
  for (std::size_t i = 0; i < both.words_.size(); ++i) both.words_[i] = words_[i] & other.words_[i];
  both.trim();
  return both;
}

CpuSet CpuSet::operator|(const CpuSet& other) const {
  CpuSet either = words_.size() >= other.words_.size() ? *this : other;
  const CpuSet& less = words_.size() >= other.words_.size() ? other : *this;
  for (std::size_t i = 0; i < less.words_.size(); ++i) either.words_[i] |= less.words_[i];
  return either;
}

std::string CpuSet::text() const {
  std::string out;
  const std::vector<unsigned> cpus = members();
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!out.empty()) out += ',';
    out += last == i ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[last]);
    i = last + 1;
  }
  return out;
}

void CpuSet::trim() {
  while (!words_.empty() && words_.back() == 0) words_.pop_back();
}

}  // namespace fairlead::manage
