// SPDX-License-Identifier: Apache-2.0
//
// CpuSet: which processors, by number, as cpuset(7) writes it: "0-3,8".
//
// Numbers run from 0 to kMostCpus - 1.  A set grows as needed; two sets are equal if they hold the
// same processors.
//
// Thread-safety: a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::manage {

class CpuSet {
 public:
  static constexpr unsigned kMostCpus = 8192;  // CONFIG_NR_CPUS of the largest x86-64 kernels

  CpuSet() = default;
  static CpuSet of(std::initializer_list<unsigned> cpus);
  static CpuSet first(unsigned count);  // 0 … count - 1

  // "0-3,8", "5"; blanks around numbers are allowed, an empty list is not.
  static base::Result<CpuSet> parse(std::string_view text);

  // As libvirt and sched_setaffinity(2) have it: bit n of byte n / 8.
  static CpuSet from_bytes(const unsigned char* bytes, std::size_t size);
  std::vector<unsigned char> to_bytes(unsigned cpus) const;

  void add(unsigned cpu);
  void remove(unsigned cpu);
  bool contains(unsigned cpu) const noexcept;
  bool contains(const CpuSet& other) const noexcept;
  bool empty() const noexcept { return words_.empty(); }
  unsigned count() const noexcept;
  unsigned lowest() const noexcept;  // the set must not be empty
  std::vector<unsigned> members() const;

  CpuSet operator&(const CpuSet& other) const;
  CpuSet operator|(const CpuSet& other) const;
  bool operator==(const CpuSet& other) const = default;

  std::string text() const;  // "" for the empty set

 private:
  void trim();

  std::vector<std::uint64_t> words_;  // the last one is never 0
};

}  // namespace fairlead::manage
