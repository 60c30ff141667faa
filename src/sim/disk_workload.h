// SPDX-License-Identifier: Apache-2.0
//
// Who reads and writes a simulated disk: processes that ask, wait for the answer and think, or
// arrivals that come whatever the disk does.
//
//     StudyWorkload    document 004's: each process chooses a number of files (Pareto), files by
//                      Zipf, reads them page by page and sleeps (Pareto) after each page
//     RandomWorkload   each process asks anywhere, or onwards; or arrivals, Poisson
//     StarvingWorkload one reader far away, all others near each other and never at rest
//     ReplayWorkload   a trace's (replay_workload.h)
//
// Thread-safety: none.  The same seed gives the same asks to the same process, whatever the others
// do, so schedulers are compared on the same work.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "disk/io_request.h"
#include "disk/zipf.h"

namespace fairlead::sim {

struct DiskAsk {
  std::int64_t after_ns = 0;  // since the process' last answer; of an arrival: since the last one
  disk::IoRequest request;
  std::uint64_t left_sectors = 0;  // of what is read in one go, with the request's; 0: unknown
};

class DiskWorkload {
 public:
  virtual ~DiskWorkload() = default;
  virtual std::uint32_t processes() const noexcept = 0;
  virtual bool open() const noexcept { return false; }  // arrivals
  // Nothing: the process has ended.
  virtual std::optional<DiskAsk> next(std::uint32_t process) = 0;
};

// Constants that the document does not give are SURGE's (Barford and Crovella, SIGMETRICS 1998)
// where it has them, else ours, and all are parameters.
struct StudyShape {
  std::uint32_t processes = 64;
  double files_alpha = 2.43;  // files in a row: Pareto, SURGE's embedded references
  double files_least = 1;
  std::uint32_t files = 2000;  // L; not published
  double zipf = 1;
  double size_log_mean = 9.357;  // bytes: lognormal, SURGE's body
  double size_log_sigma = 1.318;
  double sleep_alpha = 1.5;       // SURGE's OFF times
  double sleep_least_ms = 8;      // not published
  double sleep_most_ms = 10'000;  // ours: a mean of few samples has to exist
  std::uint32_t page_sectors = 8;
  std::uint64_t sectors = 143'374'738;  // files are spread over these
  std::uint64_t population = 1;         // seed of the files' sizes and places
  std::uint64_t seed = 1;               // of what the processes do
};

class StudyWorkload final : public DiskWorkload {
 public:
  explicit StudyWorkload(const StudyShape& shape);  // one that fits()
  static bool fits(const StudyShape& shape);        // the files on the disk
  std::uint32_t processes() const noexcept override { return shape_.processes; }
  std::optional<DiskAsk> next(std::uint32_t process) override;

 private:
  struct File {
    std::uint64_t sector;
    std::uint32_t pages;
  };
  struct Process {
    base::Random random;
    std::uint64_t files_left = 0;
    std::uint32_t file = 0;
    std::uint32_t page = 0;
    bool first = true;
  };

  void place_files();

  StudyShape shape_;
  disk::Zipf popularity_;
  std::vector<File> files_;
  std::vector<Process> processes_;
};

struct RandomShape {
  std::uint32_t processes = 16;
  double arrivals_per_second = 0;  // more than 0: arrivals, by as many owners
  double think_ms = 0;             // exponential
  double onwards = 0;              // share of requests that continue the process' last one
  double writes = 0;               // share
  std::uint32_t request_sectors = 8;
  std::uint64_t sectors = 143'374'738;
  std::uint64_t seed = 1;
};

class RandomWorkload final : public DiskWorkload {
 public:
  explicit RandomWorkload(const RandomShape& shape);
  std::uint32_t processes() const noexcept override { return shape_.processes; }
  bool open() const noexcept override { return shape_.arrivals_per_second > 0; }
  std::optional<DiskAsk> next(std::uint32_t process) override;

 private:
  struct Process {
    base::Random random;
    std::uint64_t next_sector = 0;
  };

  RandomShape shape_;
  std::vector<Process> processes_;
};

class StarvingWorkload final : public DiskWorkload {
 public:
  explicit StarvingWorkload(const RandomShape& shape) : shape_(shape), random_(shape.seed) {}
  std::uint32_t processes() const noexcept override { return shape_.processes; }
  std::optional<DiskAsk> next(std::uint32_t process) override;

 private:
  RandomShape shape_;
  base::Random random_;
};

}  // namespace fairlead::sim
