// SPDX-License-Identifier: Apache-2.0
//
// The outcomes of document_cases.h as text: a table of samples for each case, the gnuplot script
// that draws it, and the table of figures for people.  Nothing here touches a file.
//
// A table of samples has a head, tabs between columns, and two empty lines between policies, which
// gnuplot takes for the next block and other readers skip.  The script reads `NAME.tsv` and writes
// `NAME.svg` in the folder where it runs.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/document_cases.h"

namespace fairlead::sim {

inline constexpr std::uint32_t kCaseIntervalSeconds = 2;

std::string samples_tsv(const std::vector<CpuOutcome>& outcomes);
std::string samples_tsv(const std::vector<MemoryOutcome>& outcomes);

std::string gnuplot_script(const CpuCase& one, const std::vector<CpuOutcome>& outcomes);
std::string gnuplot_script(const MemoryCase& one, const std::vector<MemoryOutcome>& outcomes);

struct CpuResult {
  CpuCase one;
  std::vector<CpuOutcome> outcomes;
};
struct MemoryResult {
  MemoryCase one;
  std::vector<MemoryOutcome> outcomes;
};
std::string figures_text(const std::vector<CpuResult>& results);
std::string figures_text(const std::vector<MemoryResult>& results);

}  // namespace fairlead::sim
