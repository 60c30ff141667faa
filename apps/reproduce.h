// SPDX-License-Identifier: Apache-2.0
//
// What `fairlead reproduce` does for each course document.
//
//     001       reproduce_managers()  its cases again in simulation, beside simple policies
//     003       reproduce_relay()     its measurements again: messages, and a guest's I/O
//     004-disk  reproduce_disk()      its disk study again in simulation, beside its figures
//
// Thread-safety: none.  They return exit codes, and have said what was wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace fairlead::apps {

inline constexpr const char* kReproduce = "fairlead-reproduce";

struct ReproduceOptions {
  std::string document;
  std::string folder;               // for samples and plots
  std::optional<std::string> only;  // a case
  std::uint64_t seed = 1;           // 001, 004-disk
  std::uint32_t rounds = 5;         // 003, 004-disk
  std::string output = "text";
};

int reproduce_managers(const ReproduceOptions& options);
int reproduce_relay(const ReproduceOptions& options);
int reproduce_disk(const ReproduceOptions& options);

// The folder for figures, and whether something can be written there: known before it takes minutes
// to have something.
base::Status make_folder(const std::string& folder);

// That there is no gnuplot here, but `what`.
void say_not_drawn(const char* what);

}  // namespace fairlead::apps
