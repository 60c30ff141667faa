// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_manager.h"

#include <algorithm>

#include <fmt/format.h>

#include "manage/bytes.h"
#include "manage/memory_guest.h"

namespace fairlead::manage {
namespace {

constexpr Bytes kLeastReserve = 200 * kMebi;
constexpr std::uint32_t kFirstPatience = 2;  // intervals of too much before a release
constexpr std::uint32_t kNextPatience = 3;   // after a release that had to be undone; then double
constexpr std::uint32_t kLastPatience = 20;
constexpr std::uint64_t kCalm = 60;    // intervals without such a one after which it halves
constexpr double kPressure = 10;       // percent of the time in which a process waits for memory
constexpr double kTold = 0.99;         // seconds until a balloon's size is told, but for a moment
constexpr double kShortest = 0.01;     // interval
constexpr std::uint64_t kForeign = 3;  // intervals for which somebody else's size is kept

std::uint64_t unsigned_of(Bytes value) {
  return static_cast<std::uint64_t>(std::max(value, Bytes{0}));
}
Bytes whole(Bytes value) { return value / kMebi * kMebi; }

struct Pool {
  Bytes bytes = 0;  // for all guests together
  Bytes reserve = 0;
  bool known = false;
  bool critical = false;
  bool pressed = false;  // somebody on the host waits for memory, and little is left
};

struct Pass {
  std::vector<MemoryEntry> entries;
  Pool pool;
  Bytes free = 0;      // of the pool, promised to nobody
  bool hurry = false;  // somebody, a guest or the host, waits for what others release
};

}  // namespace

std::string_view name(GuestMemoryStatus status) noexcept {
  switch (status) {
    case GuestMemoryStatus::kManaged: return "managed";
    case GuestMemoryStatus::kWaiting: return "waiting";
    case GuestMemoryStatus::kStale: return "stale";
    case GuestMemoryStatus::kDriverless: return "driverless";
    case GuestMemoryStatus::kStuck: return "stuck";
    case GuestMemoryStatus::kPaused: return "paused";
    case GuestMemoryStatus::kLeftAlone: return "left alone";
  }
  return "unknown";
}

struct MemoryManager::State {
  explicit State(MemorySettings s) : settings(std::move(s)), meter(settings.stats_period_s) {}

  MemoryPlan decide(const Sample& sample);
  Pass look(const Sample& sample, MemoryPlan& plan);
  Pool measure_pool(const HostMemory& host, const std::vector<MemoryEntry>& entries,
                    MemoryPlan& plan) const;
  void share_out(Pass& pass, MemoryPlan& plan) const;
  void share_spare(Pass& pass, Bytes left) const;
  static void withdraw_stuck(Pass& pass);
  static bool lacks(const MemoryEntry& entry);
  void release(Pass& pass) const;
  void release_one(MemoryEntry& entry, bool hurry) const;
  static void grant(Pass& pass);
  static void grant_to(MemoryEntry& entry, Bytes bytes, Bytes& free);
  void adopt(Pass& pass, MemoryPlan& plan);
  void remember_change(MemoryEntry& entry) const;

  // Whole ones of the last interval's length.
  std::uint32_t intervals_in(double seconds) const {
    return static_cast<std::uint32_t>(seconds / std::max(meter.elapsed_s(), kShortest));
  }

  MemorySettings settings;
  MemoryMeter meter;
  std::uint64_t interval = 0;
  std::map<std::string, MemoryGuest> guests;
};

MemoryManager::MemoryManager(MemorySettings settings)
    : state_(std::make_unique<State>(std::move(settings))) {}
MemoryManager::MemoryManager(MemoryManager&&) noexcept = default;
MemoryManager& MemoryManager::operator=(MemoryManager&&) noexcept = default;
MemoryManager::~MemoryManager() = default;

MemoryPlan MemoryManager::decide(const Sample& sample) { return state_->decide(sample); }

void MemoryManager::failed(const std::string& uuid) {
  const auto guest = state_->guests.find(uuid);
  if (guest == state_->guests.end()) return;
  guest->second.balloon.take_back();
  state_->meter.asked(uuid, guest->second.balloon.target());
}

MemoryPlan MemoryManager::State::decide(const Sample& sample) {
  MemoryPlan plan;
  ++interval;
  Pass pass = look(sample, plan);
  const bool first = meter.elapsed_s() <= 0;
  if (first) {
    plan.notes.emplace_back("first look: sizes are changed from the next one on");
  } else {
    share_out(pass, plan);
    withdraw_stuck(pass);
    release(pass);
    grant(pass);
  }
  adopt(pass, plan);
  return plan;
}

Pass MemoryManager::State::look(const Sample& sample, MemoryPlan& plan) {
  Pass pass;
  const std::vector<MemoryReading> readings = meter.measure(sample);
  plan.elapsed_ns = static_cast<std::int64_t>(meter.elapsed_s() * 1e9);
  const std::uint32_t patience = settings.stuck_intervals + intervals_in(kTold);
  std::map<std::string, MemoryGuest> now;
  for (std::size_t i = 0; i < sample.guests.size(); ++i) {
    const GuestSample& guest = sample.guests[i];
    MemoryGuest state{.run_id = guest.run_id, .balloon = {}, .patience = kFirstPatience};
    const auto known = guests.find(guest.uuid);
    if (known != guests.end() && known->second.run_id == guest.run_id) state = known->second;
    state.balloon.observe(readings[i].size, interval, patience);
    if (state.balloon.moved_by_others()) state.foreign_until = interval + kForeign;
    if (interval - state.reversed_at >= kCalm) {
      state.patience = std::max(state.patience / 2, kFirstPatience);
      state.reversed_at = interval;
    }
    MemoryGuest& kept = now.insert_or_assign(guest.uuid, state).first->second;
    pass.entries.push_back(
        make_entry(guest, readings[i], kept, settings, interval, meter.elapsed_s()));
    const MemoryEntry& entry = pass.entries.back();
    const bool silent = readings[i].first || readings[i].ask_again;
    if (silent && guest.memory && entry.status != GuestMemoryStatus::kLeftAlone) {
      plan.want_stats.push_back(guest.uuid);
    }
  }
  guests = std::move(now);  // nodes move with their map: the entries' pointers stay good
  pass.pool = measure_pool(sample.memory, pass.entries, plan);
  return pass;
}

// What the guests hold already and what the host can give beside.  A guest's size that it has not
// touched yet is no longer free, though the host says so.
Pool MemoryManager::State::measure_pool(const HostMemory& host,
                                        const std::vector<MemoryEntry>& entries,
                                        MemoryPlan& plan) const {
  Pool pool;
  const Bytes room = bounded(settings.room_bytes);
  const Bytes available = bounded(host.available_bytes);
  pool.reserve = settings.reserve_bytes > 0
                     ? bounded(settings.reserve_bytes)
                     : std::max(kLeastReserve, bounded(host.total_bytes) / 20);
  pool.known = host.total_bytes > 0 || settings.pool_bytes > 0;
  if (!pool.known) plan.notes.emplace_back("the host's memory is not known: nothing is granted");
  Bytes host_pool = kMostBytes;
  if (host.total_bytes > 0) {
    host_pool = available - pool.reserve;
    for (const MemoryEntry& entry : entries) host_pool += entry.reading.resident;
    pool.critical = available < pool.reserve / 2;
    pool.pressed = host.pressure_some.value_or(0) >= kPressure && available < pool.reserve * 3 / 2;
  }
  if (settings.pool_bytes > 0) host_pool = std::min(host_pool, bounded(settings.pool_bytes));
  pool.bytes = pool.known ? host_pool - room : 0;
  return pool;
}

void MemoryManager::State::share_out(Pass& pass, MemoryPlan& plan) const {
  std::vector<MemoryClaim> claims;
  Bytes left = pass.pool.bytes;
  pass.free = pass.pool.bytes;
  for (const MemoryEntry& entry : pass.entries) {
    pass.free -= entry.promised();
    if (entry.managed()) {
      claims.push_back(claim_of(entry, settings.idle_tax));
    } else {
      // In an emergency only what is really used counts: what may be touched one day is no reason
      // to take from a guest what it needs now.
      left -= pass.pool.critical ? entry.reading.resident : entry.promised();
    }
  }
  const MemoryDivision division = divide(left, claims, pass.pool.critical);
  std::size_t i = 0;
  for (MemoryEntry& entry : pass.entries) {
    if (entry.managed()) entry.entitled = division.bytes[i++];
  }
  if (!division.scarce && !pass.pool.pressed) share_spare(pass, left);
  plan.scarce = division.scarce;
  plan.critical = pass.pool.critical;
  if (plan.critical) {
    plan.notes.emplace_back(
        "critical: the host has less than half its reserve; guests give what they use, down to "
        "their minimum");
  } else if (division.overdrawn) {
    plan.notes.emplace_back("guests use more than the pool; nobody is squeezed below what it uses");
  }
  if (pass.pool.pressed) {
    plan.notes.emplace_back(
        "the host waits for memory and is near its reserve: guests release at once");
  }
}

// What nobody wants, or half of it, so that one more guest's growth does not move all the others'.
void MemoryManager::State::share_spare(Pass& pass, Bytes left) const {
  double shares = 0;
  for (const MemoryEntry& entry : pass.entries) {
    if (!entry.managed()) continue;
    left -= entry.entitled;
    shares += entry.rule.shares;
  }
  for (MemoryEntry& entry : pass.entries) {
    if (!entry.managed() || left <= 0) continue;
    const double part = static_cast<double>(left) / 2 * entry.rule.shares / shares;
    const Bytes more = std::min(bounded(settings.spare_bytes), static_cast<Bytes>(part));
    entry.entitled = std::max(entry.entitled, std::min(entry.lean + more, entry.max));
  }
}

// A wish that is not obeyed is taken back: it must not come true at a time when it harms.
void MemoryManager::State::withdraw_stuck(Pass& pass) {
  for (MemoryEntry& entry : pass.entries) {
    if (!entry.state->balloon.newly_stuck() || entry.status != GuestMemoryStatus::kStuck) continue;
    entry.target = entry.reading.size;
    entry.why = fmt::format("{}; asked for {:.0f} MiB, it does not obey: the wish is withdrawn",
                            seen_text(entry), mebi(entry.before));
  }
}

// It has to be given something.  A guest that lacks less than the dead band up to its maximum is
// given that, too: it would be killed there with memory in the pool.
bool MemoryManager::State::lacks(const MemoryEntry& entry) {
  if (!entry.may_grow || entry.target != entry.before) return false;
  const Bytes more = entry.entitled - entry.before;
  return more >= entry.band || (more > 0 && entry.entitled == entry.max);
}

void MemoryManager::State::release(Pass& pass) const {
  Bytes needed = 0;
  for (const MemoryEntry& entry : pass.entries) {
    if (lacks(entry)) needed += entry.cost(entry.entitled);
  }
  pass.hurry = needed > pass.free || pass.pool.pressed;
  for (MemoryEntry& entry : pass.entries) {
    const Bytes over = std::max(entry.reading.size, entry.before) - entry.entitled;
    const bool too_much = entry.may_shrink && over > entry.band;
    entry.state->over_for = too_much ? entry.state->over_for + 1 : 0;
    if (!too_much || lacks(entry) || entry.target != entry.before) continue;
    if (!pass.hurry && entry.state->over_for < entry.state->patience) {
      entry.why = fmt::format("{}: {:.0f} MiB too much, for {} of {} intervals", seen_text(entry),
                              mebi(over), entry.state->over_for, entry.state->patience);
      continue;
    }
    release_one(entry, pass.hurry);
  }
}

void MemoryManager::State::release_one(MemoryEntry& entry, bool hurry) const {
  // What it was just given it has, though its size does not show that yet.
  const Bytes size = std::max(entry.reading.size, entry.before);
  const Bytes over = size - entry.entitled;
  const Bytes most = std::max(bounded(settings.step_down_bytes), kMebi);
  Bytes step = std::max(hurry ? over : over / 2, std::min(entry.band, over));
  step = std::min(step, most);
  const Bytes aligned = std::min(whole(size - step + kMebi - 1), size);
  if (entry.before - aligned < entry.band) {
    entry.why = fmt::format("{}: on its way to {:.0f} MiB", seen_text(entry), mebi(entry.before));
    return;
  }
  entry.target = aligned;
  entry.why =
      fmt::format("{}, can have {:.0f}: releases {:.0f} MiB{}", seen_text(entry),
                  mebi(entry.entitled), mebi(entry.before - aligned), hurry ? ", others wait" : "");
}

void MemoryManager::State::grant_to(MemoryEntry& entry, Bytes bytes, Bytes& free) {
  Bytes aligned = bytes == entry.max ? bytes : whole(bytes);
  const Bytes own = entry.promised();
  if (bytes <= own) aligned = std::min(whole(bytes + kMebi - 1), own);
  if (aligned <= entry.target) return;
  free += entry.cost(entry.target) - entry.cost(aligned);
  entry.target = aligned;
}

// Those in need first, up to what nobody is squeezed below, the most needy before all; then all in
// proportion to what they lack.  Only what is in the pool: what others were asked to release has
// not arrived.
void MemoryManager::State::grant(Pass& pass) {
  std::vector<MemoryEntry*> needy;
  for (MemoryEntry& entry : pass.entries) {
    if (lacks(entry)) needy.push_back(&entry);
  }
  std::ranges::sort(
      needy, {}, [](const MemoryEntry* e) { return std::pair(e->reading.usable, e->guest->uuid); });
  Bytes free = std::max(pass.free, Bytes{0});
  for (MemoryEntry* entry : needy) {
    const Bytes least = std::min(entry->entitled, entry->reading.used + kLeastUsable);
    grant_to(*entry, std::min(least, entry->promised() + free), free);
  }
  Bytes lacking = 0;
  for (const MemoryEntry* entry : needy) {
    lacking += entry->cost(entry->entitled) - entry->cost(entry->target);
  }
  const Bytes left = free;
  for (MemoryEntry* entry : needy) {
    const Bytes own = std::max(entry->target, entry->promised());
    const Bytes lacks_more = std::max(entry->entitled - own, Bytes{0});
    Bytes part = lacks_more;
    if (lacking > left) {
      part = static_cast<Bytes>(static_cast<double>(lacks_more) * static_cast<double>(left) /
                                static_cast<double>(lacking));
    }
    grant_to(*entry, std::min(entry->entitled, own + part), free);
    const Bytes more = entry->target - entry->before;
    if (more < entry->band && entry->target != entry->max) {
      free += entry->cost(entry->target);
      entry->target = entry->before;
      entry->why = fmt::format("{}: waits for memory that others release", seen_text(*entry));
    } else {
      entry->why = fmt::format("{}, can have {:.0f}: gets {:.0f} MiB", seen_text(*entry),
                               mebi(entry->entitled), mebi(more));
    }
  }
  pass.free = free;
}

void MemoryManager::State::remember_change(MemoryEntry& entry) const {
  MemoryGuest& state = *entry.state;
  const int change = entry.target > entry.before ? 1 : -1;
  if (change > 0 && state.last_change < 0) {
    state.reversed_at = interval;
    state.patience = state.patience < kNextPatience ? kNextPatience
                                                    : std::min(state.patience * 2, kLastPatience);
  }
  state.last_change = change;
}

void MemoryManager::State::adopt(Pass& pass, MemoryPlan& plan) {
  Bytes promised = 0;
  const std::uint64_t late = 1 + intervals_in(kTold);
  for (const bool releases : {true, false}) {
    for (MemoryEntry& entry : pass.entries) {
      const bool less = entry.target < entry.before;
      if (entry.target == entry.before || less != releases) continue;
      plan.targets.push_back({entry.guest->uuid, entry.guest->name, unsigned_of(entry.before),
                              unsigned_of(entry.target), entry.why});
      if (entry.status == GuestMemoryStatus::kManaged) remember_change(entry);
      entry.state->balloon.ask(entry.target, interval, late);
      meter.asked(entry.guest->uuid, entry.target);
    }
  }
  for (MemoryEntry& entry : pass.entries) {
    promised += entry.promised();
    if (entry.why.empty()) entry.why = status_text(entry);
    GuestMemoryView view{.uuid = entry.guest->uuid,
                         .name = entry.guest->name,
                         .status = entry.status,
                         .size_bytes = unsigned_of(entry.reading.size),
                         .target_bytes = unsigned_of(entry.target),
                         .want_bytes = unsigned_of(entry.want),
                         .usable_bytes = {},
                         .growth_bytes_per_s = entry.reading.growth,
                         .why = entry.why};
    if (entry.reading.known) view.usable_bytes = unsigned_of(entry.reading.usable);
    plan.guests.push_back(std::move(view));
  }
  plan.pool_bytes = unsigned_of(pass.pool.bytes);
  plan.reserve_bytes = unsigned_of(pass.pool.reserve);
  plan.promised_bytes = unsigned_of(promised);
}

}  // namespace fairlead::manage
