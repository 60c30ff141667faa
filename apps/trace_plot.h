// SPDX-License-Identifier: Apache-2.0
//
// A trace as pictures: stages.svg (where the time of an I/O goes, and how it is distributed) and
// seeks.svg (which sectors each device was asked for, over time), each with its data (.tsv) and its
// script (.gnuplot) beside it.
//
// Thread-safety: none.  Errors: kIo and others of the files, and of gnuplot.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "trace/report.h"

namespace fairlead::apps {

// False: there is no gnuplot; data and scripts are there.
base::Result<bool> plot_trace(const std::filesystem::path& folder, const trace::Trace& trace,
                              const trace::Report& report);

}  // namespace fairlead::apps
