// SPDX-License-Identifier: Apache-2.0
//
// What the two managers share as programs: options, the loop of passes, recording and replaying.
//
// One pass: sample, decide, write down, apply.  A guest that vanished is noted and the others are
// served; a lost connection skips the pass and is tried again in the next; a connection that may
// only read ends the program.  SIGTERM and SIGINT end it between two passes, or after five seconds
// where one of them does not end.
#pragma once

#include <cstdint>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "manage/hypervisor.h"

namespace fairlead::apps {

struct ManagerOptions {
  std::string uri = "qemu:///system";
  double interval_s = 0;
  bool once = false;
  bool dry_run = false;
  bool explain = false;
  std::string output = "text";
  std::string config;
  std::string record;
  std::string replay;

  bool json() const { return output == "json"; }
};

// Interval, --uri, --once, --dry-run, --explain, -o, --config, --record, --replay.
void add_manager_options(Command app, ManagerOptions& options);

// One manager, as the loop sees it.  Each call but decide() concerns the last decision.
class ManagerProgram {
 public:
  virtual ~ManagerProgram() = default;
  virtual std::string name() const = 0;
  virtual std::string config() const = 0;  // its settings as a configuration file

  virtual void decide(const manage::Sample& sample) = 0;

  struct Action {
    std::string text;   // for the recording: equal decisions have equal texts
    std::string what;   // for people
    std::string why{};  // likewise
    std::function<base::Status(manage::Hypervisor&)> apply;
    std::string guest{};  // whose; one that does not answer (kBusy) is left alone for a while
    std::string name{};   // that people know it by
  };
  virtual std::vector<Action> actions() const = 0;

  // This action of the last decision was not carried out.
  virtual void undone(const std::string& /*text*/) {}

  virtual std::string summary() const = 0;               // one line
  virtual std::vector<std::string> reasons() const = 0;  // why nothing more was done
  virtual std::string json() const = 0;                  // {"event":"interval",…}
};

// Exit code.  Who may act holds take_manager_lock() from before `open`, which gives the hypervisor,
// to the end; neither is done for a replay.
using OpenHypervisor =
    std::function<base::Result<std::unique_ptr<manage::Hypervisor>>(const ManagerOptions&)>;
int run_manager(const std::string& program, const ManagerOptions& options, ManagerProgram& manager,
                const OpenHypervisor& open);

}  // namespace fairlead::apps
