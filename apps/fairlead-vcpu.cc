// SPDX-License-Identifier: Apache-2.0
//
// fairlead vcpu: keeps the processors of this host evenly loaded by pinning guests' vCPUs
// (document 001, "VCPU Scheduler").
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/manager_config.h"
#include "apps/manager_lock.h"
#include "apps/manager_loop.h"
#include "apps/original_masks.h"
#include "base/check.h"
#include "base/json.h"
#include "manage/cpu_manager.h"
#include "virt/host_files.h"
#include "virt/libvirt_hypervisor.h"

namespace {

using namespace fairlead;

constexpr const char* kProgram = "fairlead-vcpu";

class VcpuProgram final : public apps::ManagerProgram {
 public:
  // `originals` is there when the first action is applied.
  VcpuProgram(manage::CpuSettings settings, std::optional<apps::OriginalMasks>& originals)
      : config_(apps::print_config(settings)),
        manager_(std::move(settings)),
        originals_(originals) {}

  std::string name() const override { return "vcpu"; }
  std::string config() const override { return config_; }

  void decide(const manage::Sample& sample) override {
    runs_.clear();
    for (const auto& guest : sample.guests) {
      runs_[guest.uuid] = apps::OriginalMasks::Run::of(guest);
    }
    plan_ = manager_.decide(sample);
  }

  std::vector<Action> actions() const override {
    std::vector<Action> actions;
    actions.reserve(plan_.pins.size());
    for (const manage::Pin& pin : plan_.pins) {
      actions.push_back({
          .text = fmt::format("{} {} {} -> {}", pin.uuid, pin.vcpu, pin.before.text(), pin.pcpu),
          .what =
              fmt::format("{} vCPU {}: {} -> {}", pin.name, pin.vcpu, pin.before.text(), pin.pcpu),
          .why = pin.why,
          .apply = [this, pin](manage::Hypervisor& hypervisor) { return apply(hypervisor, pin); },
          .guest = pin.uuid,
          .name = pin.name,
      });
    }
    return actions;
  }

  std::string summary() const override {
    if (plan_.elapsed_ns == 0) return "first look";
    std::string loads;
    for (const manage::PcpuLoad& load : plan_.loads) {
      loads += fmt::format(" {}:{:.0f}%", load.cpu, 100 * std::min(load.used + load.foreign, 1.0));
    }
    return fmt::format(
        "mean {:.1f} % deviation {:.1f} points ({:.1f} % of the mean){}, {} pins |{}",
        100 * plan_.mean, 100 * plan_.deviation,
        plan_.mean > 0 ? 100 * plan_.deviation / plan_.mean : 0.0,
        plan_.balanced ? ", balanced" : "", plan_.pins.size(), loads);
  }

  std::vector<std::string> reasons() const override { return plan_.notes; }

  std::string json() const override {
    std::string line;
    base::JsonWriter json(line);
    json.begin_object()
        .member("event", "interval")
        .member("elapsed_ns", plan_.elapsed_ns)
        .member("mean", plan_.mean)
        .member("deviation", plan_.deviation)
        .member("predicted_deviation", plan_.predicted_deviation)
        .member("balanced", plan_.balanced);
    json.key("pcpus").begin_array();
    for (const manage::PcpuLoad& load : plan_.loads) {
      json.begin_object()
          .member("cpu", load.cpu)
          .member("used", load.used)
          .member("foreign", load.foreign)
          .member("demand", load.demand)
          .end_object();
    }
    json.end_array().key("pins").begin_array();
    for (const manage::Pin& pin : plan_.pins) {
      json.begin_object()
          .member("uuid", pin.uuid)
          .member("name", pin.name)
          .member("vcpu", pin.vcpu)
          .member("before", pin.before.text())
          .member("pcpu", pin.pcpu)
          .member("why", pin.why)
          .end_object();
    }
    json.end_array().key("notes").begin_array();
    for (const std::string& note : plan_.notes) json.value(note);
    json.end_array().end_object();
    return line;
  }

 private:
  base::Status apply(manage::Hypervisor& hypervisor, const manage::Pin& pin) const {
    FL_CHECK(originals_.has_value());
    return originals_->pin(hypervisor, pin, runs_.at(pin.uuid));
  }

  const std::string config_;
  manage::CpuManager manager_;
  std::optional<apps::OriginalMasks>& originals_;
  manage::CpuPlan plan_;
  std::map<std::string, apps::OriginalMasks::Run> runs_;
};

base::Result<std::unique_ptr<manage::Hypervisor>> open_libvirt(
    const apps::ManagerOptions& options) {
  FL_TRY(auto hypervisor,
         virt::LibvirtHypervisor::open({.uri = options.uri, .processors = true, .memory = false}));
  return hypervisor;
}

int preview(const apps::ManagerOptions& options) {
  const auto originals = apps::OriginalMasks::look(options.uri);
  if (!originals) return apps::fail(kProgram, originals.error());
  auto hypervisor = open_libvirt(options);
  if (!hypervisor) return apps::fail(kProgram, hypervisor.error());
  const auto lines = originals->preview(**hypervisor);
  if (!lines) return apps::fail(kProgram, lines.error());
  std::printf("masks of before: %zu (dry run: nothing is done)\n", lines->size());
  for (const std::string& line : *lines) std::printf("  %s\n", line.c_str());
  return apps::kDone;
}

int restore(const apps::ManagerOptions& options) {
  const auto lock = apps::take_manager_lock("vcpu");
  if (!lock) return apps::fail(kProgram, lock.error());
  auto originals = apps::OriginalMasks::open(options.uri);
  if (!originals) return apps::fail(kProgram, originals.error());
  auto hypervisor = open_libvirt(options);
  if (!hypervisor) return apps::fail(kProgram, hypervisor.error());
  const auto restored = originals->restore(**hypervisor);
  if (!restored) return apps::fail(kProgram, restored.error());
  std::printf("%u vCPUs may run where they might before\n", restored->vcpus);
  for (const std::string& line : restored->kept) {
    std::fprintf(stderr, "%s: kept the mask of %s\n", kProgram, line.c_str());
  }
  return restored->kept.empty() ? apps::kDone : apps::kFailed;
}

int manage_vcpus(const apps::ManagerOptions& options, const manage::CpuSettings& settings) {
  std::optional<apps::OriginalMasks> originals;
  VcpuProgram program(settings, originals);
  return apps::run_manager(
      kProgram, options, program,
      [&](const apps::ManagerOptions& with) -> base::Result<std::unique_ptr<manage::Hypervisor>> {
        if (!with.dry_run) {
          FL_TRY(auto known, apps::OriginalMasks::open(with.uri));
          originals.emplace(std::move(known));
        }
        return open_libvirt(with);
      });
}

// What would be silently without effect beside --restore.
void add_restore(apps::Command app, bool& put_back) {
  const auto restore = app.add_flag("--restore", put_back, "put the masks of before back, and end");
  for (const char* other : {"interval", "--once", "--explain", "--output", "--config", "--record",
                            "--replay", "--pcpus", "--print-config"}) {
    restore.excludes(app.get_option(other));
  }
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("keep this host's processors evenly loaded by pinning the guests' vCPUs",
                        kProgram);
  apps::ManagerOptions options;
  std::string pcpus;
  bool put_back = false;
  bool print = false;
  apps::add_manager_options(app, options);
  app.add_option("--pcpus", pcpus, "the processors to manage, as in 0-3,8 [all that are online]")
      .option_text("LIST")
      .check(apps::accepts([](const std::string& text) { return manage::CpuSet::parse(text); }));
  app.add_flag("--print-config", print, "print the settings as a configuration file, and end");
  add_restore(app, put_back);
  return apps::run(app, argc, argv, [&] {
    manage::CpuSettings settings;
    if (const auto loaded = apps::load_config({options.replay, options.config}, settings);
        !loaded) {
      return apps::fail(kProgram, loaded.error());
    }
    if (!pcpus.empty()) settings.pcpus = *manage::CpuSet::parse(pcpus);
    if (print) return std::fputs(apps::print_config(settings).c_str(), stdout), apps::kDone;
    if (put_back) return options.dry_run ? preview(options) : restore(options);
    if (options.replay.empty() && !(settings.pcpus.empty() && settings.rules.empty())) {
      const auto online = virt::HostFiles().processors();
      if (!online) return apps::fail(kProgram, online.error());
      if (const auto checked = apps::check_settings(settings, *online); !checked) {
        return apps::fail_usage(kProgram, checked.error().message());
      }
      for (const std::string& rule : apps::idle_rules(settings, *online)) {
        std::fprintf(stderr, "%s: %s\n", kProgram, rule.c_str());
      }
    }
    return manage_vcpus(options, settings);
  });
}
