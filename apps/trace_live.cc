// SPDX-License-Identifier: Apache-2.0
#include "apps/trace_live.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "apps/command.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/terminal.h"
#include "relay/stamp.h"
#include "trace/report.h"
#include "trace/time_order.h"
#include "trace/trace_file.h"

namespace fairlead::apps {
namespace {

constexpr std::chrono::milliseconds kPollEvery(2);

// A recording that is nowhere but in memory.
class Interval {
 public:
  static base::Result<Interval> begin(const trace::TraceFileWriter::Beginning& beginning) {
    base::Fd memory(::memfd_create("fairlead-live", MFD_CLOEXEC));
    if (!memory) return base::fail_errno(errno, "take memory for the trace");
    const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
    FL_TRY(auto writer, trace::TraceFileWriter::create(path, beginning));
    return Interval(std::move(memory), path, std::move(writer));
  }

  trace::TraceFileWriter& file() noexcept { return file_; }
  base::Result<trace::Trace> read() {
    FL_TRY_STATUS(file_.end());
    return trace::read_trace(path_);
  }

 private:
  Interval(base::Fd memory, std::string path, trace::TraceFileWriter file)
      : memory_(std::move(memory)), path_(std::move(path)), file_(std::move(file)) {}

  base::Fd memory_;
  std::string path_;
  trace::TraceFileWriter file_;
};

// The sources of both are the same, in the same order, and their times have one beginning.
trace::Trace joined(const trace::Trace& before, trace::Trace now) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(now.names, before.names);
  append(now.devices, before.devices);
  append(now.events, before.events);
  append(now.losses, before.losses);
  trace::order_by(now.events, &trace::Event::time_ns);
  trace::order_by(now.losses, &trace::Loss::last_ns);
  for (std::size_t i = 0; i < std::min(now.sources.size(), before.sources.size()); ++i) {
    append(now.sources[i].steps, before.sources[i].steps);
  }
  return now;
}

class Live {
 public:
  Live(std::vector<std::unique_ptr<trace::LiveSource>> sources, const LiveOptions& options,
       const daemon::EndWatch& end)
      : sources_(std::move(sources)), options_(options), end_(end), over_(sources_.size()) {}

  base::Status run() {
    const trace::TraceFileWriter::Beginning beginning{
        .wall_ns = 0, .stamp = relay::stamp(), .hz = relay::stamp_hz()};
    if (options_.json) std::puts(R"({"event":"start","version":1})");
    std::uint64_t rounds = 0;
    for (trace::Trace before; !done(rounds);) {
      FL_TRY(Interval interval, Interval::begin(beginning));
      for (const auto& source : sources_) source->introduce(interval.file());
      FL_TRY_STATUS(fill(interval.file(), is_last(rounds)));
      FL_TRY(trace::Trace now, interval.read());
      if (showing_.valid()) showing_.get();
      if (!flush_stdout()) break;  // told at the program's end
      showing_ = std::async(std::launch::async, [this, trace = joined(before, now), rounds] {
        show(trace, rounds + 1);
      });
      ++rounds;
      before = std::move(now);
    }
    if (showing_.valid()) showing_.get();
    if (options_.json) std::puts(R"({"event":"end"})");
    return {};
  }

 private:
  bool done(std::uint64_t rounds) const {
    return end_.asked() || (options_.rounds != 0 && rounds >= options_.rounds) ||
           std::ranges::find(over_, false) == over_.end();
  }
  bool is_last(std::uint64_t rounds) const {
    return options_.rounds != 0 && rounds + 1 >= options_.rounds;
  }

  base::Status fill(trace::TraceFileWriter& file, bool last) {
    const std::int64_t until_ns =
        base::monotonic_ns() + static_cast<std::int64_t>(options_.interval_s * 1e9);
    while (base::monotonic_ns() < until_ns && !end_.asked()) {
      for (std::size_t i = 0; i < sources_.size(); ++i) {
        if (over_[i]) continue;
        FL_TRY(const bool more, sources_[i]->poll(file));
        over_[i] = !more;
      }
      if (std::ranges::find(over_, false) == over_.end()) break;
      std::this_thread::sleep_for(kPollEvery);
    }
    if (!last && !end_.asked()) return {};
    for (const auto& source : sources_) FL_TRY_STATUS(source->finish(file));
    return {};
  }

  void show(const trace::Trace& trace, std::uint64_t round) const {
    const trace::Report report = trace::make_report(trace);
    if (options_.json) {
      std::printf("{\"event\":\"interval\",\"round\":%llu,\"report\":%s}\n",
                  static_cast<unsigned long long>(round),
                  trace::report_json(trace, report).c_str());
      return;
    }
    const bool in_place = base::can_redraw(STDOUT_FILENO);
    std::printf("%sround %llu, the last %.3g s\n\n%s\n", in_place ? "\x1b[H\x1b[J" : "",
                static_cast<unsigned long long>(round), (round == 1 ? 1 : 2) * options_.interval_s,
                trace::report_text(trace, report).c_str());
  }

  std::vector<std::unique_ptr<trace::LiveSource>> sources_;
  const LiveOptions& options_;
  const daemon::EndWatch& end_;
  std::vector<bool> over_;
  std::future<void> showing_;  // beside the next interval: what it costs must lose no event
};

}  // namespace

base::Status trace_live(std::vector<std::unique_ptr<trace::LiveSource>> sources,
                        const LiveOptions& options, const daemon::EndWatch& end) {
  return Live(std::move(sources), options, end).run();
}

}  // namespace fairlead::apps
