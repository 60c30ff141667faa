// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/check.h"

namespace fairlead::sim {
namespace {

constexpr double kNsPerMs = 1e6;
constexpr double kNsPerSecond = 1e9;
constexpr double kMostPages = 1e6;  // of a file
constexpr double kMostFilesInARow = 1e6;
// Sizes and places are of other chance than the processes.
constexpr std::uint64_t kSizeSeed = 0x73697a65;
constexpr std::uint64_t kGapSeed = 0x67617073;

double pareto(base::Random& random, double alpha, double least) {
  return least * std::pow(1 - random.unit(), -1 / alpha);
}

double exponential(base::Random& random, double mean) { return -mean * std::log1p(-random.unit()); }

// Box and Muller 1958.
double normal(base::Random& random) {
  const double radius = std::sqrt(-2 * std::log1p(-random.unit()));
  return radius * std::cos(2 * std::numbers::pi * random.unit());
}

std::vector<std::uint32_t> pages_of_files(const StudyShape& shape) {
  base::Random random(shape.population ^ kSizeSeed);
  std::vector<std::uint32_t> all(shape.files);
  for (std::uint32_t& one : all) {
    const double bytes = std::exp(shape.size_log_mean + shape.size_log_sigma * normal(random));
    const double pages = std::ceil(bytes / (double{disk::kSectorBytes} * shape.page_sectors));
    one = static_cast<std::uint32_t>(std::clamp(pages, 1.0, kMostPages));
  }
  return all;
}

std::uint64_t sectors_of(const StudyShape& shape, const std::vector<std::uint32_t>& pages) {
  return std::accumulate(pages.begin(), pages.end(), std::uint64_t{0}) * shape.page_sectors;
}

}  // namespace

StudyWorkload::StudyWorkload(const StudyShape& shape)
    : shape_(shape), popularity_(shape.files, shape.zipf) {
  base::Random random(shape.seed);
  processes_.reserve(shape.processes);
  for (std::uint32_t i = 0; i < shape.processes; ++i)
    processes_.push_back({.random = random.fork()});
  place_files();
}

bool StudyWorkload::fits(const StudyShape& shape) {
  const auto pages = pages_of_files(shape);
  return sectors_of(shape, pages) <= shape.sectors;
}

// In an order of chance, with gaps of chance between them: none is bound to lie near its rank's
// neighbours.
void StudyWorkload::place_files() {
  base::Random random(shape_.population ^ kGapSeed);
  const auto pages = pages_of_files(shape_);
  const std::uint64_t used = sectors_of(shape_, pages);
  FL_CHECK(used <= shape_.sectors);
  std::vector<std::uint64_t> gaps(shape_.files);
  for (std::uint64_t& gap : gaps) gap = random.below(shape_.sectors - used + 1);
  std::ranges::sort(gaps);
  const disk::Scatter scatter(shape_.files, shape_.population);
  files_.resize(shape_.files);
  std::uint64_t before = 0;
  for (std::uint32_t place = 0; place < shape_.files; ++place) {
    const std::uint64_t file = scatter(place);
    files_[file] = {gaps[place] + before, pages[file]};
    before += std::uint64_t{pages[file]} * shape_.page_sectors;
  }
}

std::optional<DiskAsk> StudyWorkload::next(std::uint32_t number) {
  Process& process = processes_[number];
  if (process.first || process.page == files_[process.file].pages) {
    if (process.files_left == 0) {
      process.files_left = static_cast<std::uint64_t>(std::min(
          pareto(process.random, shape_.files_alpha, shape_.files_least), kMostFilesInARow));
    }
    --process.files_left;
    process.file = static_cast<std::uint32_t>(popularity_.rank(process.random));
    process.page = 0;
  }
  const double sleep_ms = std::min(
      pareto(process.random, shape_.sleep_alpha, shape_.sleep_least_ms), shape_.sleep_most_ms);
  // Nobody starts at the same moment.
  const double share = process.first ? process.random.unit() : 1;
  process.first = false;
  const File& file = files_[process.file];
  const std::uint64_t left = std::uint64_t{file.pages - process.page} * shape_.page_sectors;
  const std::uint64_t sector = file.sector + std::uint64_t{process.page++} * shape_.page_sectors;
  return DiskAsk{.after_ns = std::llround(share * sleep_ms * kNsPerMs),
                 .request = {.sector = sector,
                             .sector_count = shape_.page_sectors,
                             .op = disk::IoOp::kRead,
                             .owner = number},
                 .left_sectors = left};
}

RandomWorkload::RandomWorkload(const RandomShape& shape) : shape_(shape) {
  base::Random random(shape.seed);
  processes_.reserve(shape.processes);
  for (std::uint32_t i = 0; i < shape.processes; ++i)
    processes_.push_back({.random = random.fork()});
}

std::optional<DiskAsk> RandomWorkload::next(std::uint32_t number) {
  Process& process = processes_[number];
  base::Random& random = process.random;
  const std::uint64_t last = shape_.sectors - shape_.request_sectors;
  const bool onwards = random.unit() < shape_.onwards && process.next_sector <= last;
  const std::uint64_t anywhere = random.below(last / shape_.request_sectors + 1);
  DiskAsk ask;
  ask.request.sector = onwards ? process.next_sector : anywhere * shape_.request_sectors;
  ask.request.sector_count = shape_.request_sectors;
  ask.request.op = random.unit() < shape_.writes ? disk::IoOp::kWrite : disk::IoOp::kRead;
  ask.request.owner = number;
  process.next_sector = ask.request.sector + shape_.request_sectors;
  const double mean_ns = open() ? kNsPerSecond * shape_.processes / shape_.arrivals_per_second
                                : shape_.think_ms * kNsPerMs;
  ask.after_ns = std::llround(exponential(random, mean_ns));
  return ask;
}

// The first in the last tenth of the disk, the others in its first hundredth.
std::optional<DiskAsk> StarvingWorkload::next(std::uint32_t number) {
  const std::uint64_t last = shape_.sectors - shape_.request_sectors;
  DiskAsk ask;
  ask.request.sector =
      number == 0 ? last - random_.below(last / 10 + 1) : random_.below(last / 100 + 1);
  ask.request.sector_count = shape_.request_sectors;
  ask.request.owner = number;
  return ask;
}

}  // namespace fairlead::sim
