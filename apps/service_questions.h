// SPDX-License-Identifier: Apache-2.0
//
// `fairlead service stop` and `status`: questions to a running service.  Exit codes.
#pragma once

#include <string>

#include "apps/service_daemon.h"

namespace fairlead::apps {

int stop_service(const ServiceCommand& command);
int show_status(const ServiceCommand& command, bool watch);

// Hit ratio and totals of a report (JSON), in one line.
std::string summary_line(const std::string& report);

}  // namespace fairlead::apps
