// SPDX-License-Identifier: Apache-2.0
//
// Loads: the work that a guest does on command, in processes of their own.
//
//     agent ── fork ─► cpu thread 1 …   each counts its rounds in a shared page
//                 └──► memory load      oom_score_adj 1000: the kernel kills it, not the agent
//
// Thread-safety: none; the agent's one thread.  Ownership: the children; stop() ends them all.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "guest/agent_protocol.h"
#include "guest/load_shape.h"

namespace fairlead::guest {

inline constexpr std::size_t kMostLoads = 128;

// One child's progress, written by it, read by the agent.
struct LoadProgress {
  std::atomic<std::uint64_t> rounds;
  std::atomic<std::uint64_t> held_bytes;
  std::atomic<std::uint64_t> peak_bytes;
};

class Loads {
 public:
  Loads();
  Loads(const Loads&) = delete;
  Loads& operator=(const Loads&) = delete;

  // Starts the children of one load; nullptr, or what is wrong.
  const char* start(const LoadShape& shape);
  void stop();
  // A process that waitpid() took; strangers, too.
  void took(pid_t pid);
  void fill(Report& report) const;

 private:
  struct Child {
    pid_t pid = 0;
  };
  const char* spawn(const LoadShape& shape, std::uint64_t thread);
  void ended(std::size_t slot);

  LoadProgress* progress_ = nullptr;  // kMostLoads of them
  Child children_[kMostLoads];
  std::uint64_t past_rounds_ = 0;  // of children that are gone
  std::uint64_t past_peak_ = 0;
  std::uint64_t ended_ = 0;
};

// What the children run; they do not return before the load's end.
void run_cpu_load(const CpuLoad& load, std::uint64_t thread, LoadProgress& progress);
void run_memory_load(const MemoryLoad& load, LoadProgress& progress);

}  // namespace fairlead::guest
