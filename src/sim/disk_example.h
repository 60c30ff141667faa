// SPDX-License-Identifier: Apache-2.0
//
// The worked example of document 004: four requests on a line, the head between them, one unit of
// time for one of distance.  The orders are those of the schedulers themselves.
//
// Thread-safety: a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::sim {

struct ExampleRow {
  std::uint64_t place;
  std::uint64_t service;
  std::uint64_t wait;
  std::uint64_t response() const noexcept { return service + wait; }
};

struct ExampleTable {
  std::string name;       // as the document has it
  std::string scheduler;  // whose order it is
  std::vector<ExampleRow> rows;
  double mean_service = 0;
  double mean_wait = 0;
  double mean_response = 0;
};

inline constexpr std::uint64_t kExampleHead = 50;
inline constexpr std::uint64_t kExamplePlaces[] = {95, 10, 60, 41};

// FCFS, SATF, OPT.
std::vector<ExampleTable> worked_example();

}  // namespace fairlead::sim
