// SPDX-License-Identifier: Apache-2.0
//
// What `fairlead disk` and `fairlead reproduce` both say of simulated runs and of document 004's
// worked example.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/json.h"
#include "sim/disk_example.h"
#include "sim/disk_world.h"

namespace fairlead::apps {

inline double ms(double ns) { return ns / 1e6; }
inline double ms(std::uint64_t ns) { return ms(static_cast<double>(ns)); }

// Tables, and below each the way of the head: time downwards.
std::string example_text(const std::vector<sim::ExampleTable>& tables);
// The members "head" and "tables" of an object.
void add_example(base::JsonWriter& json, const std::vector<sim::ExampleTable>& tables);

// Of all runs of one scheduler.
base::Histogram all_responses(const std::vector<sim::DiskRun>& runs);

// A block of lines "milliseconds share" for gnuplot: how many of a hundred were answered within.
std::string shares_in_time(const base::Histogram& responses);

}  // namespace fairlead::apps
