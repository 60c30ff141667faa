// SPDX-License-Identifier: Apache-2.0
//
// The disk study of document 004: what it published ("Results", O_DIRECT and non-O_DIRECT), and the
// constants with which a simulated machine comes near it.  The document gives neither its
// workload's constants nor its drive's overheads.
//
// Thread-safety: constants and pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "disk/modelled_disk.h"
#include "sim/disk_workload.h"
#include "sim/page_cache.h"

namespace fairlead::sim {

struct StudyFigures {
  double service_ms;
  double response_ms;
  double sectors_per_ms;
};

struct StudyRow {
  const char* name;         // as the document has it
  const char* scheduler;    // as disk::make_scheduler() has it
  StudyFigures drive;       // "Physical"
  StudyFigures prediction;  // "VPT (k=8)": the same drive, as a throttled virtual machine saw it
};

struct StudyTable {
  const char* name;
  const char* title;
  std::span<const StudyRow> rows;
  bool direct;  // O_DIRECT: no page cache
};

// O_DIRECT first.
std::span<const StudyTable> study_tables();

// The drive that was fitted (drives/*.toml), and the constants.
inline constexpr const char* kStudyDrive = "cheetah-15k4-fitted";
StudyShape study_shape();
// On the drive, and in the virtual machine with the two suspected faults of its throttle.
disk::DiskQueueing study_queueing();
disk::DiskQueueing faulty_queueing();
// Of both, without O_DIRECT.
PageCacheShape study_page_cache();

}  // namespace fairlead::sim
