// SPDX-License-Identifier: Apache-2.0
//
// Document 001's cases: what docs/managers.md promises of each, and how the simple policies do.
#include "sim/document_cases.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "sim/document_report.h"

namespace fairlead::sim {
namespace {

constexpr std::uint64_t kSeed = 1;

const CpuOutcome& of(const std::vector<CpuOutcome>& outcomes, std::string_view policy) {
  return *std::ranges::find(outcomes, policy, &CpuOutcome::policy);
}

TEST(CpuCases, AreBalancedInTimeWithTheFewestMovesAndOne) {
  for (const CpuCase& one : cpu_cases()) {
    for (std::uint64_t seed = kSeed; seed <= 5; ++seed) {
      SCOPED_TRACE(std::string(one.name) + ", seed " + std::to_string(seed));
      const auto outcomes = run(one, seed);
      const CpuOutcome& ours = of(outcomes, "fairlead");
      EXPECT_LE(ours.moves, one.most_pins);
      ASSERT_TRUE(ours.intervals_to_balance);
      EXPECT_LE(*ours.intervals_to_balance, one.most_intervals);
      EXPECT_LE(ours.deviation, 0.05);
      EXPECT_EQ(ours.jitter_moves, 0U) << "moved in 50 intervals of jitter";
      for (std::uint32_t i = 0; i < kIdlePart; ++i) EXPECT_EQ(ours.intervals[i].pins, 0U);
    }
  }
}

// Nobody balances a case sooner, nor with fewer pins but at the price of more waiting.
TEST(CpuCases, NoSimplePolicyDoesBetter) {
  for (const CpuCase& one : cpu_cases()) {
    SCOPED_TRACE(one.name);
    const auto outcomes = run(one, kSeed);
    const CpuOutcome& ours = of(outcomes, "fairlead");
    for (const CpuOutcome& other : outcomes) {
      SCOPED_TRACE(other.policy);
      if (!other.intervals_to_balance) continue;
      EXPECT_TRUE(ours.moves <= other.moves || ours.waiting < 0.99 * other.waiting);
      EXPECT_LE(*ours.intervals_to_balance, *other.intervals_to_balance);
      EXPECT_LE(ours.waiting, other.waiting * 1.05 + 0.01);
    }
  }
}

TEST(MemoryCases, KeepGuestsAliveAndTheHostItsReserve) {
  for (const MemoryCase& one : memory_cases()) {
    for (std::uint64_t seed = kSeed; seed <= 3; ++seed) {
      SCOPED_TRACE(std::string(one.name) + ", seed " + std::to_string(seed));
      const auto outcomes = run(one, seed);
      const MemoryOutcome& ours = outcomes[0];
      ASSERT_EQ(ours.policy, "fairlead");
      EXPECT_EQ(ours.killed_below_maximum, 0U);
      const double host_mib = static_cast<double>(one.host_bytes) / manage::kMiB;
      EXPECT_GE(ours.least_available_mib, std::max(200.0, host_mib / 20));
      EXPECT_LE(ours.reversals * 10, one.intervals);
      // Where memory is short, nobody can have 100 MiB to spare.
      if (one.name != "memory-scarce") {
        EXPECT_GE(ours.comfortable, 0.95);
      }
    }
  }
}

TEST(MemoryCases, EachSimplePolicyBreaksOne) {
  std::set<std::string_view> broken;
  for (const MemoryCase& one : memory_cases()) {
    for (const MemoryOutcome& outcome : run(one, kSeed)) {
      const double host_mib = static_cast<double>(one.host_bytes) / manage::kMiB;
      if (outcome.killed_below_maximum > 0 ||
          outcome.least_available_mib < std::max(200.0, host_mib / 20)) {
        broken.insert(outcome.policy);
      }
    }
  }
  EXPECT_EQ(broken, (std::set<std::string_view>{"fixed deficit", "proportional"}));
}

template <typename Cases>
void expect_same_bytes(const Cases& cases, std::set<std::string>& names) {
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    EXPECT_TRUE(names.insert(std::string(one.name)).second);
    const auto first = run(one, 7);
    EXPECT_EQ(samples_tsv(first), samples_tsv(run(one, 7)));
    EXPECT_NE(samples_tsv(first), samples_tsv(run(one, 8))) << "the seed changes nothing";
    EXPECT_EQ(gnuplot_script(one, first), gnuplot_script(one, run(one, 7)));
  }
}

TEST(DocumentCases, TheSameSeedIsTheSameBytes) {
  std::set<std::string> names;
  expect_same_bytes(cpu_cases(), names);
  expect_same_bytes(memory_cases(), names);
}

template <typename Outcome>
void expect_whole_table(const std::vector<Outcome>& outcomes, std::size_t intervals) {
  std::istringstream text(samples_tsv(outcomes));
  std::string line;
  std::getline(text, line);
  const auto columns = std::ranges::count(line, '\t');
  std::size_t rows = 0;
  std::size_t empty = 0;
  while (std::getline(text, line)) {
    if (line.empty()) {
      ++empty;
      continue;
    }
    ++rows;
    EXPECT_EQ(std::ranges::count(line, '\t'), columns) << line;
    EXPECT_EQ(line.find("nan"), std::string::npos) << line;
  }
  EXPECT_EQ(rows, intervals * outcomes.size());
  EXPECT_EQ(empty, 2 * (outcomes.size() - 1)) << "gnuplot's blocks";
}

TEST(DocumentCases, TablesHaveARowForEachIntervalOfEachPolicy) {
  for (const CpuCase& one : cpu_cases()) {
    expect_whole_table(run(one, kSeed), kIdlePart + kSteadyPart + kJitterPart);
  }
  for (const MemoryCase& one : memory_cases()) {
    expect_whole_table(run(one, kSeed), one.intervals);
  }
}

}  // namespace
}  // namespace fairlead::sim
