// SPDX-License-Identifier: Apache-2.0
//
// ScriptedHypervisor: does what a test tells it to, and writes down what it was asked.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "manage/hypervisor.h"

namespace fairlead::apps {

class ScriptedHypervisor : public manage::Hypervisor {
 public:
  // What the next calls of sample() fail with, in turn; kNotFound stands for "succeeds".
  std::deque<base::ErrorKind> samples;
  // What a call for this guest fails with.
  std::map<std::string, base::ErrorKind> refusals;
  manage::Sample now;
  std::vector<std::string> asked;

  base::Result<manage::Sample> sample() override {
    now.at_ns += 1'000'000'000;
    if (!samples.empty()) {
      const base::ErrorKind kind = samples.front();
      samples.pop_front();
      if (kind != base::ErrorKind::kNotFound) return base::fail(kind, "scripted");
    }
    return now;
  }
  base::Status pin(const std::string& uuid, std::uint32_t vcpu,
                   const manage::CpuSet& allowed) override {
    return ask(uuid, "pin " + uuid + " " + std::to_string(vcpu) + " to " + allowed.text());
  }
  base::Status set_memory(const std::string& uuid, std::uint64_t bytes) override {
    return ask(uuid, "memory " + uuid + " " + std::to_string(bytes));
  }
  base::Status set_stats_period(const std::string& uuid, std::uint32_t seconds) override {
    return ask(uuid, "period " + uuid + " " + std::to_string(seconds));
  }

 private:
  base::Status ask(const std::string& uuid, std::string what) {
    asked.push_back(std::move(what));
    if (const auto refusal = refusals.find(uuid); refusal != refusals.end()) {
      return base::fail(refusal->second, "refused to " + uuid);
    }
    return {};
  }
};

}  // namespace fairlead::apps
