// SPDX-License-Identifier: Apache-2.0
//
// What the programs of this folder do alike: ends with one line when something fails, and the
// distribution of times as JSON, in the same shape as `fairlead client -o json` has it.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/histogram.h"
#include "base/json.h"

namespace fairlead::bench {

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what.c_str());
  std::exit(1);
}

[[noreturn]] inline void die_errno(const std::string& what) {
  die(what + ": " + std::strerror(errno));
}

inline void add_latency(base::JsonWriter& json, const base::Histogram& times) {
  json.key("latency_ns").begin_object();
  json.member("min", times.min()).member("mean", times.mean()).member("max", times.max());
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
    json.member(name, times.quantile(q));
  }
  json.end_object();
}

}  // namespace fairlead::bench
