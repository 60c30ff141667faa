// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_study.h"

namespace fairlead::sim {
namespace {

// The study's kernel is Linux 2.6.30 with HZ = 250; its CFQ sends one request at a time.
constexpr const char* kCats = "cats";
constexpr const char* kDeadline = "deadline";
constexpr const char* kCfq = "cfq:drain=0,think_tick=4ms";
constexpr std::int64_t kStudyTickNs = 4'000'000;

// Document 004, "Results", the first table and the second.
constexpr StudyRow kDirect[] = {
    {"CATS", kCats, {1.96, 37.35, 8.19}, {2.58, 53.79, 6.15}},
    {"deadline", kDeadline, {2.71, 59.87, 6.08}, {3.24, 78.27, 5.06}},
    {"CFQ", kCfq, {1.39, 124.70, 2.19}, {2.36, 117.13, 3.38}},
};
constexpr StudyRow kBuffered[] = {
    {"CATS", kCats, {6.53, 114.91, 12.00}, {7.15, 189.198, 11.44}},
    {"deadline", kDeadline, {7.41, 121.87, 12.04}, {7.60, 198.33, 11.68}},
    {"CFQ", kCfq, {7.80, 179.17, 9.08}, {8.57, 258.75, 8.82}},
};
constexpr StudyTable kTables[] = {
    {.name = "direct", .title = "O_DIRECT", .rows = kDirect, .direct = true},
    {.name = "buffered", .title = "non-O_DIRECT", .rows = kBuffered, .direct = false},
};

// The faults: k = 8 and timers that do not know it; and what the published throughputs of CATS and
// deadline lost for each request, 8 sectors / 6.15 - 8 / 8.19 and 8 / 5.06 - 8 / 6.08 ms, in the
// middle.
constexpr std::uint32_t kTimersTooFast = 8;
constexpr std::int64_t kExtraNs = 300'000;

}  // namespace

std::span<const StudyTable> study_tables() { return kTables; }

// Fitted to the drive's figures; docs/disk.md, "Document 004's study", says how.
StudyShape study_shape() {
  return {.files_alpha = 3,
          .files = 2260,
          .zipf = 1.08,
          .size_log_mean = 8,
          .size_log_sigma = 2,
          .sleep_alpha = 1.06,
          .sleep_least_ms = 2.15,
          .population = 319};
}

disk::DiskQueueing study_queueing() { return {.depth = 2, .tick_ns = kStudyTickNs}; }

disk::DiskQueueing faulty_queueing() {
  return {.depth = 2, .tick_ns = kStudyTickNs, .extra_ns = kExtraNs, .clock_scale = kTimersTooFast};
}

// 3 % of the files.
PageCacheShape study_page_cache() { return {.pages = 400}; }

}  // namespace fairlead::sim
