// SPDX-License-Identifier: Apache-2.0
//
// The managers' configuration file, TOML:
//
//     [vcpu]                 [memory]              [guest."db1"]
//     pcpus = "0-3"          pool_mib = 8192       leave_alone = false
//     trigger = 0.05         reserve_mib = 512     pcpus = "2,3"
//     …                      …                     min_mib = 512
//                                                  shares = 2000
//
// A key that nobody knows, or a value of the wrong type or out of bounds, is an error that names
// the line.
//
// Thread-safety: pure functions over the text or file.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "base/result.h"
#include "manage/cpu_manager.h"
#include "manage/memory_manager.h"

namespace fairlead::apps {

// `origin` is what errors call the text.
base::Status parse_config(const std::string& text, const std::string& origin,
                          manage::CpuSettings& settings);
base::Status parse_config(const std::string& text, const std::string& origin,
                          manage::MemorySettings& settings);

// Where a run's settings stand; each later one overrides.
struct ConfigSources {
  std::string recording;  // of a run that is replayed: it had settings of its own
  std::string file;       // --config
};

base::Status load_config(const ConfigSources& sources, manage::CpuSettings& settings);
base::Status load_config(const ConfigSources& sources, manage::MemorySettings& settings);

// A recording is read twice, for its settings and for its samples: what is no regular file, as a
// pipe, is refused.
base::Result<std::ifstream> open_recording(const std::string& path);

// kInvalid if what is written to `record` would replace one of these.
base::Status check_record(const ConfigSources& sources, const std::string& record);

// kInvalid if settings, from whatever source, contradict themselves or this host: a least size
// above the greatest; processors to manage of which none is online.
base::Status check_settings(const manage::MemorySettings& settings);
base::Status check_settings(const manage::CpuSettings& settings,
                            const std::vector<manage::PcpuSample>& online);

// Rules that can have no effect on this host, a line each: whose processors are none of those that
// are online and managed.
std::vector<std::string> idle_rules(const manage::CpuSettings& settings,
                                    const std::vector<manage::PcpuSample>& online);

// A file that gives exactly these settings.
std::string print_config(const manage::CpuSettings& settings);
std::string print_config(const manage::MemorySettings& settings);

}  // namespace fairlead::apps
