// SPDX-License-Identifier: Apache-2.0
//
// Report: what a trace says, for people and as JSON: the five stages of each pair of devices; what
// each device was asked, merged and did; each process; and always what was lost.
//
// Thread-safety: values.  Times in nanoseconds.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "trace/requests.h"
#include "trace/stages.h"
#include "trace/trace.h"

namespace fairlead::trace {

// Of times that may be negative by a clock's bound: those below zero count as 0 in the histogram,
// the sum is exact.
struct StageFigures {
  base::Histogram ns;
  __extension__ __int128 sum_ns = 0;  // times of a damaged clock are centuries
  std::uint64_t below_zero = 0;

  void add(std::int64_t value) noexcept;
  double mean() const noexcept;
};

struct PairReport {
  Staged staged;
  std::array<StageFigures, kStages> stages;
  StageFigures q2c;
};

struct ProcessFigures {
  std::string title;  // "dd (812)"
  std::uint64_t bios = 0;
  std::uint64_t bytes = 0;
  StageFigures q2c;
};

struct DeviceReport {
  DeviceRequests found;  // without its requests and bios
  StageFigures q2d;
  StageFigures d2c;
  StageFigures q2c;
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t requests = 0;
  std::uint64_t request_bios = 0;
  std::map<std::uint32_t, ProcessFigures> processes;
};

struct Report {
  std::vector<PairReport> pairs;
  std::vector<DeviceReport> devices;
};

// `pairings`: empty: those that are natural.
Report make_report(const Trace& trace, std::vector<Pairing> pairings = {});

// "FRONT=BACK" or "FRONT=BACK+SECTORS", by device_title(); kInvalid names those that there are.
base::Result<Pairing> parse_pairing(const Trace& trace, std::string_view text);

std::string report_text(const Trace& trace, const Report& report);
std::string report_json(const Trace& trace, const Report& report);  // one line

// "vda of aos_1", "254,0 of host": what a pair of devices is given by.
std::string device_title(const Trace& trace, std::uint16_t source, std::uint32_t device);
const char* explain(abi::TraceLossCause cause) noexcept;  // for people; a word: cause_text()

}  // namespace fairlead::trace
