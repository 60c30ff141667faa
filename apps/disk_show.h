// SPDX-License-Identifier: Apache-2.0
//
// What `fairlead disk` prints, writes and draws.
//
// Thread-safety: none.  Functions that return int return exit codes.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "apps/disk_options.h"
#include "base/result.h"

namespace fairlead::apps {

int show_example(const std::string& output);
int show_schedulers(const std::string& output);
int show_drives(const std::string& output);

struct ComparedScheduler {
  std::string scheduler;
  std::vector<sim::DiskRun> runs;
};

void show_run(const DiskOptions& options, const Drive& drive, const sim::DiskRun& run);
void show_comparison(const DiskOptions& options, const DiskBench& bench,
                     const std::vector<ComparedScheduler>& compared);

// compare.csv and responses.svg, if there is gnuplot.
base::Status draw_comparison(const std::string& folder,
                             const std::vector<ComparedScheduler>& compared);

// Each request of a run as a line of CSV; an empty path: nowhere.
class DiskLog {
 public:
  static base::Result<DiskLog> open(const std::string& path);
  DiskLog(DiskLog&& other) noexcept;
  DiskLog& operator=(DiskLog&&) = delete;
  ~DiskLog();
  void add(const sim::DiskStory& story);
  base::Status close();

 private:
  DiskLog(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  std::FILE* file_;
};

}  // namespace fairlead::apps
