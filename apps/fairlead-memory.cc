// SPDX-License-Identifier: Apache-2.0
//
// fairlead memory: moves memory among guests before they starve, and never the host's reserve
// (document 001, "Memory Coordinator").
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/manager_config.h"
#include "apps/manager_loop.h"
#include "base/json.h"
#include "base/units.h"
#include "manage/memory_manager.h"
#include "virt/libvirt_hypervisor.h"

namespace {

using namespace fairlead;

constexpr const char* kProgram = "fairlead-memory";

std::uint64_t mib(std::uint64_t bytes) { return bytes / manage::kMiB; }

class MemoryProgram final : public apps::ManagerProgram {
 public:
  explicit MemoryProgram(const manage::MemorySettings& settings)
      : config_(apps::print_config(settings)),
        manager_(settings),
        period_s_(settings.stats_period_s) {}

  std::string name() const override { return "memory"; }
  std::string config() const override { return config_; }

  void decide(const manage::Sample& sample) override { plan_ = manager_.decide(sample); }

  std::vector<Action> actions() const override {
    std::vector<Action> actions;
    actions.reserve(plan_.want_stats.size() + plan_.targets.size());
    // Memory first: a guest that does not answer keeps those behind it waiting.
    for (const manage::MemoryTarget& target : plan_.targets) {
      actions.push_back({
          .text = text_of(target),
          .what = fmt::format("{}: {} -> {} MiB", target.name, mib(target.from_bytes),
                              mib(target.to_bytes)),
          .why = target.why,
          .apply =
              [target](manage::Hypervisor& to) {
                return to.set_memory(target.uuid, target.to_bytes);
              },
          .guest = target.uuid,
          .name = target.name,
      });
    }
    for (const std::string& uuid : plan_.want_stats) {
      actions.push_back({
          .text = fmt::format("{} reports every {} s", uuid, period_s_),
          .what = fmt::format("{}: is to report every {} s", name_of(uuid), period_s_),
          .apply = [uuid, period = period_s_](
                       manage::Hypervisor& to) { return to.set_stats_period(uuid, period); },
          .guest = uuid,
          .name = name_of(uuid),
      });
    }
    return actions;
  }

  void undone(const std::string& text) override {
    for (const manage::MemoryTarget& target : plan_.targets) {
      if (text_of(target) == text) manager_.failed(target.uuid);
    }
  }

  std::string summary() const override {
    std::string guests;
    for (const manage::GuestMemoryView& guest : plan_.guests) {
      guests += fmt::format(" {}:{}", guest.name, mib(guest.size_bytes));
      if (guest.usable_bytes) guests += fmt::format("({})", mib(*guest.usable_bytes));
    }
    return fmt::format("promised {} of {} MiB, reserve {} MiB{}, {} changes | MiB (usable){}",
                       mib(plan_.promised_bytes), mib(plan_.pool_bytes), mib(plan_.reserve_bytes),
                       plan_.scarce ? ", scarce" : "", plan_.targets.size(), guests);
  }

  std::vector<std::string> reasons() const override {
    std::vector<std::string> reasons = plan_.notes;
    for (const manage::GuestMemoryView& guest : plan_.guests) {
      reasons.push_back(
          fmt::format("{}: {}: {}", guest.name, manage::name(guest.status), guest.why));
    }
    return reasons;
  }

  std::string json() const override {
    std::string line;
    base::JsonWriter json(line);
    json.begin_object()
        .member("event", "interval")
        .member("elapsed_ns", plan_.elapsed_ns)
        .member("pool_bytes", plan_.pool_bytes)
        .member("promised_bytes", plan_.promised_bytes)
        .member("reserve_bytes", plan_.reserve_bytes)
        .member("scarce", plan_.scarce);
    json.key("guests").begin_array();
    for (const manage::GuestMemoryView& guest : plan_.guests) {
      json.begin_object()
          .member("uuid", guest.uuid)
          .member("name", guest.name)
          .member("status", manage::name(guest.status))
          .member("size_bytes", guest.size_bytes)
          .member("target_bytes", guest.target_bytes)
          .member("want_bytes", guest.want_bytes)
          .member("growth_bytes_per_s", guest.growth_bytes_per_s);
      if (guest.usable_bytes) json.member("usable_bytes", *guest.usable_bytes);
      json.member("why", guest.why).end_object();
    }
    json.end_array().key("targets").begin_array();
    for (const manage::MemoryTarget& target : plan_.targets) {
      json.begin_object()
          .member("uuid", target.uuid)
          .member("name", target.name)
          .member("from_bytes", target.from_bytes)
          .member("to_bytes", target.to_bytes)
          .member("why", target.why)
          .end_object();
    }
    json.end_array().key("notes").begin_array();
    for (const std::string& note : plan_.notes) json.value(note);
    json.end_array().end_object();
    return line;
  }

 private:
  // Of a guest in the last decision.
  std::string name_of(const std::string& uuid) const {
    const auto guest = std::ranges::find(plan_.guests, uuid, &manage::GuestMemoryView::uuid);
    return guest == plan_.guests.end() ? uuid : guest->name;
  }

  static std::string text_of(const manage::MemoryTarget& target) {
    return fmt::format("{} {} -> {}", target.uuid, target.from_bytes, target.to_bytes);
  }

  const std::string config_;
  manage::MemoryManager manager_;
  std::uint32_t period_s_;
  manage::MemoryPlan plan_;
};

base::Result<std::unique_ptr<manage::Hypervisor>> open_libvirt(
    const apps::ManagerOptions& options) {
  FL_TRY(auto hypervisor,
         virt::LibvirtHypervisor::open({.uri = options.uri, .processors = false, .memory = true}));
  return hypervisor;
}

// "VM=N"
base::Status add_shares(const std::string& text, manage::MemorySettings& settings) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return base::fail(base::ErrorKind::kInvalid, "'" + text + "' is not VM=N");
  }
  FL_TRY(const std::uint64_t shares, base::parse_unsigned(text.substr(equals + 1), 1, 1'000'000));
  settings.rules[text.substr(0, equals)].shares = static_cast<double>(shares);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("move memory among this host's guests before they starve", kProgram);
  apps::ManagerOptions options;
  std::map<std::string, std::uint64_t> sizes;
  std::vector<std::string> shares;
  bool print = false;
  apps::add_manager_options(app, options);
  const auto add_size = [&](const std::string& name, const std::string& help) {
    app.add_option_function(
           name,
           [&sizes, name](const std::string& text) {
             sizes[name] = *base::parse_unsigned(text, 0, 1'000'000'000) * manage::kMiB;
           },
           help)
        .option_text("MIB")
        .check(apps::accepts(
            [](const std::string& text) { return base::parse_unsigned(text, 0, 1'000'000'000); }));
  };
  add_size("--pool", "memory for all guests together [what the host has]");
  add_size("--reserve", "left to the host [the greater of 200 and 5 %]");
  add_size("--min", "that each guest keeps [200]");
  add_size("--max", "that a guest gets at most [its own maximum]");
  app.add_option("--shares", shares, "how much a guest counts where memory is scarce [1000 each]")
      .option_text("VM=N");
  app.add_flag("--print-config", print, "print the settings as a configuration file, and end");
  return apps::run(app, argc, argv, [&] {
    manage::MemorySettings settings;
    if (const auto loaded = apps::load_config({options.replay, options.config}, settings);
        !loaded) {
      return apps::fail(kProgram, loaded.error());
    }
    if (sizes.contains("--pool")) settings.pool_bytes = sizes["--pool"];
    if (sizes.contains("--reserve")) settings.reserve_bytes = sizes["--reserve"];
    if (sizes.contains("--min")) settings.min_bytes = sizes["--min"];
    if (sizes.contains("--max")) settings.max_bytes = sizes["--max"];
    for (const std::string& text : shares) {
      if (const auto added = add_shares(text, settings); !added) {
        return apps::fail_usage(kProgram, "--shares: " + added.error().message());
      }
    }
    if (const auto checked = apps::check_settings(settings); !checked) {
      return apps::fail_usage(kProgram, checked.error().message());
    }
    if (print) return std::fputs(apps::print_config(settings).c_str(), stdout), apps::kDone;
    MemoryProgram program(settings);
    return apps::run_manager(kProgram, options, program, open_libvirt);
  });
}
