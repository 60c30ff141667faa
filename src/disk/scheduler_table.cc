// SPDX-License-Identifier: Apache-2.0
#include "disk/scheduler_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "disk/anticipatory_scheduler.h"
#include "disk/cats_scheduler.h"
#include "disk/cfq_scheduler.h"
#include "disk/deadline_scheduler.h"
#include "disk/mq_deadline_scheduler.h"
#include "disk/plain_schedulers.h"

namespace fairlead::disk {
namespace {

template <typename One>
std::unique_ptr<Scheduler> make(const SchedulerShape& shape, const Parameters& parameters) {
  return std::make_unique<One>(shape, parameters);
}

constexpr SchedulerKind kKinds[] = {
    {"noop", "first come, first served; adjacent requests merged", NoopScheduler::parameters,
     make<NoopScheduler>},
    {"satf", "the nearest first", SatfScheduler::parameters, make<SatfScheduler>},
    {"cscan", "upwards, then from the lowest again", CscanScheduler::parameters,
     make<CscanScheduler>},
    {"deadline", "Linux 2.6.29's: upwards in batches, the oldest in time",
     DeadlineScheduler::parameters, make<DeadlineScheduler>},
    {"anticipatory", "Linux 2.6.29's: the same, but the disk waits for the last reader",
     AnticipatoryScheduler::parameters, make<AnticipatoryScheduler>},
    {"cfq", "Linux 2.6.29's: turns of time for each process", CfqScheduler::parameters,
     make<CfqScheduler>},
    {"mq-deadline", "today's Linux: deadline, by kind of request", MqDeadlineScheduler::parameters,
     make<MqDeadlineScheduler>},
    {"cats", "cache-aware table scheduling, document 004's", CatsScheduler::parameters,
     make<CatsScheduler>},
    {"cats-aged", "CATS in which nobody waits for long", CatsScheduler::aged_parameters,
     make<CatsScheduler>},
    {"t", "algorithm T: the least sum of response times", TScheduler::parameters, make<TScheduler>},
};

struct Chosen {
  const SchedulerKind* kind;
  Parameters parameters;
};

base::Result<Chosen> choose(std::string_view spec) {
  const std::string_view name = spec.substr(0, spec.find(':'));
  const auto found = std::ranges::find(kKinds, name, &SchedulerKind::name);
  if (found == std::end(kKinds)) {
    std::string known;
    for (const SchedulerKind& one : kKinds) {
      known.append(known.empty() ? "" : ", ").append(one.name);
    }
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("no scheduler {}; there is {}", base::quoted(name), known));
  }
  Chosen chosen{&*found, Parameters(found->parameters())};
  if (name.size() < spec.size()) {
    auto set = chosen.parameters.set_all(spec.substr(name.size() + 1));
    if (!set) return base::fail(std::move(set).error().at(std::string(name)));
  }
  return chosen;
}

}  // namespace

std::span<const SchedulerKind> scheduler_kinds() { return kKinds; }

base::Result<std::unique_ptr<Scheduler>> make_scheduler(std::string_view spec,
                                                        const SchedulerShape& shape) {
  FL_TRY(const Chosen chosen, choose(spec));
  return chosen.kind->make(shape, chosen.parameters);
}

base::Status check_scheduler(std::string_view spec) {
  FL_TRY_STATUS(choose(spec));
  return {};
}

}  // namespace fairlead::disk
