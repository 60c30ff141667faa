// SPDX-License-Identifier: Apache-2.0
//
// Which sources a trace is to have, as the command line names them, and opening them.
//
// Thread-safety: none.  Errors name the source.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "base/result.h"
#include "trace/live_source.h"

namespace fairlead::apps {

struct TraceSources {
  std::vector<std::string> services;  // by name
  std::vector<std::string> hosts;     // block devices of this host: vda, loop0, 7:0
  std::vector<std::string> guests;    // of the lab, by name
};

void add_source_options(Command verb, TraceSources& sources);

base::Result<std::vector<std::unique_ptr<trace::LiveSource>>> open_sources(
    const TraceSources& sources);

}  // namespace fairlead::apps
