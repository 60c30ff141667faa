// SPDX-License-Identifier: Apache-2.0
#include "manage/recording.h"

#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <streambuf>
#include <vector>

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

base::Result<Replayed> replay_text(const std::string& text, std::vector<Sample>& seen,
                                   const std::vector<std::string>& actions = {}) {
  std::istringstream in(text);
  return replay(in, "vcpu", [&](const Sample& sample) {
    seen.push_back(sample);
    return actions;
  });
}

// What a replay of these lines fails with; "" if it does not.
std::string refusal(const std::string& text) {
  std::vector<Sample> seen;
  const auto replayed = replay_text(text, seen);
  return replayed ? "" : replayed.error().message();
}

const std::string kStart = start_line("vcpu", "[vcpu]\n") + "\n";
const std::string kPlan = plan_line({}) + "\n";

std::string sample_at(std::int64_t at_ns) {
  Sample sample = rich_sample();
  sample.at_ns = at_ns;
  return sample_line(sample) + "\n";
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

TEST(Recording, ASampleReadBackIsTheSame) {
  std::vector<Sample> seen;
  const std::string text = start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) +
                           "\n" + plan_line({"x"}) + "\n";
  const auto replayed = replay_text(text, seen, {"x"});
  ASSERT_TRUE(replayed) << replayed.error().message();
  EXPECT_EQ(replayed->plans, 1U);
  EXPECT_FALSE(replayed->last_without_plan);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0], rich_sample());
}

TEST(Recording, ADifferentPlanIsTold) {
  std::vector<Sample> seen;
  const std::string text = start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) +
                           "\n" + plan_line({"x"}) + "\n";
  const auto replayed = replay_text(text, seen, {"y"});
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().message(), "line 3: the plan differs: recorded [x], now [y]");
}

TEST(Recording, TellsWhatWasNotDone) {
  std::istringstream in(start_line("vcpu", "[vcpu]\n") + "\n" + sample_line(rich_sample()) + "\n" +
                        plan_line({"x"}) + "\n" + undone_line("x") + "\n");
  std::string undone;
  const auto replayed = replay(
      in, "vcpu", [](const Sample&) { return std::vector<std::string>{"x"}; },
      [&](const std::string& action) { undone += action; });
  ASSERT_TRUE(replayed);
  EXPECT_EQ(undone, "x");
}

TEST(Recording, OnlyWhatWasPlannedIsUndone) {
  const auto replayed = [](const std::string& text) {
    std::istringstream in(kStart + text);
    const auto decide = [](const Sample&) { return std::vector<std::string>{"x", "y"}; };
    const auto done = replay(in, "vcpu", decide);
    return done ? "" : done.error().message();
  };
  const std::string plan = plan_line({"x", "y"}) + "\n";
  const std::string x = undone_line("x") + "\n";
  const std::string y = undone_line("y") + "\n";
  const std::string not_planned = "undone is 'x', which the plan before it does not have";
  EXPECT_EQ(replayed(sample_at(1) + plan + y + x + sample_at(2) + plan + x), "");
  EXPECT_EQ(replayed(sample_at(1) + plan + undone_line("z\n") + "\n"),
            "line 4: undone is 'z?', which the plan before it does not have");
  EXPECT_EQ(replayed(sample_at(1) + plan + x + x), "line 5: " + not_planned) << "once";
  EXPECT_EQ(replayed(sample_at(1) + plan + sample_at(2) + x), "line 5: " + not_planned);
  EXPECT_EQ(replayed(x), "line 2: " + not_planned);
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

// So many bytes of one line, and no end of line.
class LongLine final : public std::streambuf {
 public:
  explicit LongLine(std::size_t bytes) : left_(bytes) { chunk_.fill('['); }
  std::size_t given() const { return given_; }

 protected:
  int_type underflow() override {
    if (left_ < chunk_.size()) return traits_type::eof();
    left_ -= chunk_.size();
    given_ += chunk_.size();
    setg(chunk_.data(), chunk_.data(), chunk_.data() + chunk_.size());
    return traits_type::to_int_type(chunk_[0]);
  }

 private:
  std::array<char, 4096> chunk_{};
  std::size_t left_;
  std::size_t given_ = 0;
};

constexpr std::size_t kMib = std::size_t{1024} * 1024;

TEST(Recording, NoLineIsReadFurtherThanOneOfOursCanBeLong) {
  for (const bool settings : {true, false}) {
    LongLine line(64 * kMib);
    std::istream in(&line);
    const std::string message =
        settings ? recorded_config(in, "vcpu").error().message()
                 : replay(in, "vcpu", [](const Sample&) { return std::vector<std::string>{}; })
                       .error()
                       .message();
    EXPECT_EQ(message, "line 1: longer than 16 MiB: no recording of ours");
    EXPECT_LT(line.given(), 17 * kMib);
  }
  EXPECT_EQ(refusal(kStart + std::string(17 * kMib, ' ') + "\n"),
            "line 2: longer than 16 MiB: no recording of ours");
}

TEST(Recording, ALineOfManyPiecesIsOne) {
  std::vector<Sample> seen;
  for (const std::size_t more : {65534U, 65535U, 65536U, 200'000U}) {
    Sample sample = rich_sample();
    sample.guests[0].name.assign(more - (sample_line(rich_sample()).size() - 11), 'n');
    const std::string line = sample_line(sample);
    EXPECT_GE(line.size(), more - 10);
    const auto replayed = replay_text(kStart + line + "\n" + kPlan, seen);
    ASSERT_TRUE(replayed) << replayed.error().message();
    EXPECT_EQ(seen.back(), sample);
  }
}

TEST(Recording, WhatTakesFarMoreMemoryThanItsTextIsRefused) {
  const std::string message = "line 2: no recording: too many values, or too many levels";
  EXPECT_EQ(refusal(kStart + std::string(1000, '[') + std::string(1000, ']') + "\n"), message);
  std::string many = R"({"event":"later","x":[0)";
  for (int i = 0; i < 2'000'000; ++i) many += ",0";
  EXPECT_EQ(refusal(kStart + many + "]}\n"), message);
}

TEST(Recording, AFailedReadIsNoEnd) {
  std::ifstream in("/");  // opens, and cannot be read
  ASSERT_TRUE(in);
  EXPECT_EQ(recorded_config(in, "vcpu").error().kind(), base::ErrorKind::kIo);
  in.clear();
  const auto replayed =
      replay(in, "vcpu", [](const Sample&) { return std::vector<std::string>{}; });
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().message(), "reading the recording failed");
}

TEST(Recording, OnlyAnEmptyOneIsCalledEmpty) {
  EXPECT_EQ(refusal(""), "the recording is empty");
  EXPECT_EQ(refusal("\n\n"), "no recording: there is no start in it");
  std::istringstream blank("\n");
  EXPECT_EQ(recorded_config(blank, "vcpu").error().message(),
            "no recording: there is no start in it");
}

TEST(Recording, OneThatIsCutIsNotTheSame) {
  const std::string sample = sample_at(1);
  EXPECT_EQ(refusal(kStart), "there are no plans in it");
  EXPECT_EQ(refusal(kStart + sample), "there are no plans in it");
  EXPECT_EQ(refusal(kStart + sample.substr(0, 100)), "line 2: cut off, before the first plan");
  EXPECT_EQ(refusal(kStart + sample + kPlan + sample.substr(0, 100)),
            "line 4: cut off after 1 plan, which is the same as recorded");
  EXPECT_EQ(refusal(kStart + sample + kPlan + sample + kPlan + sample + R"({"event":"pl)"),
            "line 7: cut off after 2 plans, which are the same as recorded");
  EXPECT_EQ(refusal(kStart + sample + kPlan + sample.substr(0, 100) + "\n"),
            "line 4: no recording: it is no JSON")
      << "a line with its end was not cut";
  EXPECT_EQ(refusal(kStart + sample + kPlan + sample + sample + kPlan),
            "line 5: the sample before it has no plan");
}

TEST(Recording, TheLastSampleMayLackItsPlan) {
  std::vector<Sample> seen;
  const auto replayed = replay_text(kStart + sample_at(1) + kPlan + sample_at(2), seen);
  ASSERT_TRUE(replayed) << replayed.error().message();
  EXPECT_EQ(replayed->plans, 1U);
  EXPECT_TRUE(replayed->last_without_plan);
  EXPECT_EQ(refusal(kStart + sample_at(1) + plan_line({})), "") << "all but the last end of line";
}

TEST(Recording, ASecondStartIsRefused) {
  EXPECT_EQ(refusal(kStart + sample_at(1) + kPlan + kStart + sample_at(1) + kPlan),
            "line 4: a second start: a recording holds one run");
}

TEST(Recording, EveryNumberIsChecked) {
  const auto told = [](const std::string& what, const std::string& with) {
    return refusal(kStart + replaced(sample_at(5), what, with) + kPlan);
  };
  const auto whole = [](const std::string& name, const std::string& most,
                        const std::string& least = "0") {
    return "line 2: no recording: '" + name + "' is no whole number from " + least + " to " + most;
  };
  const std::string most64 = "18446744073709551615";
  const std::string most63 = "9223372036854775807";
  const std::string most32 = "4294967295";
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":-1)"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":1.5e300)"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":1.5)"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":18446744073709551616)"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":"99")"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("run_ns":99)", R"("run_ns":null)"), whole("run_ns", most64));
  EXPECT_EQ(told(R"("delay_ns":3)", R"("delay_ns":true)"), whole("delay_ns", most64));
  EXPECT_EQ(told(R"("cpu":5)", R"("cpu":4294967297)"), whole("cpu", "8191"));
  EXPECT_EQ(told(R"("cpu":5)", R"("cpu":8192)"), whole("cpu", "8191"));
  EXPECT_EQ(told(R"("core":5)", R"("core":4294967296)"), whole("core", most32));
  EXPECT_EQ(told(R"("index":1)", R"("index":4294967296)"), whole("index", most32));
  EXPECT_EQ(told(R"("state":1)", R"("state":-1)"), whole("state", "2"));
  EXPECT_EQ(told(R"("state":1)", R"("state":3)"), whole("state", "2"));
  EXPECT_EQ(told(R"("run_id":7)", R"("run_id":2147483648)"),
            whole("run_id", "2147483647", "-2147483648"));
  EXPECT_EQ(told(R"("at_ns":5)", R"("at_ns":-5)"), whole("at_ns", most63));
  EXPECT_EQ(told(R"("at_ns":5)", R"("at_ns":9223372036854775808)"), whole("at_ns", most63));
  EXPECT_EQ(told(R"("wall_s":1)", R"("wall_s":-1)"), whole("wall_s", most63));
  EXPECT_EQ(told(R"("pressure_some":0.1)", R"("pressure_some":101)"),
            "line 2: no recording: 'pressure_some' is no number from 0 to 100");
  EXPECT_EQ(told(R"("pressure_some":0.1)", R"("pressure_some":"x")"),
            "line 2: no recording: 'pressure_some' is no number from 0 to 100");
}

TEST(Recording, WhatCannotBeThereTwiceIsNot) {
  const auto told = [](const Sample& sample) {
    return refusal(kStart + sample_line(sample) + "\n" + kPlan);
  };
  Sample pcpus = rich_sample();
  pcpus.pcpus[1].cpu = 0;
  EXPECT_EQ(told(pcpus), "line 2: no recording: processor 0 is there twice");
  Sample guests = rich_sample();
  guests.guests[1].uuid = "u";
  EXPECT_EQ(told(guests), "line 2: no recording: guest 'u' is there twice");
  Sample vcpus = rich_sample();
  vcpus.guests[0].vcpus[1].index = 0;
  EXPECT_EQ(told(vcpus), "line 2: no recording: vCPU 0 of guest 'a \"name\"?' is there twice");
}

TEST(Recording, TimeDoesNotGoBack) {
  EXPECT_EQ(refusal(kStart + sample_at(5) + kPlan + sample_at(4) + kPlan),
            "line 4: 'at_ns' is less than in the sample before");
  EXPECT_EQ(refusal(kStart + sample_at(5) + kPlan + sample_at(5) + kPlan), "");
}

TEST(Recording, AnErrorSaysWhichFieldIsMissingOrWrong) {
  const auto told = [](const std::string& what, const std::string& with) {
    return refusal(kStart + replaced(sample_at(5), what, with) + kPlan);
  };
  EXPECT_EQ(told(R"("run_ns":99,)", ""), "line 2: no recording: 'run_ns' is missing");
  EXPECT_EQ(told(R"("online":true)", R"("online":1)"),
            "line 2: no recording: 'online' is not true or false");
  EXPECT_EQ(told(R"("uuid":"u")", R"("uuid":7)"), "line 2: no recording: 'uuid' is no text");
  EXPECT_EQ(told(R"("guests":[)", R"("guests":7,"x":[)"),
            "line 2: no recording: 'guests' is no list");
  EXPECT_EQ(told(R"("guests":[)", R"("guests":[7,)"),
            "line 2: no recording: it is no JSON object where one is due");
  EXPECT_EQ(told(R"("memory":{)", R"("memory":7,"x":{)"),
            "line 2: no recording: it is no JSON object where one is due");
  EXPECT_EQ(told(R"("allowed":"0-2,9")", R"("allowed":"\u001b[2J")"),
            "line 2: no recording: 'allowed': '?[2J' is no list of processors like 0-3,8");
  EXPECT_EQ(refusal("x"), "line 1: no recording: it is no JSON");
  EXPECT_EQ(refusal("[]"), "line 1: no recording: it is no JSON object where one is due");
  EXPECT_EQ(refusal("{}"), "line 1: no recording: 'event' is missing");
  EXPECT_EQ(refusal(R"({"event":"start","version":"1"})"),
            "line 1: no recording: 'version' is no whole number from -2147483648 to 2147483647");
  EXPECT_EQ(refusal(R"({"event":"start","version":1})"),
            "line 1: no recording: 'manager' is missing");
  EXPECT_EQ(refusal(kStart + R"({"event":"plan","actions":[1]})"),
            "line 2: no recording: 'actions' is no list of texts");
  EXPECT_EQ(refusal(kStart + R"({"event":"undone"})"), "line 2: no recording: 'action' is missing");
}

TEST(Recording, NoMessageSteersATerminal) {
  std::vector<Sample> seen;
  const auto replayed =
      replay_text(kStart + sample_at(1) + plan_line({"a\x1b[2J\nb"}) + "\n", seen, {"\r"});
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().message(), "line 3: the plan differs: recorded [a?[2J?b], now [?]");
  EXPECT_EQ(refusal(start_line("a\x1b[2J", "")), "this is a recording of 'a?[2J', not of 'vcpu'");
}

}  // namespace
}  // namespace fairlead::manage
