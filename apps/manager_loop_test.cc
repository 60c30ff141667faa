// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_loop.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/command.h"
#include "apps/manager_lock.h"
#include "apps/testing_hypervisor.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kWorks = ErrorKind::kNotFound;  // of ScriptedHypervisor::samples

// Pins vCPU 0 of "a" and of "b" in each pass, and ends the program after some.
class TwoPins final : public ManagerProgram {
 public:
  int passes_left = 3;
  int decided = 0;
  std::vector<std::string> not_done;
  std::string words = "two pins";

  std::string name() const override { return "vcpu"; }
  std::string config() const override { return "[vcpu]\n"; }
  void decide(const manage::Sample&) override {
    ++decided;
    if (--passes_left == 0) ::kill(::getpid(), SIGTERM);  // it waits until this pass is over
  }
  std::vector<Action> actions() const override { return {pin("a"), pin("b")}; }
  void undone(const std::string& text) override { not_done.push_back(text); }
  std::string summary() const override { return words; }
  std::vector<std::string> reasons() const override { return {"no reason"}; }
  std::string json() const override { return R"({"event":"interval"})"; }

 private:
  static Action pin(const std::string& guest) {
    return {.text = "pin " + guest,
            .what = "pins guest " + guest,
            .why = "so it is",
            .apply = [guest](auto& to) { return to.pin(guest, 0, manage::CpuSet::of({1})); },
            .guest = guest,
            .name = "guest " + guest};
  }
};

// Stands for one that the test keeps.
class Borrowed final : public manage::Hypervisor {
 public:
  explicit Borrowed(manage::Hypervisor& lender) : lender_(lender) {}
  base::Result<manage::Sample> sample() override { return lender_.sample(); }
  base::Status pin(const std::string& uuid, std::uint32_t vcpu,
                   const manage::CpuSet& allowed) override {
    return lender_.pin(uuid, vcpu, allowed);
  }
  base::Status set_memory(const std::string&, std::uint64_t) override { return {}; }
  base::Status set_stats_period(const std::string&, std::uint32_t) override { return {}; }

 private:
  manage::Hypervisor& lender_;
};

class ManagerLoop : public testing::Test {
 protected:
  ManagerLoop() {
    std::string name = testing::TempDir() + "fl-loop-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    ::setenv("FAIRLEAD_RUNTIME_DIR", folder_.c_str(), 1);
    options_.interval_s = 0.1;
  }
  ~ManagerLoop() override { std::filesystem::remove_all(folder_); }

  // Exit code; what it printed is in out_ and err_.
  int run() {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run_manager("prog", options_, manager_, [&](const ManagerOptions&) {
      return base::Result<std::unique_ptr<manage::Hypervisor>>(
          std::make_unique<Borrowed>(hypervisor_));
    });
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  std::string recorded() const {
    std::ifstream in(options_.record);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string folder_;
  ManagerOptions options_;
  ScriptedHypervisor hypervisor_;
  TwoPins manager_;
  std::string out_;
  std::string err_;
};

TEST_F(ManagerLoop, ASignalEndsItBetweenTwoPasses) {
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(manager_.decided, 3);
  EXPECT_EQ(hypervisor_.asked.size(), 6U) << "the last pass is whole, too";
  EXPECT_EQ(err_, "");
}

TEST_F(ManagerLoop, AGuestThatVanishedIsToldAndTheOthersAreServed) {
  hypervisor_.refusals["a"] = ErrorKind::kNotFound;
  options_.record = folder_ + "/run";
  EXPECT_EQ(run(), kDone);
  EXPECT_THAT(manager_.not_done, ElementsAre("pin a", "pin a", "pin a"));
  EXPECT_EQ(hypervisor_.asked.size(), 6U);
  EXPECT_EQ(err_, "prog: pins guest a: refused to guest a\n") << "once, not each time";
  EXPECT_THAT(recorded(), HasSubstr(R"({"event":"undone","action":"pin a"})"));
  EXPECT_THAT(recorded(), testing::Not(HasSubstr(R"("action":"pin b")")));
}

TEST_F(ManagerLoop, AGuestThatDoesNotAnswerIsLeftAlone) {
  hypervisor_.refusals["a"] = ErrorKind::kBusy;
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(hypervisor_.asked.size(), 1U + 3U);
  EXPECT_THAT(manager_.not_done, ElementsAre("pin a", "pin a", "pin a"));
}

TEST_F(ManagerLoop, OneThatActsHasTheLockAndADryRunNeedsNone) {
  {
    const auto lock = take_manager_lock("vcpu");
    ASSERT_TRUE(lock);
    EXPECT_EQ(run(), kFailed);
    EXPECT_THAT(err_, HasSubstr("a manager runs already"));
    EXPECT_EQ(manager_.decided, 0);
    options_.dry_run = true;
    EXPECT_EQ(run(), kDone);
  }
  options_.dry_run = false;
  manager_.passes_left = 1;
  EXPECT_EQ(run(), kDone);
  EXPECT_TRUE(take_manager_lock("vcpu")) << "free again";
}

TEST_F(ManagerLoop, EndsWhenNobodyHearsIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  manager_.passes_left = 1000;
  const auto deaf = [&] {
    if (std::freopen("/dev/full", "w", stdout) == nullptr) std::_Exit(9);
    const int code = run_manager("prog", options_, manager_, [&](const ManagerOptions&) {
      return base::Result<std::unique_ptr<manage::Hypervisor>>(
          std::make_unique<Borrowed>(hypervisor_));
    });
    std::_Exit(ended("prog", code) * 10 + manager_.decided);
  };
  EXPECT_EXIT(deaf(), testing::ExitedWithCode(11), "^prog: write standard output: No space");
}

TEST_F(ManagerLoop, ALostConnectionIsTriedAgain) {
  hypervisor_.samples = {kWorks, ErrorKind::kClosed, ErrorKind::kClosed, kWorks, kWorks};
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(manager_.decided, 3);
  EXPECT_EQ(err_, "prog: scripted; tries again at the next interval\n");
}

TEST_F(ManagerLoop, AConnectionLostWithinAPassLeavesTheRestUndone) {
  hypervisor_.refusals["a"] = ErrorKind::kClosed;
  manager_.passes_left = 1;
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(hypervisor_.asked.size(), 1U);
  EXPECT_THAT(manager_.not_done, ElementsAre("pin a", "pin b"));
}

TEST_F(ManagerLoop, AConnectionThatMayOnlyReadEndsIt) {
  hypervisor_.refusals["a"] = ErrorKind::kDenied;
  EXPECT_EQ(run(), kFailed);
  EXPECT_EQ(err_, "prog: refused to a (this connection may only look: --dry-run)\n");
  EXPECT_EQ(hypervisor_.asked.size(), 1U);
}

TEST_F(ManagerLoop, ADryRunAsksNothing) {
  hypervisor_.refusals["a"] = ErrorKind::kDenied;
  options_.dry_run = true;
  options_.explain = true;
  EXPECT_EQ(run(), kDone);
  EXPECT_TRUE(hypervisor_.asked.empty());
  EXPECT_EQ(manager_.not_done.size(), 6U);
  EXPECT_THAT(out_, HasSubstr("two pins (dry run: nothing is done)\n  pins guest a: so it is\n  "
                              "pins guest b: so it is\n"
                              "  no reason\n"));
}

TEST_F(ManagerLoop, OnceLooksTwiceAndActsOnce) {
  options_.once = true;
  manager_.passes_left = 100;
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(manager_.decided, 2);
  EXPECT_EQ(hypervisor_.asked.size(), 2U);
  hypervisor_.samples = {ErrorKind::kClosed};
  EXPECT_EQ(run(), kFailed) << "once is not tried again";
}

TEST_F(ManagerLoop, JsonIsOneObjectALineFromStartToEnd) {
  options_.output = "json";
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(out_, R"({"event":"start","version":1,"manager":"vcpu","config":"[vcpu]\n"})"
                  "\n"
                  R"({"event":"interval"})"
                  "\n"
                  R"({"event":"interval"})"
                  "\n"
                  R"({"event":"interval"})"
                  "\n"
                  R"({"event":"end"})"
                  "\n");
}

TEST_F(ManagerLoop, ARunReplaysToTheSamePlansAndADifferentOneIsTold) {
  options_.record = folder_ + "/run";
  ASSERT_EQ(run(), kDone);
  options_.replay = std::exchange(options_.record, "");
  manager_ = {};
  manager_.passes_left = 100;
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(err_, "prog: 3 plans, the same as recorded\n");
  EXPECT_EQ(hypervisor_.asked.size(), 6U) << "of the run; a replay asks nothing";

  std::ifstream in(options_.replay);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  text.replace(text.find("pin b"), 5, "pin c");
  std::ofstream(options_.replay, std::ios::trunc) << text;
  EXPECT_EQ(run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("the plan differs: recorded [pin a; pin c], now [pin a; pin b]"));
}

TEST_F(ManagerLoop, AReplayTellsThatTheLastLookHasNoPlan) {
  options_.record = folder_ + "/run";
  ASSERT_EQ(run(), kDone);
  const std::string text = recorded();
  options_.replay = std::exchange(options_.record, "");
  std::ofstream(options_.replay, std::ios::trunc)
      << text.substr(0, text.rfind(R"({"event":"plan")"));
  manager_ = {};
  manager_.passes_left = 100;
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(err_,
            "prog: 2 plans, the same as recorded; the last look has no plan: the run ended before "
            "it was written\n");
}

TEST_F(ManagerLoop, NoNameSteersATerminal) {
  manager_.words = "a\x1b[2J\tb";
  options_.once = true;
  EXPECT_EQ(run(), kDone);
  EXPECT_THAT(out_, HasSubstr("a?[2J?b\n"));
}

TEST_F(ManagerLoop, ARecordThatWouldReplaceItsConfigIsAWrongCommandLine) {
  options_.config = options_.record = folder_ + "/c.toml";
  std::ofstream(options_.config) << "[vcpu]\n";
  EXPECT_EQ(run(), kUsage);
  EXPECT_EQ(recorded(), "[vcpu]\n");
  EXPECT_THAT(err_, HasSubstr("would replace the file of --config"));
}

TEST_F(ManagerLoop, WhatCannotBeWrittenOrReadEndsItWithOneLine) {
  options_.record = folder_ + "/none/run";
  EXPECT_EQ(run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("create the recording"));
  EXPECT_TRUE(hypervisor_.asked.empty());
  options_.record = "/dev/full";
  EXPECT_EQ(run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("write the recording /dev/full"));
  EXPECT_TRUE(hypervisor_.asked.empty()) << "nothing is done that is not written down";
  options_.record = "";
  options_.replay = folder_ + "/none";
  EXPECT_EQ(run(), kFailed);
  EXPECT_THAT(err_, HasSubstr("open the recording"));
}

TEST_F(ManagerLoop, WithoutAnIntervalItSaysHowToGiveOne) {
  options_.interval_s = 0;
  EXPECT_EQ(run(), kUsage);
  EXPECT_EQ(err_, "prog: the interval is missing: seconds, as in 'prog 2' (try --help)\n");
}

}  // namespace
}  // namespace fairlead::apps
