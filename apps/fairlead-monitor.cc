// SPDX-License-Identifier: Apache-2.0
//
// fairlead monitor: what the guests of this host do, round by round, as document 001's monitor.py
// prints it.  It reads; the one thing it sets is the statistics period of a guest that does not
// report, where its connection may.
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/rounds.h"
#include "base/json.h"
#include "base/units.h"
#include "daemon/end_watch.h"
#include "manage/cpu_watch.h"
#include "manage/memory_watch.h"
#include "virt/libvirt_hypervisor.h"
#include "virt/local_uri.h"

namespace {

using namespace fairlead;
using base::ErrorKind;
using base::JsonWriter;

constexpr const char* kProgram = "fairlead-monitor";
constexpr double kVcpuSeconds = 1;
constexpr double kMemorySeconds = 2;
constexpr std::uint32_t kStatsPeriod = 1;

struct MonitorOptions {
  std::string uri = "qemu:///system";
  double interval_s = 0;
  std::uint64_t rounds = 0;  // 0: until a signal
  std::string output = "text";
  std::string log;
  std::string pcpus;

  bool json() const { return output == "json"; }
};

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// What is watched.  The texts and lines concern the last look.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual const char* name() const = 0;
  // Nanoseconds since the look before; 0: the first.
  virtual std::int64_t look(const manage::Sample& sample) = 0;
  virtual void ask(manage::Hypervisor& /*hypervisor*/) {}
  virtual std::string text() const = 0;
  virtual void add_json(JsonWriter& json) const = 0;
  virtual std::string summary_text() const = 0;
  virtual void add_summary(JsonWriter& json) const = 0;
};

class VcpuWatch final : public Watch {
 public:
  explicit VcpuWatch(manage::CpuSet pcpus) : watch_(std::move(pcpus)) {}

  const char* name() const override { return "vcpu"; }

  std::int64_t look(const manage::Sample& sample) override {
    round_ = watch_.look(sample);
    return round_.elapsed_ns;
  }

  std::string text() const override {
    std::string out;
    for (const auto& pcpu : round_.pcpus) {
      out += fmt::format("{} - usage: {:.1f} | mapping [{}]\n", pcpu.cpu, 100 * pcpu.usage,
                         mapping(pcpu.cpu));
    }
    for (const auto& vcpu : round_.vcpus) {
      if (vcpu.allowed.count() == 1) continue;
      out += fmt::format("not pinned to one: {} {:.1f} on {}\n", vcpu.label(), 100 * vcpu.used,
                         vcpu.allowed.empty() ? "none that is watched" : vcpu.allowed.text());
    }
    std::string others;
    for (const auto& pcpu : round_.pcpus) others += fmt::format(" {:.1f}", 100 * pcpu.foreign);
    out += fmt::format(
        "mean {:.1f} | deviation {:.1f} points, {:.1f} % of mean | {} | pin changes {} | "
        "others{}\n",
        100 * round_.mean, 100 * round_.deviation, 100 * of_mean(),
        round_.balanced ? "balanced" : "not balanced", round_.pin_changes, others);
    return out;
  }

  void add_json(JsonWriter& json) const override {
    json.member("mean", round_.mean)
        .member("deviation", round_.deviation)
        .member("deviation_of_mean", of_mean())
        .member("balanced", round_.balanced)
        .member("pin_changes", round_.pin_changes);
    json.key("pcpus").begin_array();
    for (const auto& pcpu : round_.pcpus) {
      json.begin_object()
          .member("cpu", pcpu.cpu)
          .member("usage", pcpu.usage)
          .member("foreign", pcpu.foreign)
          .end_object();
    }
    json.end_array().key("vcpus").begin_array();
    for (const auto& vcpu : round_.vcpus) {
      json.begin_object()
          .member("guest", vcpu.guest)
          .member("vcpu", vcpu.vcpu)
          .member("allowed", vcpu.allowed.text())
          .member("used", vcpu.used)
          .member("waiting", vcpu.waiting)
          .end_object();
    }
    json.end_array();
  }

  std::string summary_text() const override {
    const auto sum = watch_.summary();
    return fmt::format(
        "{} rounds, {} balanced; {} pin changes{}; {}\n", sum.rounds, sum.balanced_rounds,
        sum.pin_changes,
        sum.pin_changes == 0 ? "" : fmt::format(", the last in round {}", sum.last_change_round),
        !sum.rounds_until_balance ? "balance not reached"
        : *sum.rounds_until_balance == 0
            ? "never out of balance"
            : fmt::format("{} rounds until balance", *sum.rounds_until_balance));
  }

  void add_summary(JsonWriter& json) const override {
    const auto sum = watch_.summary();
    json.member("rounds", sum.rounds)
        .member("balanced_rounds", sum.balanced_rounds)
        .member("pin_changes", sum.pin_changes)
        .member("last_change_round", sum.last_change_round)
        .key("rounds_until_balance");
    if (sum.rounds_until_balance) {
      json.value(*sum.rounds_until_balance);
    } else {
      json.null();
    }
  }

 private:
  double of_mean() const { return round_.mean > 0 ? round_.deviation / round_.mean : 0; }

  std::string mapping(std::uint32_t cpu) const {
    std::string names;
    for (const auto& vcpu : round_.vcpus) {
      if (vcpu.allowed.count() != 1 || !vcpu.allowed.contains(cpu)) continue;
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", vcpu.label());
    }
    return names;
  }

  manage::CpuWatch watch_;
  manage::CpuRound round_;
};

class MemoryWatch final : public Watch {
 public:
  const char* name() const override { return "memory"; }

  std::int64_t look(const manage::Sample& sample) override {
    round_ = watch_.look(sample);
    return round_.elapsed_ns;
  }

  // Says once why it cannot.
  void ask(manage::Hypervisor& hypervisor) override {
    for (const auto& guest : round_.guests) {
      if (!guest.ask || told_) continue;
      const auto set = hypervisor.set_stats_period(guest.uuid, kStatsPeriod);
      if (set || set.error().kind() == ErrorKind::kNotFound) continue;
      std::fprintf(stderr, "%s: %s does not report, and it cannot be asked to: %s\n", kProgram,
                   guest.name.c_str(), set.error().message().c_str());
      told_ = true;
    }
  }

  std::string text() const override {
    std::string out;
    const auto size = [](std::optional<std::uint64_t> bytes) {
      return bytes ? fmt::format("{:.1f}", mib(*bytes)) : std::string("?");
    };
    for (const auto& guest : round_.guests) {
      if (!guest.balloon) {
        out += fmt::format("Memory (VM: {})  no balloon\n", guest.name);
        continue;
      }
      out += fmt::format("Memory (VM: {})  Actual [{:.1f}], Unused: [{}], Usable: [{}]", guest.name,
                         mib(guest.actual), size(guest.unused), size(guest.usable));
      if (guest.state != manage::ReportState::kFresh) {
        out += fmt::format(" ({}{})", manage::name(guest.state),
                           guest.age_s > 0 ? fmt::format(", {:.0f} s old", guest.age_s) : "");
      }
      out += '\n';
    }
    return out + fmt::format("host: {:.1f} of {:.1f} available\n", mib(round_.host.available_bytes),
                             mib(round_.host.total_bytes));
  }

  void add_json(JsonWriter& json) const override {
    json.member("host_total_bytes", round_.host.total_bytes)
        .member("host_available_bytes", round_.host.available_bytes);
    json.key("guests").begin_array();
    for (const auto& guest : round_.guests) {
      json.begin_object().member("guest", guest.name).member("uuid", guest.uuid);
      json.member("state", manage::name(guest.state));
      if (guest.balloon) {
        json.member("actual_bytes", guest.actual).member("maximum_bytes", guest.maximum);
        if (guest.unused) json.member("unused_bytes", *guest.unused);
        if (guest.usable) json.member("usable_bytes", *guest.usable);
        if (guest.resident) json.member("resident_bytes", *guest.resident);
        json.member("growth_bytes_per_s", guest.growth).member("age_s", guest.age_s);
      }
      json.end_object();
    }
    json.end_array();
  }

  std::string summary_text() const override {
    const auto sum = watch_.summary();
    std::string out = fmt::format("{} rounds", sum.rounds);
    if (sum.least_host_available != UINT64_MAX) {
      out += fmt::format("; host: at least {:.1f} available", mib(sum.least_host_available));
    }
    out += '\n';
    for (const auto& guest : sum.guests) {
      out += fmt::format("{}: {:.1f} to {:.1f}, {} changes, at most {:.1f} less in a round",
                         guest.name, mib(guest.least_actual), mib(guest.most_actual), guest.changes,
                         mib(guest.largest_shrink));
      if (guest.samples > 0) {
        out += fmt::format(
            "; least usable {:.1f}, at least {:.0f} in {:.1f} % of {} reports",
            mib(guest.least_usable), mib(manage::MemoryWatch::kEnough),
            100.0 * static_cast<double>(guest.roomy) / static_cast<double>(guest.samples),
            guest.samples);
      }
      out += '\n';
    }
    return out;
  }

  void add_summary(JsonWriter& json) const override {
    const auto sum = watch_.summary();
    json.member("rounds", sum.rounds);
    if (sum.least_host_available != UINT64_MAX) {
      json.member("least_host_available_bytes", sum.least_host_available);
    }
    json.key("guests").begin_array();
    for (const auto& guest : sum.guests) {
      json.begin_object()
          .member("guest", guest.name)
          .member("least_actual_bytes", guest.least_actual)
          .member("most_actual_bytes", guest.most_actual)
          .member("changes", guest.changes)
          .member("largest_shrink_bytes", guest.largest_shrink)
          .member("samples", guest.samples)
          .member("roomy_samples", guest.roomy);
      if (guest.samples > 0) json.member("least_usable_bytes", guest.least_usable);
      json.end_object();
    }
    json.end_array();
  }

 private:
  manage::MemoryWatch watch_{kStatsPeriod};
  manage::MemoryRound round_;
  bool told_ = false;
};

class Monitor {
 public:
  Monitor(const MonitorOptions& options, Watch& watch) : options_(options), watch_(watch) {}

  int run(manage::Hypervisor& hypervisor, const daemon::EndWatch& end) {
    if (!options_.log.empty()) {
      log_.open(options_.log, std::ios::trunc);
      if (!log_) {
        return apps::fail(kProgram, base::Error::from_errno(errno, "create " + options_.log));
      }
    }
    std::string line;
    JsonWriter(line)
        .begin_object()
        .member("event", "start")
        .member("version", 1)
        .member("monitor", watch_.name())
        .member("interval_s", options_.interval_s)
        .end_object();
    if (const auto told = tell({}, line); !told) return failed(told.error());
    for (apps::Rounds rounds(options_.interval_s, end);;) {
      if (const auto looked = look(hypervisor); !looked) return failed(looked.error());
      if (options_.rounds != 0 && rounds_ >= options_.rounds) break;
      if (!rounds.await_next()) break;
    }
    const auto ended = sum_up();
    return ended ? apps::kDone : failed(ended.error());
  }

 private:
  // What did not arrive on stdout is told at the program's end, once.
  static int failed(const base::Error& error) {
    return apps::flush_stdout() ? apps::fail(kProgram, error) : apps::kDone;
  }

  base::Status look(manage::Hypervisor& hypervisor) {
    const auto sample = hypervisor.sample();
    if (!sample) {
      if (sample.error().kind() == ErrorKind::kDenied) return base::fail(sample.error());
      const std::string words = sample.error().message() + "; tries again at the next round";
      if (words != warned_) std::fprintf(stderr, "%s: %s\n", kProgram, words.c_str());
      warned_ = words;
      return {};
    }
    warned_.clear();
    const std::int64_t elapsed_ns = watch_.look(*sample);
    watch_.ask(hypervisor);
    if (elapsed_ns == 0) return {};  // a rate needs two looks
    ++rounds_;
    std::string line;
    JsonWriter json(line);
    json.begin_object()
        .member("event", "interval")
        .member("round", rounds_)
        .member("at_ns", sample->at_ns)
        .member("elapsed_ns", elapsed_ns);
    watch_.add_json(json);
    json.end_object();
    return tell(fmt::format("round {}, {:.2f} s\n{}\n", rounds_,
                            static_cast<double>(elapsed_ns) * 1e-9, watch_.text()),
                line);
  }

  base::Status sum_up() {
    std::string line;
    JsonWriter json(line);
    json.begin_object().member("event", "end");
    watch_.add_summary(json);
    json.end_object();
    return tell(watch_.summary_text(), line);
  }

  base::Status tell(const std::string& text, const std::string& line) {
    if (options_.json()) {
      std::puts(line.c_str());
    } else {
      std::fputs(text.c_str(), stdout);
    }
    if (!apps::flush_stdout()) {
      return base::fail_errno(apps::stdout_errno(), "write standard output");
    }
    if (!log_.is_open()) return {};
    log_ << line << '\n' << std::flush;
    if (log_) return {};
    return base::fail(
        base::Error(ErrorKind::kIo, "write " + options_.log).advise("is the disk full?"));
  }

  const MonitorOptions& options_;
  Watch& watch_;
  std::ofstream log_;
  std::uint64_t rounds_ = 0;
  std::string warned_;
};

int monitor(const MonitorOptions& options, Watch& watch, virt::LibvirtOptions libvirt) {
  auto end = daemon::EndWatch::start(kProgram);
  if (!end) return apps::fail(kProgram, end.error());
  auto hypervisor = virt::LibvirtHypervisor::open(std::move(libvirt));
  if (!hypervisor) return apps::fail(kProgram, hypervisor.error());
  return Monitor(options, watch).run(**hypervisor, **end);
}

apps::Command add_verb(apps::Command app, const char* name, const char* purpose,
                       MonitorOptions& options, double otherwise) {
  const auto verb = app.add_subcommand(name, purpose);
  verb.add_option("interval", options.interval_s,
                  fmt::format("seconds from one look to the next [{}]", otherwise))
      .check(apps::accepts_interval());
  verb.add_option("--uri", options.uri, "of libvirt on this host")
      .check(apps::accepts(virt::check_local_uri))
      .capture_default_str();
  verb.add_option("--rounds", options.rounds, "end after so many [at SIGINT or SIGTERM]")
      .option_text("N")
      .check(apps::accepts(
          [](const std::string& text) { return base::parse_unsigned(text, 1, 1'000'000'000); }));
  apps::add_output_option(verb, options.output);
  verb.add_option("--log", options.log, "write the JSON lines to this file, too")
      .option_text("FILE")
      .check(apps::not_empty());
  return verb;
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("show what this host's guests do, round by round", kProgram);
  MonitorOptions options;
  const auto vcpu =
      add_verb(app, "vcpu", "each processor's usage, and the vCPUs that are pinned to it", options,
               kVcpuSeconds);
  vcpu.add_option("--pcpus", options.pcpus, "the processors to watch, as in 0-3,8 [all online]")
      .option_text("LIST")
      .check(apps::accepts([](const std::string& text) { return manage::CpuSet::parse(text); }));
  const auto memory =
      add_verb(app, "memory", "each guest's size and what it has left", options, kMemorySeconds);
  app.require_subcommand(1, 1);
  return apps::run(app, argc, argv, [&] {
    if (options.interval_s == 0)
      options.interval_s = memory.parsed() ? kMemorySeconds : kVcpuSeconds;
    if (memory.parsed()) {
      MemoryWatch watch;
      return monitor(options, watch,
                     {.uri = options.uri,
                      .processors = false,
                      .memory = true,
                      .access = virt::Access::kWriteIfPermitted});
    }
    VcpuWatch watch(options.pcpus.empty() ? manage::CpuSet()
                                          : *manage::CpuSet::parse(options.pcpus));
    return monitor(
        options, watch,
        {.uri = options.uri, .processors = true, .memory = false, .access = virt::Access::kRead});
  });
}
