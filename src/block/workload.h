// SPDX-License-Identifier: Apache-2.0
//
// Workload: what the client program of document 000 (3-3) does: threads that read randomly chosen
// sectors, one blocking request at a time each, and what came of it.
//
// The n-th request's sector is a function of the seed and n alone, so a run can be repeated with
// any number of threads.
//
// Thread-safety: run() starts its own threads and ends them.
// Ownership: Records owns the memory of all answers.  Times in nanoseconds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/histogram.h"
#include "base/result.h"
#include "block/client.h"

namespace fairlead::block {

struct Pattern {
  enum class Kind : std::uint8_t { kUniform, kZipf, kSequential } kind = Kind::kUniform;
  double skew = 0;  // of Zipf
};

// "uniform", "zipf:S" with 0 ≤ S ≤ 10, "seq".
base::Result<Pattern> parse_pattern(std::string_view text);

struct WorkloadOptions {
  std::uint32_t threads = 1;
  std::uint64_t requests = 0;    // in all; 0: until the duration is over
  std::int64_t duration_ns = 0;  // 0: until the requests are done
  Pattern pattern;
  std::uint64_t seed = 1;
  bool keep_records = true;  // the data of every answer, for the two files
};

// Sector numbers and their 512 bytes, in the order of the requests.
class Records {
 public:
  Records() = default;
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  // Room for `count` answers, touched now so that no page fault falls into a measured request.
  // kLimit if that is more memory than is to be had.
  base::Status reserve(std::uint64_t count);

  std::uint64_t* sectors() const noexcept { return sectors_; }
  std::byte* data_of(std::uint64_t n) const noexcept { return data_ + n * 512; }
  std::uint64_t capacity() const noexcept { return capacity_; }

  // Whether write() may make its two files here, found out before anything is measured.  Leaves
  // nothing, so that a run that is interrupted leaves nothing either.
  static base::Status try_files(const std::string& suffix);

  // Writes sectors.SUFFIX (decimal, one a line) and read.SUFFIX (512 bytes each) of the first
  // `count`; on failure neither is left.  Files of these names, of an earlier process of the same
  // number, are replaced; a symbolic link is refused.
  base::Status write(std::uint64_t count, const std::string& suffix) const;

 private:
  std::uint64_t* sectors_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint64_t capacity_ = 0;
};

struct WorkloadResult {
  std::uint64_t requests = 0;  // answered
  std::int64_t wall_ns = 0;    // from the first request's start to the last one's end
  base::Summary latency;       // exact count, mean, deviation, extremes
  base::Histogram histogram;
  double per_second() const noexcept {
    return wall_ns == 0 ? 0 : static_cast<double>(requests) * 1e9 / static_cast<double>(wall_ns);
  }
};

// `done` counts answers while it runs, for a progress bar.  Stops at the first failed read.
base::Result<WorkloadResult> run(Client& client, const abi::BlockGeometry& geometry,
                                 const WorkloadOptions& options, Records& records,
                                 std::atomic<std::uint64_t>& done);

// max|average|minimum|stddev|requests_per_second, as document 000 (4) has it.
std::string result_line(const WorkloadResult& result);

}  // namespace fairlead::block
