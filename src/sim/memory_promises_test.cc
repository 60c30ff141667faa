// SPDX-License-Identifier: Apache-2.0
//
// manage::MemoryManager: what must hold in any simulated world.  The seed of a failure replays it:
// FL_SEED=N.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "manage/memory_manager.h"
#include "sim/memory_world.h"
#include "sim/testing_worlds.h"

namespace fairlead::sim {
namespace {

using manage::GuestMemoryStatus;
using manage::kMiB;

constexpr std::uint64_t kMemoryWorlds = worlds(10'000, 300);

constexpr double kMostStep = 100;  // MiB
constexpr double kOrdinary = 20;   // MiB/s: growth at which nobody may be killed

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / kMiB; }

struct Totals {
  std::uint64_t intervals = 0;
  std::uint64_t targets = 0;
  std::uint64_t kills = 0;
  std::uint64_t kills_at_maximum = 0;
  std::uint64_t scarce = 0;
  std::uint64_t critical = 0;
  std::uint64_t honest = 0;  // guest intervals of honest, obeying guests at ordinary growth
  std::uint64_t comfortable = 0;
  std::uint64_t judged = 0;  // guests, for reversals
  std::uint64_t restless = 0;
};

class RandomMemoryWorld {
 public:
  RandomMemoryWorld(std::uint64_t seed, Totals& totals)
      : random_(seed),
        host_mib_(2048 + 1024.0 * static_cast<double>(random_.below(14))),
        calm_(random_.below(2) == 0),
        world_(static_cast<std::uint64_t>(host_mib_) * kMiB, seed),
        manager_(settings()),
        totals_(totals) {
    const std::uint64_t guests = 1 + random_.below(6);
    for (std::uint64_t i = 0; i < guests; ++i) add_guest();
    // A host that is promised already cannot be kept from what its guests are promised.
    kept_ = calm_ && promised_mib() + reserve_mib_ <= host_mib_;
  }

  void run(std::uint32_t intervals) {
    for (std::uint32_t i = 0; i < intervals; ++i) {
      if (random_.below(3) == 0) disturb();
      if (random_.below(4) == 0) new_load(random_.below(guests_.size()));
      const std::size_t kills = world_.kills().size();
      world_.advance(base::kNanosPerSecond / 2 * static_cast<std::int64_t>(1 + random_.below(5)));
      check_kills(kills);
      if (kept_) {
        ASSERT_GE(world_.least_available_mib(), reserve_mib_) << "the host's reserve is gone";
      }
      const auto sample = *world_.sample();
      const auto plan = manager_.decide(sample);
      if (std::getenv("FL_SEED") != nullptr) print(plan);
      check_plan(sample, plan);
      if (testing::Test::HasFatalFailure()) return;
      apply(plan);
      if (testing::Test::HasFatalFailure()) return;
    }
    for (const Guest& guest : guests_) {
      ++totals_.judged;
      if (guest.reversals * 10 > intervals) ++totals_.restless;
    }
  }

 private:
  void print(const manage::MemoryPlan& plan) const {
    std::printf("%.1f s: pool %.0f, promised %.0f%s, host %.0f MiB\n",
                static_cast<double>(plan.elapsed_ns) / 1e9, mib(plan.pool_bytes),
                mib(plan.promised_bytes), plan.scarce ? ", scarce" : "", world_.available_mib());
    for (const auto& guest : plan.guests) {
      const auto truth = world_.truth(number_of(guest.name));
      std::printf("  %s %-10s uses %.0f, asked for %.0f -> %.0f: %s\n", guest.name.c_str(),
                  std::string(name(guest.status)).c_str(), truth.used_mib, truth.target_mib,
                  mib(guest.target_bytes), guest.why.c_str());
    }
  }

  struct Guest {
    MemoryGuestOptions options;
    MemoryLoad load;
    bool tampered = false;  // stopped obeying, was resized by hand, or had a load too steep
    int last_change = 0;
    std::uint32_t reversals = 0;
  };

  manage::MemorySettings settings() {
    manage::MemorySettings settings;
    reserve_mib_ = std::max(200.0, host_mib_ * 0.05);
    if (random_.below(4) == 0) {
      pool_mib_ = 800 + 400.0 * static_cast<double>(random_.below(6));
      settings.pool_bytes = static_cast<std::uint64_t>(pool_mib_) * kMiB;
    }
    if (random_.below(6) == 0) room_mib_ = 300;
    settings.room_bytes = static_cast<std::uint64_t>(room_mib_) * kMiB;
    settings.rules["g1"].shares = 3000;
    if (random_.below(4) == 0) settings.rules["g0"].leave_alone = true;
    if (random_.below(4) == 0) settings.rules["g2"].max_bytes = 700 * kMiB;
    if (random_.below(4) == 0) settings.rules["g3"].min_bytes = 450 * kMiB;
    settings_ = settings;
    return settings;
  }

  void add_guest() {
    MemoryGuestOptions o;
    o.base = (60 + random_.below(300)) * kMiB;
    o.start = o.base + (20 + random_.below(600)) * kMiB;
    o.maximum = std::max(o.start, (400 + random_.below(3000)) * kMiB);
    o.inflate_rate = static_cast<double>((random_.below(4) == 0 ? 20 : 400) * kMiB);
    o.deflate_rate = static_cast<double>((random_.below(4) == 0 ? 100 : 800) * kMiB);
    o.lag_ns = static_cast<std::int64_t>(random_.below(4)) * base::kNanosPerSecond / 8;
    o.driver = random_.below(12) != 0;
    o.obeys = random_.below(12) != 0;
    if (random_.below(8) == 0) o.boot_s = static_cast<double>(random_.below(10));
    if (random_.below(5) == 0) o.lie = static_cast<GuestLie>(1 + random_.below(kGuestLies));
    o.deflate_on_oom = random_.below(4) == 0;
    if (random_.below(4) == 0) o.swap = random_.below(800) * kMiB;
    world_.add_guest(o);
    guests_.push_back({.options = o, .load = {}});
    new_load(guests_.size() - 1);
  }

  void new_load(std::size_t guest) {
    MemoryLoad load;
    load.shape = static_cast<MemoryShape>(random_.below(6));
    const bool steep = random_.below(5) == 0;
    load.rate = (steep ? 200.0 : kOrdinary) * random_.unit() * kMiB;
    load.limit = (50 + random_.below(1500)) * kMiB;
    load.touch = static_cast<double>(random_.below(100) * kMiB);
    if (steep) guests_[guest].tampered = true;
    guests_[guest].load = load;
    world_.set_load(static_cast<std::uint32_t>(guest), load);
  }

  void disturb() {
    const auto i = static_cast<std::uint32_t>(random_.below(guests_.size()));
    const std::uint64_t what = random_.below(8);
    if (what >= 6) return new_load(i);
    guests_[i].tampered = true;
    switch (what) {
      case 0:
        if (!calm_) add_guest();
        break;
      case 1: world_.remove_guest(i); break;
      case 2: world_.pause(i, random_.below(2) == 0); break;
      case 3: world_.set_obeys(i, random_.below(2) == 0); break;
      case 4:
        if (!calm_) {
          world_.reboot(i);
          world_.set_foreign(random_.below(static_cast<std::uint64_t>(host_mib_)) / 2 * kMiB);
        }
        break;
      default:
        if (!calm_) {
          const std::uint64_t least = guests_[i].options.base + 50 * kMiB;
          world_.resize_by_hand(i, least + random_.below(500) * kMiB);
        }
    }
  }

  double promised_mib() const {
    double sum = 0;
    for (std::uint32_t g = 0; g < world_.guests(); ++g) {
      const auto truth = world_.truth(g);
      if (truth.present) sum += truth.promised_mib;
    }
    return sum;
  }

  // Nobody is killed below his maximum while the pool has memory, if he says what he uses, does
  // what he is asked, and grows no faster than the document's loads.
  void check_kills(std::size_t before) {
    for (std::size_t k = before; k < world_.kills().size(); ++k) {
      const MemoryKill& kill = world_.kills()[k];
      ++totals_.kills;
      if (kill.at_maximum) {
        ++totals_.kills_at_maximum;
        continue;
      }
      const Guest& guest = guests_[kill.guest];
      if (!ordinary(guest, kill.guest) || free_for_ < 3) continue;
      const double limit = limit_mib(kill.guest);
      ASSERT_GE(mib(kill.size), limit - 1)
          << "g" << kill.guest << " killed with " << free_mib_ << " MiB in the pool";
    }
  }

  double limit_mib(std::uint32_t guest) const {
    const double own = mib(guests_[guest].options.maximum);
    return guest == 2 && settings_.rules.contains("g2") ? std::min(own, 700.0) : own;
  }

  bool ordinary(const Guest& guest, std::uint32_t number) const {
    const MemoryGuestOptions& o = guest.options;
    const bool left_alone = number == 0 && settings_.rules.contains("g0");
    return managed_for(number) >= 3 && !left_alone && !guest.tampered && o.driver && o.obeys &&
           o.boot_s == 0 && o.lie == GuestLie::kNone && o.inflate_rate > 100.0 * kMiB;
  }

  std::uint32_t managed_for(std::uint32_t guest) const {
    return guest < managed_for_.size() ? managed_for_[guest] : 0;
  }

  void check_plan(const manage::Sample& sample, const manage::MemoryPlan& plan) {
    ++totals_.intervals;
    totals_.targets += plan.targets.size();
    totals_.scarce += plan.scarce ? 1 : 0;
    totals_.critical += plan.critical ? 1 : 0;
    ASSERT_EQ(plan.guests.size(), sample.guests.size());
    managed_for_.resize(guests_.size());
    for (std::size_t i = 0; i < sample.guests.size(); ++i) {
      const manage::GuestMemoryView& view = plan.guests[i];
      ASSERT_FALSE(view.why.empty());
      ASSERT_TRUE(std::isfinite(view.growth_bytes_per_s) && view.growth_bytes_per_s >= 0);
      ASSERT_LE(view.usable_bytes.value_or(0), view.size_bytes);
      const std::uint32_t g = number_of(view.name);
      managed_for_[g] = view.status == GuestMemoryStatus::kManaged ? managed_for_[g] + 1 : 0;
      count_comfort(g, plan);
    }
    std::set<std::string> seen;
    bool granted = false;
    for (const auto& target : plan.targets) {
      ASSERT_TRUE(seen.insert(target.uuid).second) << "asked twice in one plan";
      ASSERT_FALSE(target.why.empty());
      const bool grants = target.to_bytes > target.from_bytes;
      ASSERT_TRUE(grants || !granted) << "a grant before a release";
      granted = granted || grants;
      const auto at = std::ranges::find(plan.guests, target.uuid, &manage::GuestMemoryView::uuid);
      check_target(target, *at, plan.critical);
      if (testing::Test::HasFatalFailure()) return;
    }
    free_mib_ = mib(plan.pool_bytes) - mib(plan.promised_bytes);
    free_for_ = free_mib_ >= 300 ? free_for_ + 1 : 0;
  }

  void check_target(const manage::MemoryTarget& target, const manage::GuestMemoryView& view,
                    bool critical) {
    const std::uint32_t g = number_of(target.name);
    const double to = mib(target.to_bytes);
    const double size = mib(view.size_bytes);
    const bool withdrawn = view.status == GuestMemoryStatus::kStuck;
    ASSERT_TRUE(view.status == GuestMemoryStatus::kManaged || withdrawn)
        << name(view.status) << " and asked";
    ASSERT_TRUE(guests_[g].options.driver) << "a guest without a driver was asked";
    ASSERT_FALSE(g == 0 && settings_.rules.contains("g0") && settings_.rules.at("g0").leave_alone);
    ASSERT_LE(target.to_bytes, guests_[g].options.maximum);
    const double least = g == 3 && settings_.rules.contains("g3") ? 450 : 200;
    ASSERT_GE(to, std::min({least, size, limit_mib(g)}) - 0.01) << "below its minimum";
    ASSERT_LE(size - to, kMostStep) << "released too much at once";
    if (!withdrawn) {
      const double band = std::min(std::max(16.0, size / 50), kMostStep);
      const double change = std::abs(to - mib(target.from_bytes));
      ASSERT_TRUE(change >= band - 0.01 || to >= limit_mib(g) - 0.01) << "inside the dead band";
    }
    if (!critical && view.usable_bytes && to < size) {
      ASSERT_GE(to, size - mib(*view.usable_bytes) + 50 - 0.01) << "squeezed below what it uses";
    }
    const int change = target.to_bytes > target.from_bytes ? 1 : -1;
    Guest& guest = guests_[g];
    if (guest.last_change * change < 0) ++guest.reversals;
    guest.last_change = change;
  }

  // The truth: what all may take together, after a grant, leaves the host its reserve.
  void apply(const manage::MemoryPlan& plan) {
    bool granted = false;
    for (const auto& target : plan.targets) {
      if (random_.below(20) == 0) {
        manager_.failed(target.uuid);
        managed_for_[number_of(target.name)] = 0;
        continue;
      }
      const std::uint32_t g = number_of(target.name);
      const double before = world_.truth(g).promised_mib;
      ASSERT_TRUE(world_.set_memory(target.uuid, target.to_bytes));
      granted = granted || world_.truth(g).promised_mib > before;
    }
    for (const auto& uuid : plan.want_stats) ASSERT_TRUE(world_.set_stats_period(uuid, 1));
    if (!granted || !calm_) return;
    const double promised = promised_mib();
    ASSERT_LE(promised + reserve_mib_ + room_mib_, host_mib_ + 0.01) << "promised twice";
    if (pool_mib_ > 0) {
      ASSERT_LE(promised + room_mib_, pool_mib_ + 0.01) << "more than the pool";
    }
  }

  void count_comfort(std::uint32_t g, const manage::MemoryPlan& plan) {
    if (!ordinary(guests_[g], g) || plan.scarce || free_mib_ < 100) return;
    const auto truth = world_.truth(g);
    if (limit_mib(g) - truth.used_mib < 100) return;
    ++totals_.honest;
    if (truth.usable_mib >= 100) ++totals_.comfortable;
  }

  static std::uint32_t number_of(const std::string& name) {
    return static_cast<std::uint32_t>(std::stoul(name.substr(1)));
  }

  base::Random random_;
  double host_mib_;
  bool calm_;  // nothing comes, and no foreign process takes memory
  double reserve_mib_ = 0;
  double pool_mib_ = 0;
  double room_mib_ = 0;
  bool kept_ = false;
  double free_mib_ = 0;         // of the pool, after the last plan
  std::uint32_t free_for_ = 0;  // plans in a row with more than enough of it
  manage::MemorySettings settings_;
  MemoryWorld world_;
  manage::MemoryManager manager_;
  Totals& totals_;
  std::vector<Guest> guests_;
  std::vector<std::uint32_t> managed_for_;
};

TEST(MemoryPromises, HoldInRandomWorlds) {
  const char* only = std::getenv("FL_SEED");
  const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  const std::uint64_t last = only != nullptr ? first : kMemoryWorlds;
  Totals totals;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("replay with FL_SEED=" + std::to_string(seed));
    RandomMemoryWorld(seed, totals).run(30);
    if (testing::Test::HasFatalFailure()) return;
  }
  std::printf(
      "%ju intervals, %ju targets, %ju scarce, %ju critical; %ju kills, %ju of them at maximum; "
      "usable >= 100 MiB in %.2f %% of %ju; more than 1 reversal in 10 intervals: %ju of %ju\n",
      totals.intervals, totals.targets, totals.scarce, totals.critical, totals.kills,
      totals.kills_at_maximum,
      100.0 * static_cast<double>(totals.comfortable) / static_cast<double>(totals.honest),
      totals.honest, totals.restless, totals.judged);
  if (only != nullptr) return;
  EXPECT_GE(totals.comfortable * 100, totals.honest * 95);
  EXPECT_LE(totals.restless * 100, totals.judged * 4);
}

}  // namespace
}  // namespace fairlead::sim
