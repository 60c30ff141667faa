// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/gnuplot.h"
#include "apps/reproduce.h"
#include "apps/study_messages.h"
#ifdef FL_HAVE_GUEST
#include "apps/study_schedulers.h"
#endif
#include "base/file.h"
#include "base/json.h"
#include "base/quote.h"
#include "daemon/end_watch.h"

namespace fairlead::apps {
namespace {

constexpr std::string_view kMessages = "messages";
constexpr std::string_view kGuestSchedulers = "guest-schedulers";
constexpr std::string_view kHostSchedulers = "host-schedulers";
constexpr std::string_view kCases[] = {kMessages, kGuestSchedulers, kHostSchedulers};
constexpr std::int64_t kUndoNs = 30 * base::kNanosPerSecond;  // to end a guest and a daemon

// The cases' results, written, drawn and printed as they come.
class RelayStudy {
 public:
  RelayStudy(const ReproduceOptions& options, const daemon::EndWatch& end)
      : options_(options), end_(end), folder_(options.folder) {}

  base::Status run() {
    if (wanted(kMessages)) FL_TRY_STATUS(messages());
    if (wanted(kGuestSchedulers) || wanted(kHostSchedulers)) FL_TRY_STATUS(schedulers());
    if (!drawn_) say_not_drawn("the figures");
    if (options_.output == "json") {
      print_json();
    } else {
      fmt::print("medians of {} rounds; figures{} in {}\n", options_.rounds,
                 drawn_ ? " and plots" : "", options_.folder);
    }
    return {};
  }

 private:
  bool wanted(std::string_view name) const { return !options_.only || *options_.only == name; }

  base::Status keep(const std::string& name, const std::string& csv, const std::string& script) {
    FL_TRY_STATUS(base::write_file_atomic(folder_ / (name + ".csv"), csv));
    FL_TRY_STATUS(base::write_file_atomic(folder_ / (name + ".gnuplot"), script));
    FL_TRY(const bool drawn, draw(folder_, name + ".gnuplot"));
    drawn_ = drawn_ && drawn;
    return {};
  }

  void print(const std::string& table) const {
    if (options_.output == "text") std::puts(table.c_str());
  }

  base::Status messages() {
    MessagePlan plan;
    plan.rounds = options_.rounds;
    plan.on_step = show_step;
    plan.stop = [this] { return end_.asked(); };
    FL_TRY(messages_, study_messages(plan));
    FL_TRY_STATUS(keep("messages", messages_csv(messages_), messages_script()));
    print(messages_text(messages_));
    return {};
  }

#ifdef FL_HAVE_GUEST
  base::Status schedulers() {
    SchedulerPlan plan;
    plan.folder = options_.folder;
    plan.sides.clear();
    if (wanted(kGuestSchedulers)) plan.sides.emplace_back("guest");
    if (wanted(kHostSchedulers)) plan.sides.emplace_back("host");
    plan.rounds = options_.rounds;
    plan.on_step = show_step;
    plan.stop_fd = end_.fd();
    FL_TRY(const auto runs, study_schedulers(plan));
    schedulers_ = medians(runs);
    FL_TRY_STATUS(base::write_file_atomic(folder_ / "scheduler-rounds.csv", schedulers_csv(runs)));
    for (const std::string& side : plan.sides) {
      std::vector<SchedulerRun> one;
      std::ranges::copy_if(schedulers_, std::back_inserter(one),
                           [&](const SchedulerRun& run) { return run.side == side; });
      FL_TRY_STATUS(keep(side + "-schedulers", schedulers_csv(one), schedulers_script(side)));
    }
    print(schedulers_text(schedulers_));
    return {};
  }

  void add_schedulers(base::JsonWriter& json) const {
    json.key("schedulers").begin_array();
    for (SchedulerRun run : schedulers_) {
      json.begin_object().member("side", run.side).member("scheduler", run.scheduler);
      for_each_figure(run, [&](const char* name, double value) { json.member(name, value); });
      json.end_object();
    }
    json.end_array();
  }

  std::vector<SchedulerRun> schedulers_;
#else
  base::Status schedulers() {
    return base::fail(base::ErrorKind::kUnsupported,
                      "this build starts no guests: it was made without libvirt's headers");
  }
  void add_schedulers(base::JsonWriter&) const {}
#endif

  static void add_points(base::JsonWriter& json, const char* name,
                         const std::vector<MessagePoint>& points) {
    json.key(name).begin_array();
    for (const MessagePoint& point : points) {
      json.begin_object()
          .member("carrier", name_of(point.carrier))
          .member("write_bytes", point.write_bytes)
          .member("read_bytes", point.read_bytes)
          .member("bytes_per_s", point.median())
          .member("least_bytes_per_s", point.bytes_per_s.front())
          .member("most_bytes_per_s", point.bytes_per_s.back())
          .end_object();
    }
    json.end_array();
  }

  void print_json() const {
    std::string out;
    base::JsonWriter json(out);
    json.begin_object()
        .member("document", options_.document)
        .member("rounds", options_.rounds)
        .member("folder", options_.folder)
        .member("drawn", drawn_);
    add_points(json, "by_message", messages_.by_message);
    add_points(json, "by_read", messages_.by_read);
    add_schedulers(json);
    json.end_object();
    std::puts(out.c_str());
  }

  const ReproduceOptions& options_;
  const daemon::EndWatch& end_;
  const std::filesystem::path folder_;
  MessageStudy messages_;
  bool drawn_ = true;
};

}  // namespace

int reproduce_relay(const ReproduceOptions& options) {
  if (options.only && std::ranges::find(kCases, *options.only) == std::end(kCases)) {
    return fail_usage(kReproduce, fmt::format("--case: no case {}; there are {}",
                                              base::quoted(*options.only), fmt::join(kCases, " ")));
  }
  if (const auto made = make_folder(options.folder); !made) return fail(kReproduce, made.error());
  const auto end = daemon::EndWatch::start(kReproduce, kUndoNs);
  if (!end) return fail(kReproduce, end.error());
  const auto done = RelayStudy(options, **end).run();
  if (done) return kDone;
  if (!(*end)->asked()) return fail(kReproduce, done.error());
  return fail_by_signal(kReproduce, done.error(), (*end)->number());
}

}  // namespace fairlead::apps
