// SPDX-License-Identifier: Apache-2.0
//
// Recordings: every sample and every plan of a run, one JSON object a line.
//
//     {"event":"start","version":1,"manager":"vcpu","config":"[vcpu]\ntrigger = 0.05\n…"}
//     {"event":"sample","at_ns":…,"pcpus":[…],"guests":[…],…}
//     {"event":"plan","actions":["1b4e… 0 -> 3", …]}
//     {"event":"undone","action":"1b4e… 0 -> 3"}     the call failed, or it was a dry run
//
// A sample read back equals the one that was written, so that a manager with the settings of the
// start decides the same.  What is read is untrusted text: lines are bounded in length, numbers in
// range, and every error names the line.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <vector>

#include "base/result.h"
#include "manage/sample.h"

namespace fairlead::manage {

// `config`: the settings of the run, as a configuration file.
std::string start_line(const std::string& manager, const std::string& config);
std::string sample_line(const Sample& sample);
std::string plan_line(const std::vector<std::string>& actions);
std::string undone_line(const std::string& action);

// What stands in the start: the settings of the run; empty in recordings that were made before
// settings were recorded.  Errors as of replay().
base::Result<std::string> recorded_config(std::istream& in, const std::string& manager);

struct Replayed {
  std::uint64_t plans = 0;         // compared: at least one
  bool last_without_plan = false;  // the run ended between its last sample and the plan for it
};

// Replays a recording: `decide` gets each sample and returns its actions, which are compared with
// those that stand in the plan after it; `undone` gets those that were not carried out.  kCorrupt
// with the line if a plan differs, what is undone was not planned, the last line was not written to
// its end or the text is no recording, kCorrupt also if no plan stands in it; kInvalid if it is
// another manager's, kIo if it cannot be read.
using Decide = std::function<std::vector<std::string>(const Sample&)>;
using Undone = std::function<void(const std::string&)>;
base::Result<Replayed> replay(std::istream& in, const std::string& manager, const Decide& decide,
                              const Undone& undone = {});

}  // namespace fairlead::manage
