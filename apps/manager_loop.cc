// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_loop.h"

#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/guest_words.h"
#include "apps/manager_config.h"
#include "apps/manager_lock.h"
#include "apps/rounds.h"
#include "base/quote.h"
#include "daemon/end_watch.h"
#include "manage/recording.h"
#include "virt/local_uri.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::vector<std::string> texts(const std::vector<ManagerProgram::Action>& actions) {
  std::vector<std::string> all;
  all.reserve(actions.size());
  for (const auto& action : actions) all.push_back(action.text);
  return all;
}

constexpr std::uint64_t kRest = 20;  // passes, for a guest that did not answer

class Loop {
 public:
  Loop(const std::string& program, const ManagerOptions& options, ManagerProgram& manager)
      : program_(program), options_(options), manager_(manager) {}

  int replay() {
    auto in = open_recording(options_.replay);
    if (!in) return fail(program_, in.error());
    const auto replayed = manage::replay(
        *in, manager_.name(),
        [&](const manage::Sample& sample) {
          manager_.decide(sample);
          const auto actions = manager_.actions();
          tell(actions);
          return texts(actions);
        },
        [&](const std::string& action) { manager_.undone(action); });
    if (!replayed) {
      return fail(program_, base::Error(replayed.error()).at("replay " + options_.replay));
    }
    std::fprintf(stderr, "%s: %llu plan%s, the same as recorded%s\n", program_.c_str(),
                 static_cast<unsigned long long>(replayed->plans), replayed->plans == 1 ? "" : "s",
                 replayed->last_without_plan
                     ? "; the last look has no plan: the run ended before it was written"
                     : "");
    return kDone;
  }

  base::Status open_record() {
    if (options_.record.empty()) return {};
    record_.open(options_.record, std::ios::trunc);
    if (!record_) return base::fail_errno(errno, "create the recording " + options_.record);
    return write(manage::start_line(manager_.name(), manager_.config()));
  }

  int run(manage::Hypervisor& hypervisor, const daemon::EndWatch& end) {
    if (const auto opened = open_record(); !opened) return fail(program_, opened.error());
    if (options_.json()) {
      std::puts(manage::start_line(manager_.name(), manager_.config()).c_str());
      if (!flush_stdout()) return kFailed;
    }
    Rounds rounds(options_.interval_s, end);
    // A load is known from the second look on, so "once" is two of them.
    for (int passes_left = options_.once ? 2 : -1; passes_left != 0; passes_left -= 1) {
      if (const auto passed = pass(hypervisor, passes_left == 2); !passed) {
        return fail(program_, passed.error());
      }
      // Nobody hears us any more: the program's end says so, with exit code 1.
      if (!flush_stdout()) return kFailed;
      if (passes_left == 1) break;
      if (!rounds.await_next()) break;
    }
    if (options_.json()) std::puts(R"({"event":"end"})");
    return kDone;
  }

 private:
  // An error ends the program; what may pass is told and survived.
  base::Status pass(manage::Hypervisor& hypervisor, bool only_look) {
    auto sample = hypervisor.sample();
    if (!sample) {
      if (sample.error().kind() == ErrorKind::kDenied || options_.once) {
        return base::fail(std::move(sample).error());
      }
      warn(sample.error().message() + "; tries again at the next interval");
      return {};
    }
    manager_.decide(*sample);
    const auto actions = manager_.actions();
    FL_TRY_STATUS(write(manage::sample_line(*sample)));
    FL_TRY_STATUS(write(manage::plan_line(texts(actions))));
    tell(actions);
    ++passes_;
    bool lost = options_.dry_run || only_look;
    for (const auto& action : actions) {
      if (!lost && !leaves_alone(action.guest)) {
        const auto done = action.apply(hypervisor);
        if (done) continue;
        if (done.error().kind() == ErrorKind::kDenied) {
          return base::fail(
              base::Error(done.error()).advise("this connection may only look: --dry-run"));
        }
        warn(fmt::format("{}: {}", action.what, words_of(done.error(), action.guest, action.name)));
        lost = done.error().kind() == ErrorKind::kClosed;
        if (done.error().kind() == ErrorKind::kBusy) resume_at_[action.guest] = passes_ + kRest;
      }
      manager_.undone(action.text);
      FL_TRY_STATUS(write(manage::undone_line(action.text)));
    }
    return {};
  }

  // Each call to a guest that does not answer takes half a minute, in which the others wait.
  bool leaves_alone(const std::string& guest) const {
    const auto resting = resume_at_.find(guest);
    return resting != resume_at_.end() && passes_ < resting->second;
  }

  void tell(const std::vector<ManagerProgram::Action>& actions) {
    if (options_.json()) {
      std::puts(manager_.json().c_str());
    } else {
      const std::string time = options_.replay.empty() ? time_of_day() + " " : "";
      std::printf("%s%s%s\n", time.c_str(), base::printable(manager_.summary()).c_str(),
                  options_.dry_run && !actions.empty() ? " (dry run: nothing is done)" : "");
      for (const auto& action : actions) {
        const std::string line = action.what + (action.why.empty() ? "" : ": " + action.why);
        std::printf("  %s\n", base::printable(line).c_str());
      }
      if (options_.explain) {
        for (const auto& reason : manager_.reasons()) {
          std::printf("  %s\n", base::printable(reason).c_str());
        }
      }
    }
    flush_stdout();
  }

  base::Status write(const std::string& line) {
    if (!record_.is_open()) return {};
    record_ << line << '\n' << std::flush;
    if (record_) return {};
    return base::fail(base::Error(ErrorKind::kIo, "write the recording " + options_.record)
                          .advise("is the disk full?"));
  }

  void warn(const std::string& text) const {
    if (text == last_warning_) return;  // once, not every interval
    last_warning_ = text;
    std::fprintf(stderr, "%s: %s\n", program_.c_str(), base::printable(text).c_str());
  }

  const std::string& program_;
  const ManagerOptions& options_;
  ManagerProgram& manager_;
  std::ofstream record_;
  std::uint64_t passes_ = 0;
  std::map<std::string, std::uint64_t> resume_at_;  // pass, by guest
  mutable std::string last_warning_;
};

}  // namespace

void add_manager_options(Command app, ManagerOptions& options) {
  app.add_option("interval", options.interval_s, "seconds from one look to the next")
      .check(accepts_interval());
  app.add_option("--uri", options.uri, "of libvirt on this host")
      .check(accepts(virt::check_local_uri))
      .capture_default_str();
  app.add_flag("--once", options.once, "look twice, act once, end");
  app.add_flag("--dry-run", options.dry_run, "say what would be done, do nothing");
  app.add_flag("--explain", options.explain, "say also why nothing more is done");
  app.add_option("-o,--output", options.output, "text or json, one object a line")
      .check(one_of({"text", "json"}, InHelp::kYes))
      .capture_default_str();
  app.add_option("--config", options.config, "TOML file with settings and rules for guests")
      .option_text("FILE")
      .check(not_empty());
  app.add_option("--record", options.record, "write every sample and plan to this file")
      .option_text("FILE")
      .check(not_empty());
  app.add_option("--replay", options.replay,
                 "decide on a recording's samples with its settings and compare the plans")
      .option_text("FILE")
      .check(not_empty());
}

int run_manager(const std::string& program, const ManagerOptions& options, ManagerProgram& manager,
                const OpenHypervisor& open) {
  const auto kept = check_record({options.replay, options.config}, options.record);
  if (!kept) return fail_usage(program, kept.error().message());
  Loop loop(program, options, manager);
  if (!options.replay.empty()) return loop.replay();
  if (options.interval_s == 0) {
    std::fprintf(stderr, "%s: the interval is missing: seconds, as in '%s 2' (try --help)\n",
                 program.c_str(), program.c_str());
    return kUsage;
  }
  auto end = daemon::EndWatch::start(program);
  if (!end) return fail(program, end.error());
  std::optional<daemon::LockFile> lock;
  if (!options.dry_run) {
    auto taken = take_manager_lock(manager.name());
    if (!taken) return fail(program, taken.error());
    lock.emplace(*std::move(taken));
  }
  auto hypervisor = open(options);
  if (!hypervisor) return fail(program, hypervisor.error());
  return loop.run(**hypervisor, **end);
}

}  // namespace fairlead::apps
