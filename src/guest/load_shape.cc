// SPDX-License-Identifier: Apache-2.0
#include "guest/load_shape.h"

#include <optional>

namespace fairlead::guest {
namespace {

constexpr double kMostNanos = 1e18;  // 30 years
constexpr double kMostBytes = 1e15;
constexpr double kMostSteps = 1e12;
constexpr double kMostRate = 1e6;
constexpr std::int64_t kDefaultSleepNs = 400'000;

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimes[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}};
constexpr Unit kSizes[] = {
    {"", 1}, {"K", 1024.0}, {"M", 1048576.0}, {"G", 1073741824.0}, {"%", 0.01}};

using Failure = std::unexpected<const char*>;

// The text up to `separator`, which it takes from `rest`.
std::string_view next_part(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

std::optional<double> bounded(std::string_view text, bool time, double least, double most) {
  const auto value = parse_quantity(text, time);
  if (!value || *value < least || *value > most) return std::nullopt;
  return value.value();
}

bool preset(std::string_view word, CpuPhase& phase) {
  struct Preset {
    std::string_view word;
    CpuPattern pattern;
    std::uint64_t steps;
  };
  static constexpr Preset kPresets[] = {{"idle", CpuPattern::kIdle, 0},
                                        {"equal", CpuPattern::kLoop, 100'000},
                                        {"heavy", CpuPattern::kLoop, 250'000},
                                        {"light", CpuPattern::kLoop, 30'000}};
  for (const Preset& known : kPresets) {
    if (known.word != word) continue;
    phase.pattern = known.pattern;
    phase.steps = known.steps;
    phase.sleep_ns = known.pattern == CpuPattern::kLoop ? kDefaultSleepNs : 0;
    return true;
  }
  return false;
}

const char* set_arrivals(CpuPhase& phase, CpuPattern pattern, std::string_view value) {
  const auto rate = bounded(value, false, 1e-3, kMostRate);
  if (!rate) return "a rate is 0.001 to 1000000 jobs a second";
  phase.pattern = pattern;
  phase.rate_per_s = *rate;
  return nullptr;
}

const char* set_share(CpuPhase& phase, std::string_view value) {
  const auto share = bounded(value, false, 0, 1);
  if (!share) return "share is 0% to 100%";
  phase.pattern = CpuPattern::kShare;
  phase.share = *share;
  return nullptr;
}

const char* set_steps(CpuPhase& phase, std::string_view value) {
  const auto steps = bounded(value, false, 1, kMostSteps);
  if (!steps) return "steps is 1 to 1000000000000";
  phase.steps = static_cast<std::uint64_t>(*steps);
  if (phase.pattern == CpuPattern::kIdle) {
    phase.pattern = CpuPattern::kLoop;
    phase.sleep_ns = kDefaultSleepNs;
  }
  return nullptr;
}

const char* set_time(std::int64_t& field, std::string_view value) {
  const auto nanos = bounded(value, true, 1, kMostNanos);
  if (!nanos) return "a time is a number and ns, us, ms, s or min, more than 0";
  field = static_cast<std::int64_t>(*nanos);
  return nullptr;
}

const char* set_cpu(CpuLoad& load, CpuPhase& phase, std::string_view item) {
  if (preset(item, phase)) return nullptr;
  const std::string_view key = next_part(item, '=');
  if (key == "steps") return set_steps(phase, item);
  if (key == "sleep") return set_time(phase.sleep_ns, item);
  if (key == "share") return set_share(phase, item);
  if (key == "poisson") return set_arrivals(phase, CpuPattern::kPoisson, item);
  if (key == "periodic") return set_arrivals(phase, CpuPattern::kPeriodic, item);
  if (key == "for") return set_time(phase.lasts_ns, item);
  if (key == "threads") {
    const auto threads = bounded(item, false, 0, kMostLoadThreads);
    if (!threads) return "threads is 0 to 64";
    load.threads = static_cast<std::uint32_t>(*threads);
    return nullptr;
  }
  if (key == "seed") {
    const auto seed = bounded(item, false, 0, 1e9);
    if (!seed) return "seed is 0 to 1000000000";
    load.seed = static_cast<std::uint64_t>(*seed);
    return nullptr;
  }
  return "a CPU load is made of idle, equal, heavy, light, steps=, sleep=, share=, poisson=, "
         "periodic=, for=, threads=, seed=";
}

const char* parse_cpu(CpuLoad& load, std::string_view text) {
  while (true) {
    if (load.phase_count == kMostPhases) return "at most 16 phases";
    const bool last = text.find('/') == std::string_view::npos;
    std::string_view part = next_part(text, '/');
    CpuPhase phase;
    do {
      if (const char* wrong = set_cpu(load, phase, next_part(part, ','))) return wrong;
    } while (!part.empty());
    const bool jobs =
        phase.pattern == CpuPattern::kPoisson || phase.pattern == CpuPattern::kPeriodic;
    if (jobs && phase.steps == 0) return "arrivals need steps= for each job";
    if (!last && phase.lasts_ns == 0) return "every phase but the last needs for=";
    load.phases[load.phase_count++] = phase;
    if (last) return nullptr;
  }
}

const char* set_memory(MemoryLoad& load, std::string_view item) {
  if (item == "cache") return load.cache = true, nullptr;
  if (item == "free") return load.end = MemoryEnd::kFree, nullptr;
  if (item == "again") return load.end = MemoryEnd::kAgain, nullptr;
  const std::string_view key = next_part(item, '=');
  if (key == "hold") return set_time(load.hold_ns, item);
  if (key != "rate" && key != "limit") {
    return "a memory load is made of rate=, limit=, hold=, free, again, cache";
  }
  const auto bytes = bounded(item, false, 4096, kMostBytes);
  if (!bytes) return "a size is 4096 or more, with K, M or G";
  (key == "rate" ? load.rate_bytes_per_s : load.limit_bytes) = static_cast<std::uint64_t>(*bytes);
  return nullptr;
}

const char* parse_memory(MemoryLoad& load, std::string_view text) {
  do {
    if (const char* wrong = set_memory(load, next_part(text, ','))) return wrong;
  } while (!text.empty());
  if (load.end == MemoryEnd::kAgain && load.hold_ns == 0) load.hold_ns = 1;
  return nullptr;
}

}  // namespace

std::expected<double, const char*> parse_quantity(std::string_view text, bool time) {
  double number = 0;
  double place = 0;  // 0: before the point
  std::size_t at = 0;
  for (; at < text.size() && at < 20; ++at) {
    if (text[at] == '.' && place == 0 && at > 0) {
      place = 1;
    } else if (text[at] >= '0' && text[at] <= '9') {
      if (place == 0) {
        number = number * 10 + (text[at] - '0');
      } else {
        place /= 10;
        number += place * (text[at] - '0');
      }
    } else {
      break;
    }
  }
  if (at == 0) return Failure("a number is missing");
  const std::string_view unit = text.substr(at);
  if (time) {
    for (const Unit& known : kTimes) {
      if (known.name == unit) return number * known.factor;
    }
  } else {
    for (const Unit& known : kSizes) {
      if (known.name == unit) return number * known.factor;
    }
  }
  return Failure("an unknown unit");
}

std::expected<LoadShape, const char*> parse_load(std::string_view text) {
  LoadShape shape;
  std::string_view rest = text;
  const std::string_view kind = next_part(rest, ':');
  const char* wrong = "a load is cpu:… or mem:…, as in cpu:heavy or mem:rate=20M,limit=512M";
  if (rest.ends_with(',') || rest.find(",/") != std::string_view::npos) {
    wrong = "a comma with nothing behind it";
  } else if (kind == "cpu") {
    wrong = parse_cpu(shape.cpu, rest);
  } else if (kind == "mem") {
    shape.kind = LoadShape::Kind::kMemory;
    wrong = parse_memory(shape.memory, rest);
  }
  if (wrong != nullptr) return Failure(wrong);
  return shape;
}

}  // namespace fairlead::guest
