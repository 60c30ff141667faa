// SPDX-License-Identifier: Apache-2.0
//
// `fairlead disk predict`: what other schedulers would have done on the disk that a trace is of.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/disk_fit.h"
#include "sim/disk_prediction.h"

namespace fairlead::apps {

struct PredictOptions {
  FitOptions model;
  std::string loop = "closed";
  sim::PredictionPlan plan;
};

void add_predict_options(Command command, PredictOptions& options);

int predict_disk(PredictOptions options);

}  // namespace fairlead::apps
