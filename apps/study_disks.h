// SPDX-License-Identifier: Apache-2.0
//
// Document 004's disk study, simulated: its schedulers on its drive, and in a virtual machine whose
// throttle has the two suspected faults; beside the figures that it published (sim/disk_study.h).
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sim/disk_study.h"
#include "sim/disk_world.h"

namespace fairlead::apps {

struct DiskStudyPlan {
  std::uint64_t requests = 50'000;  // the document's
  std::uint64_t warm_up = 1'000;
  std::uint32_t rounds = 5;  // runs of each, with other chance
  std::uint64_t seed = 1;    // of the first
  std::function<void(const std::string&)> on_step{};
};

struct DiskStudyRow {
  sim::StudyRow published;
  std::vector<sim::DiskRun> drive;
  std::vector<sim::DiskRun> faulty;
};

struct DiskStudyTable {
  sim::StudyTable published;
  std::vector<DiskStudyRow> rows;
};

base::Result<DiskStudyTable> measure(const sim::StudyTable& table, const DiskStudyPlan& plan);

std::string table_text(const DiskStudyTable& table);
std::string table_csv(const DiskStudyTable& table);
// Draws NAME.csv as NAME.svg: throughput.
std::string table_script(const sim::StudyTable& table);
// One block for each scheduler on the drive, then for each in the virtual machine.
std::string responses_data(const DiskStudyTable& table);
// Draws NAME-responses.dat as NAME-responses.svg.
std::string responses_script(const sim::StudyTable& table);
void add_table(base::JsonWriter& json, const DiskStudyTable& table);

// CATS beside itself with weights of age, a cap on hits and a limit of age, on the drive, O_DIRECT.
struct AgedRow {
  const char* scheduler;
  std::vector<sim::DiskRun> runs;
};
base::Result<std::vector<AgedRow>> measure_aged(const DiskStudyPlan& plan);
std::string aged_text(const std::vector<AgedRow>& rows);
void add_aged(base::JsonWriter& json, const std::vector<AgedRow>& rows);

}  // namespace fairlead::apps
