// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "manage/recording.h"

namespace fairlead::apps {
namespace {

using manage::CpuSet;
using manage::CpuSettings;
using manage::kMiB;
using manage::MemorySettings;

template <typename Settings>
std::string refusal(const std::string& text) {
  Settings settings;
  const auto parsed = parse_config(text, "x.toml", settings);
  return parsed ? "" : parsed.error().message();
}

CpuSettings unusual_cpu() {
  CpuSettings settings{.pcpus = CpuSet::of({0, 2, 3}),
                       .trigger = 0.1 + 0.2,  // no short decimal
                       .target = 1.0 / 3,
                       .idle_points = 0.02,
                       .best_factor = 1.25,
                       .sibling_capacity = 0.7,
                       .remote_gain = 0.5,
                       .persistence = 4,
                       .cooldown = 9,
                       .rules = {}};
  settings.rules["db \"1\"\\\n"] = {.leave_alone = true, .allowed = {}};
  settings.rules["web.a"] = {.leave_alone = false, .allowed = CpuSet::of({2})};
  return settings;
}

MemorySettings unusual_memory() {
  MemorySettings settings;
  settings.pool_bytes = 1234567891;  // no whole number of MiB
  settings.reserve_bytes = 300 * kMiB;
  settings.room_bytes = 1;
  settings.min_bytes = 128 * kMiB;
  settings.max_bytes = 4096 * kMiB;
  settings.growth_factor = 1.7;
  settings.idle_tax = 0.5;
  settings.stuck_intervals = 5;
  settings.stats_period_s = 3;
  settings.rules["a"] = {
      .leave_alone = true, .min_bytes = 5 * kMiB, .max_bytes = 6 * kMiB, .shares = 250.5};
  return settings;
}

TEST(ManagerConfig, WhatIsPrintedGivesTheSameSettings) {
  CpuSettings cpu;
  const std::string cpu_text = print_config(unusual_cpu());
  const auto cpu_read = parse_config(cpu_text, "x", cpu);
  ASSERT_TRUE(cpu_read) << cpu_read.error().message() << "\n" << cpu_text;
  EXPECT_EQ(cpu.trigger, unusual_cpu().trigger) << "to the last bit";
  EXPECT_EQ(cpu.target, unusual_cpu().target);
  EXPECT_EQ(cpu.pcpus, unusual_cpu().pcpus);
  EXPECT_TRUE(cpu.rules.at("db \"1\"\\\n").leave_alone);
  EXPECT_EQ(cpu.rules.at("web.a").allowed, CpuSet::of({2}));
  EXPECT_EQ(print_config(cpu), cpu_text);

  MemorySettings memory;
  const std::string memory_text = print_config(unusual_memory());
  const auto memory_read = parse_config(memory_text, "x", memory);
  ASSERT_TRUE(memory_read) << memory_read.error().message() << "\n" << memory_text;
  EXPECT_EQ(memory.pool_bytes, 1234567891U);
  EXPECT_EQ(memory.room_bytes, 1U);
  EXPECT_EQ(memory.rules.at("a").shares, 250.5);
  EXPECT_EQ(print_config(memory), memory_text);
}

TEST(ManagerConfig, OneFileServesBothManagers) {
  const std::string text =
      "[vcpu]\ntrigger = 0.2\n[memory]\npool_mib = 100\n"
      "[guest.\"a\"]\nleave_alone = true\npcpus = \"1\"\nmin_mib = 64\nshares = 10\n";
  CpuSettings cpu;
  ASSERT_TRUE(parse_config(text, "x", cpu));
  EXPECT_EQ(cpu.trigger, 0.2);
  EXPECT_TRUE(cpu.rules.at("a").leave_alone);
  MemorySettings memory;
  ASSERT_TRUE(parse_config(text, "x", memory));
  EXPECT_EQ(memory.pool_bytes, 100 * kMiB);
  EXPECT_EQ(memory.rules.at("a").min_bytes, 64 * kMiB);
}

TEST(ManagerConfig, AnErrorNamesTheLineAndWhatIsExpected) {
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\n\ntriger = 1\n"),
            "x.toml line 3: [vcpu] has no key 'triger'");
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\ntrigger = -1\n"),
            "x.toml line 2: trigger: a number from 0 to 10 is expected");
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\ntrigger = nan\n"),
            "x.toml line 2: trigger: a number from 0 to 10 is expected");
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\npersistence = 1.5\n"),
            "x.toml line 2: persistence: a whole number from 0 to 1000000 is expected");
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\npcpus = 3\n"),
            "x.toml line 2: pcpus: a text like \"0-3,8\" is expected");
  EXPECT_EQ(refusal<CpuSettings>("[vcpus]\n"),
            "x.toml line 1: 'vcpus' is none of [vcpu], [memory], [guest.\"NAME\"]");
  EXPECT_EQ(refusal<CpuSettings>("trigger = 1\n"),
            "x.toml line 1: 'trigger' is none of [vcpu], [memory], [guest.\"NAME\"]");
  EXPECT_EQ(refusal<MemorySettings>("[memory]\npool_mib = \"all\"\n"),
            "x.toml line 2: pool_mib: a number of MiB is expected");
  EXPECT_EQ(refusal<MemorySettings>("[memory]\nidle_tax = 1\n"),
            "x.toml line 2: idle_tax: a number from 0 to 0.99 is expected");
  EXPECT_EQ(refusal<MemorySettings>("[guest.a]\nshares = true\n"),
            "x.toml line 2: shares: a number from 1 to 1000000 is expected");
  EXPECT_EQ(refusal<MemorySettings>("[guest]\na = 1\n"),
            "x.toml line 2: [guest.\"NAME\"] is expected");
  EXPECT_TRUE(refusal<MemorySettings>("[memory\n").starts_with("x.toml line 1: "));
}

TEST(ManagerConfig, NoMessageSteersATerminal) {
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\n\"a\\u001b[2J\\n\" = 1\n"),
            "x.toml line 2: [vcpu] has no key 'a?[2J?'");
  EXPECT_EQ(refusal<CpuSettings>("[\"a\\u001b[2J\"]\n"),
            "x.toml line 1: 'a?[2J' is none of [vcpu], [memory], [guest.\"NAME\"]");
  EXPECT_EQ(refusal<CpuSettings>("[guest.\"a\\u001b[2J\"]\nx = 1\n"),
            "x.toml line 2: [guest.'a?[2J'] has no key 'x'");
  EXPECT_EQ(refusal<CpuSettings>("[vcpu]\npcpus = \"\\u001b[2J\"\n"),
            "x.toml line 2: pcpus: '?[2J' is no list of processors like 0-3,8");
}

TEST(ManagerConfig, ARuleWithoutAProcessorIsIdle) {
  CpuSettings settings;
  const std::vector<manage::PcpuSample> online = {{.cpu = 0}, {.cpu = 1}};
  settings.rules["all"].leave_alone = false;
  settings.rules["good"].allowed = manage::CpuSet::of({1, 99});
  EXPECT_TRUE(idle_rules(settings, online).empty());
  settings.rules["bad\n"].allowed = manage::CpuSet::of({98, 99});
  settings.rules["left"] = {.leave_alone = true, .allowed = manage::CpuSet::of({99})};
  EXPECT_EQ(
      idle_rules(settings, online),
      std::vector<std::string>{"[guest.'bad?'] pcpus = \"98-99\": none of them is managed and "
                               "online, so the guest is left as it is"});
  settings.pcpus = manage::CpuSet::of({0});
  EXPECT_EQ(idle_rules(settings, online).size(), 2U) << "1 is not managed";
}

template <typename... Settings>
std::string contradiction(const Settings&... settings) {
  const auto checked = check_settings(settings...);
  return checked ? "" : checked.error().message();
}

TEST(ManagerConfig, ALeastSizeAboveTheGreatestIsAContradiction) {
  MemorySettings settings;
  EXPECT_EQ(contradiction(settings), "");
  settings.min_bytes = 300 * kMiB;
  settings.max_bytes = 300 * kMiB;
  EXPECT_EQ(contradiction(settings), "");
  settings.max_bytes = 200 * kMiB;
  EXPECT_EQ(contradiction(settings),
            "each guest would keep 300 MiB (--min) and get at most 200 MiB (--max)");
  settings.max_bytes = 400 * kMiB;
  settings.rules["a\n"].min_bytes = 401 * kMiB;
  EXPECT_EQ(contradiction(settings), "guest 'a?' would keep 401 MiB and get at most 400 MiB");
  settings.rules["a\n"].max_bytes = 402 * kMiB;
  EXPECT_EQ(contradiction(settings), "") << "a guest's own rule counts";
  settings.rules["a\n"].max_bytes = 100 * kMiB;
  EXPECT_EQ(contradiction(settings), "guest 'a?' would keep 401 MiB and get at most 100 MiB");
  settings.rules["a\n"].min_bytes = 0;
  EXPECT_EQ(contradiction(settings), "") << "who has only a greatest size may be smaller than all";
}

TEST(ManagerConfig, ProcessorsOfWhichNoneIsOnlineAreAContradiction) {
  const std::vector<manage::PcpuSample> online = {{.cpu = 0}, {.cpu = 2}};
  CpuSettings settings;
  EXPECT_EQ(contradiction(settings, online), "");
  settings.pcpus = CpuSet::of({1, 77});
  EXPECT_EQ(contradiction(settings, online), "none of the processors 1,77 is online");
  settings.pcpus.add(2);
  EXPECT_EQ(contradiction(settings, online), "");
}

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string name = testing::TempDir() + "fl-config-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~Folder() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }

  std::string folder_;
};

using LoadConfig = Folder;

TEST_F(LoadConfig, AReplayHasTheSettingsOfItsRunAndAFileOverridesThem) {
  const std::string recording =
      file("run", manage::start_line("vcpu", print_config(unusual_cpu())) + "\n");
  CpuSettings settings;
  ASSERT_TRUE(load_config({.recording = recording, .file = ""}, settings));
  EXPECT_EQ(print_config(settings), print_config(unusual_cpu()));
  const std::string config = file("c.toml", "[vcpu]\ncooldown = 77\n");
  ASSERT_TRUE(load_config({.recording = recording, .file = config}, settings));
  EXPECT_EQ(settings.cooldown, 77U);
  EXPECT_EQ(settings.persistence, unusual_cpu().persistence);
}

TEST_F(LoadConfig, WhatCannotBeReadIsTold) {
  MemorySettings settings;
  const auto error = [&](const std::string& recording, const std::string& config) {
    const auto loaded = load_config({.recording = recording, .file = config}, settings);
    return loaded ? "" : loaded.error().message();
  };
  EXPECT_NE(error("", folder_ + "/none").find("none"), std::string::npos);
  EXPECT_NE(error(folder_ + "/none", "").find("open the recording"), std::string::npos);
  const std::string other = file("run", manage::start_line("vcpu", "") + "\n");
  EXPECT_NE(error(other, "").find("this is a recording of 'vcpu', not of 'memory'"),
            std::string::npos);
  const std::string damaged = file("bad", manage::start_line("memory", "[memory]\nx = 1\n") + "\n");
  EXPECT_NE(error(damaged, "").find("line 2: [memory] has no key 'x'"), std::string::npos)
      << error(damaged, "");
}

TEST_F(LoadConfig, ARecordingIsARegularFile) {
  CpuSettings settings;
  const auto told = [&](const std::string& path) {
    const auto loaded = load_config({.recording = path, .file = ""}, settings);
    return loaded ? "" : loaded.error().message();
  };
  EXPECT_EQ(told(folder_),
            "open the recording " + folder_ + ": it is a folder, and has to be a regular file");
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string device = ": it is a pipe or a device, and has to be a regular file";
  EXPECT_EQ(told(pipe), "open the recording " + pipe + device) << "and is not waited for";
  EXPECT_EQ(told("/dev/zero"), "open the recording /dev/zero" + device);
  EXPECT_TRUE(open_recording(file("run", manage::start_line("vcpu", ""))));
}

TEST_F(LoadConfig, ARecordDoesNotReplaceWhatIsRead) {
  const std::string recording = file("run", "");
  const std::string config = file("c.toml", "");
  const std::string link = folder_ + "/link";
  ASSERT_EQ(::link(config.c_str(), link.c_str()), 0);
  const auto told = [&](const std::string& record) {
    const auto checked = check_record({.recording = recording, .file = config}, record);
    return checked ? "" : checked.error().message();
  };
  EXPECT_EQ(told(recording), "--record " + recording + " would replace the file of --replay");
  EXPECT_EQ(told(config), "--record " + config + " would replace the file of --config");
  EXPECT_EQ(told(link), "--record " + link + " would replace the file of --config");
  EXPECT_EQ(told(folder_ + "/./run"),
            "--record " + folder_ + "/./run would replace the file of --replay");
  EXPECT_EQ(told(folder_ + "/new"), "");
  EXPECT_EQ(told(file("old", "")), "");
  EXPECT_EQ(told(""), "");
}

}  // namespace
}  // namespace fairlead::apps
