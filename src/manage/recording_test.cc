// SPDX-License-Identifier: Apache-2.0
#include "manage/recording.h"

#include <optional>
#include <sstream>

#include <gtest/gtest.h>

namespace fairlead::manage {
namespace {

Sample rich_sample() {
  Sample sample;
  sample.at_ns = 123'456'789'012;
  sample.wall_s = 1'700'000'000;
  sample.memory = {.total_bytes = 1ULL << 40, .available_bytes = 12345, .pressure_some = 0.1};
  sample.pcpus = {{0, 1, 0, 0, 0}, {5, UINT64_MAX, 5, 1, 1}};
  GuestSample guest;
  guest.uuid = "u";
  guest.name = "a \"name\"\n";
  guest.run_id = 7;
  guest.state = GuestState::kPaused;
  guest.memory_node = 1;
  guest.vcpus = {{0, true, 99, 3, CpuSet::of({0, 1, 2, 9})}, {1, false, 0, std::nullopt, {}}};
  guest.process_ns = 101;
  guest.helpers_allowed = CpuSet::of({3});
  guest.memory = BalloonSample{.current_bytes = 1,
                               .maximum_bytes = 2,
                               .rss_bytes = 3,
                               .usable_bytes = 4,
                               .unused_bytes = 5,
                               .available_bytes = 6,
                               .swap_in_bytes = 7,
                               .major_faults = 8,
                               .updated_s = 9};
  sample.guests = {guest, {.uuid = "v", .name = "", .vcpus = {}, .memory = {}, .memory_node = {}}};
  return sample;
}

base::Result<std::uint64_t> replay_text(const std::string& text, std::vector<Sample>& seen,
                                        const std::vector<std::string>& actions = {}) {
  std::istringstream in(text);
  return replay(in, "vcpu", [&](const Sample& sample) {
    seen.push_back(sample);
    return actions;
  });
}

TEST(Recording, ASampleReadBackIsTheSame) {
  std::vector<Sample> seen;
  const std::string text = start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) +
                           "\n" + plan_line({"x"}) + "\n";
  const auto compared = replay_text(text, seen, {"x"});
  ASSERT_TRUE(compared) << compared.error().message();
  EXPECT_EQ(*compared, 1U);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0], rich_sample());
}

TEST(Recording, ADifferentPlanIsTold) {
  std::vector<Sample> seen;
  const std::string text = start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) +
                           "\n" + plan_line({"x"}) + "\n";
  const auto compared = replay_text(text, seen, {"y"});
  ASSERT_FALSE(compared);
  EXPECT_EQ(compared.error().message(), "line 3: the plan differs: recorded [x], now [y]");
}

TEST(Recording, TellsWhatWasNotDone) {
  std::istringstream in(start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) + "\n" +
                        plan_line({"x"}) + "\n" + undone_line("x") + "\n");
  std::string undone;
  const auto compared = replay(
      in, "vcpu", [](const Sample&) { return std::vector<std::string>{"x"}; },
      [&](const std::string& action) { undone += action; });
  ASSERT_TRUE(compared);
  EXPECT_EQ(undone, "x");
}

TEST(Recording, HoldsTheSettingsOfItsRun) {
  const std::string config = "[vcpu]\ntrigger = 0.07\n\n[guest.\"a \\\"b\\\"\"]\n";
  std::istringstream in(start_line("vcpu", config) + "\n" + sample_line(rich_sample()) + "\n");
  const auto recorded = recorded_config(in, "vcpu");
  ASSERT_TRUE(recorded) << recorded.error().message();
  EXPECT_EQ(*recorded, config);
  std::istringstream old(R"({"event":"start","version":1,"manager":"vcpu"})");
  EXPECT_EQ(recorded_config(old, "vcpu").value(), "") << "made before settings were recorded";
}

TEST(Recording, HasNoSettingsWhereItIsNone) {
  for (const std::string& text :
       std::vector<std::string>{"", "x", "[]", plan_line({}), start_line("memory", ""),
                                R"({"event":"start","version":2,"manager":"vcpu"})",
                                R"({"event":"start","version":1,"manager":"vcpu","config":7})"}) {
    std::istringstream in(text);
    EXPECT_FALSE(recorded_config(in, "vcpu")) << text;
  }
}

TEST(Recording, RefusesWhatIsNone) {
  std::vector<Sample> seen;
  for (const std::string& text : std::vector<std::string>{
           "", "x", "{}", "[]", "null", R"({"event":"plan","actions":[]})",
           R"({"event":"start","version":2,"manager":"vcpu"})",
           R"({"event":"start","version":1,"manager":"memory"})",
           start_line("vcpu", "[vcpu]\n") + "\n" + plan_line({}),
           start_line("vcpu", "[vcpu]\n") + "\n" + R"({"event":"sample"})",
           start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()).substr(0, 200)}) {
    EXPECT_FALSE(replay_text(text, seen)) << text;
  }
  EXPECT_TRUE(seen.empty());
}

}  // namespace
}  // namespace fairlead::manage
