// SPDX-License-Identifier: Apache-2.0
//
// `fairlead disk fit`: the figures of a drive from a trace, and how well they fit.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/command_line.h"
#include "apps/drive_file.h"
#include "base/result.h"
#include "disk/drive_fit.h"
#include "disk/request_trace.h"

namespace fairlead::apps {

struct FitOptions {
  std::string trace;
  std::string model = "linear";
  std::string like;                      // empty: one that is built in, of the model
  std::optional<std::uint64_t> sectors;  // of the drive
  bool fifo = false;
  std::string to;
  bool force = false;
  std::string output = "text";
};

// What fit and predict share.
void add_model_options(Command command, FitOptions& options);
void add_fit_options(Command command, FitOptions& options);

// The drive from which everything is taken that a trace does not tell; the trace fits on it.
base::Result<Drive> drive_like(const FitOptions& options, const disk::RequestTrace& trace);

// "linear, fitted to 4000 transfers of x.csv, like cheetah-15k4"
std::string about_fit(const disk::DriveFit& fit, const std::string& trace, const Drive& like);

// "RMS 0.61 ms, demerit 2.1 %, …"
std::string error_text(const disk::FitError& error);

int fit_disk(const FitOptions& options);

}  // namespace fairlead::apps
