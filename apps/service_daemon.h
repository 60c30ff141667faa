// SPDX-License-Identifier: Apache-2.0
//
// `fairlead service start`: from options to a serving daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "block/service.h"

namespace fairlead::apps {

struct ChosenK {
  double k;
  bool locked;
};

struct ServiceCommand {
  std::string name = "block";
  std::string image = "disk1.img";
  std::optional<std::uint64_t> cache_bytes;  // none (auto): 1 % of the image
  block::ServiceLimits limits;
  block::ThrottleOptions throttle;  // if its drive has a name
  std::optional<std::string> scheduler;
  std::optional<std::uint32_t> disk_depth;
  std::optional<ChosenK> k;
  std::string disk_log;  // empty: none
  bool foreground = false;
  bool sandbox = true;
  std::string output = "text";
};

// In the starter this returns only on failure; else it is the daemon's whole life.  Exit code.
int start_service(ServiceCommand command);

}  // namespace fairlead::apps
