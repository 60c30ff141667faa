// SPDX-License-Identifier: Apache-2.0
#include "block/throttle.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "block/testing_service.h"
#include "block/wake_window.h"
#include "disk/scheduler_table.h"

namespace fairlead::block {
namespace {

using nlohmann::json;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint64_t kImageSectors = 4096;

// All that happened, in virtual time.
struct Log {
  std::vector<ThrottleStory> arrivals;
  std::vector<ThrottleStory> ends;

  ThrottleOptions into(ThrottleOptions options) {
    options.on_arrival = [this](const ThrottleStory& story) { arrivals.push_back(story); };
    options.on_end = [this](const ThrottleStory& story) { ends.push_back(story); };
    return options;
  }
};

ThrottleOptions options(const std::string& scheduler, double k = 1) {
  ThrottleOptions options;
  options.drive_name = "a drive";
  options.drive = disk::LinearShape{.sectors = kImageSectors};
  options.scheduler = scheduler;
  options.shape = {.slots = 64, .owners = 64};
  options.k = k;
  return options;
}

// Without a cache every access takes two milliseconds at least.
ThrottleOptions slow_options(double k = 1) {
  ThrottleOptions chosen = options("noop", k);
  chosen.drive = disk::LinearShape{.sectors = kImageSectors, .cache = {.segments = 0}};
  return chosen;
}

// The same arrivals, given to the same scheduler and model in a simulation.
class Replay final : private disk::DiskEvents {
 public:
  Replay(const ThrottleOptions& options, const Log& log)
      : scheduler_(*disk::make_scheduler(options.scheduler, options.shape)),
        model_(disk::make_model(options.drive)),
        disk_(*scheduler_, *model_, options.shape, options.queueing),
        stories_(options.shape.slots) {
    for (const ThrottleStory& story : log.arrivals) {
      disk_.advance(story.arrived_ns, *this);  // may end who had the slot before
      stories_[story.slot] = story;
      disk_.arrive(story.slot, story.request, story.arrived_ns, *this);
    }
    while (disk_.next_ns() != disk::ModelledDisk::kNever) disk_.advance(disk_.next_ns(), *this);
  }
  const std::vector<ThrottleStory>& ends() const { return ends_; }

 private:
  void dispatched(const disk::Transfer& transfer, std::int64_t virtual_ns) override {
    for (const disk::Slot slot : transfer.slots) stories_[slot].dispatched_ns = virtual_ns;
  }
  void completed(const disk::Transfer& transfer, const disk::Access&,
                 std::int64_t virtual_ns) override {
    for (const disk::Slot slot : transfer.slots) {
      stories_[slot].ended_ns = virtual_ns;
      ends_.push_back(stories_[slot]);
    }
  }

  std::unique_ptr<disk::Scheduler> scheduler_;
  std::unique_ptr<disk::DiskModel> model_;
  disk::ModelledDisk disk_;
  std::vector<ThrottleStory> stories_;
  std::vector<ThrottleStory> ends_;
};

auto times_of(const std::vector<ThrottleStory>& stories) {
  std::vector<std::tuple<std::uint64_t, std::int64_t, std::int64_t, std::int64_t>> all;
  for (const ThrottleStory& one : stories) {
    all.emplace_back(one.request.sector, one.arrived_ns, one.dispatched_ns, one.ended_ns);
  }
  return all;
}

// A service's turns, at times of chance: it wakes up late, and the data come early or late.
class Turns {
 public:
  Turns(const ThrottleOptions& options, std::uint64_t seed, std::int64_t slowest_data_ns)
      : random_(seed),
        throttle_(*Throttle::open(options, kImageSectors, 0)),
        slowest_data_ns_(slowest_data_ns) {}

  // Requests from 8 readers, until `count` are answered.
  void run(std::uint32_t count) {
    while (answered_.size() < count) {
      now_ns_ += 1 + static_cast<std::int64_t>(random_.below(kMs / 2));
      throttle_->advance(now_ns_);
      collect();
      const std::uint64_t asks = random_.below(4);
      for (std::uint64_t i = 0; i < asks && throttle_->has_room() && asked_ < count; ++i) {
        const auto reader = static_cast<std::uint32_t>(random_.below(8));
        throttle_->arrive({.client = reader / 4, .tag = asked_++},
                          random_.below(kImageSectors / 8) * 8, 8, reader, now_ns_);
        collect();
      }
      while (!data_.empty() && data_.begin()->first <= now_ns_) {
        throttle_->data_came(data_.begin()->second, true, now_ns_);
        came_.insert(throttle_->ask(data_.begin()->second).tag);
        data_.erase(data_.begin());
      }
      collect();
    }
  }
  Throttle& throttle() { return *throttle_; }
  std::int64_t now_ns() const { return now_ns_; }

 private:
  void collect() {
    throttle_->take_started([&](disk::Slot slot, const disk::IoRequest&) {
      data_.emplace(now_ns_ + static_cast<std::int64_t>(
                                  random_.below(static_cast<std::uint64_t>(slowest_data_ns_))),
                    slot);
    });
    throttle_->take_answers([&](const Throttle::Ask& ask, bool good) {
      EXPECT_TRUE(good);
      EXPECT_TRUE(came_.contains(ask.tag)) << "answered without its data";
      EXPECT_TRUE(answered_.emplace(ask.tag, now_ns_).second) << "answered twice";
    });
  }

  base::Random random_;
  std::unique_ptr<Throttle> throttle_;
  std::int64_t slowest_data_ns_;
  std::int64_t now_ns_ = 0;
  std::uint32_t asked_ = 0;
  std::multimap<std::int64_t, disk::Slot> data_;
  std::set<std::uint32_t> came_;
  std::map<std::uint32_t, std::int64_t> answered_;
};

class ThrottleOfAny : public testing::TestWithParam<const char*> {};

TEST_P(ThrottleOfAny, DispatchesAsASimulationOfTheSameArrivals) {
  for (const double k : {1.0, 2.0, 8.0}) {
    Log log;
    const ThrottleOptions chosen = log.into(options(GetParam(), k));
    Turns turns(chosen, 1, 3 * kMs);
    turns.run(500);
    EXPECT_EQ(times_of(log.ends), times_of(Replay(chosen, log).ends()));
  }
}

TEST_P(ThrottleOfAny, AServiceDispatchesAsASimulationOfTheSameArrivals) {
  Log log;
  const TestFolder folder;
  const std::string image = make_test_image(folder / "image", kImageSectors);
  ServiceLimits limits = TestService::limits();
  limits.throttle = log.into(options(GetParam(), 0.0625));
  limits.throttle->locked = true;
  TestService service(image, limits);
  {
    const auto client = service.client();
    std::vector<std::jthread> readers;
    for (std::uint32_t t = 0; t < 4; ++t) {
      readers.emplace_back([&, t] {
        base::Random random(t);
        std::byte bytes[512];
        for (int i = 0; i < 50; ++i) {
          const std::uint64_t sector = random.below(kImageSectors);
          EXPECT_EQ(client->read(sector, bytes), ReadStatus::kOk);
          EXPECT_TRUE(holds_sectors(bytes, sector, 1));
        }
      });
    }
  }
  const HostEnd end = service.stop();
  EXPECT_EQ(log.ends.size(), 200U);
  EXPECT_EQ(times_of(log.ends), times_of(Replay(*limits.throttle, log).ends()));
  ASSERT_TRUE(end.totals.throttle);
  EXPECT_EQ(end.totals.throttle->answered, 200U);
}

std::vector<const char*> scheduler_names() {
  std::vector<const char*> all;
  for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) all.push_back(kind.name);
  return all;
}

std::string name_for_test(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Schedulers, ThrottleOfAny, testing::ValuesIn(scheduler_names()),
                         name_for_test);

TEST(Throttle, NobodyIsAnsweredBeforeTheModelsEnd) {
  Log log;
  Turns turns(log.into(slow_options(2)), 3, 1000);
  turns.run(300);
  std::int64_t least = INT64_MAX;
  for (const ThrottleStory& story : log.ends) {
    least = std::min(least, story.ended_ns - story.arrived_ns);
  }
  EXPECT_GE(least, 2 * kMs);
  const ThrottleStats stats = turns.throttle().stats();
  EXPECT_EQ(stats.late, 0U);
  EXPECT_EQ(stats.answered, 300U);
  // Turns are half a millisecond apart at most.
  EXPECT_LT(stats.lateness_ns.max(), 500'000U);
}

TEST(Throttle, WithinIsAFiftiethOfTheResponse) {
  const auto throttle = *Throttle::open(slow_options(), kImageSectors, 0);
  std::int64_t now = 0;
  const auto answered_late = [&](std::uint64_t sector, std::int64_t late_ns) {
    throttle->arrive({}, sector, 8, 1, now);
    throttle->take_started(
        [&](disk::Slot slot, const disk::IoRequest&) { throttle->data_came(slot, true, now + 1); });
    EXPECT_EQ(throttle->next_ns(), now + 2 * kMs);
    throttle->advance(now + 2 * kMs + late_ns);
    throttle->take_answers([](const Throttle::Ask&, bool) {});
    now += 10 * kMs;
    return throttle->stats().within;
  };
  EXPECT_EQ(answered_late(0, 39'000), 1U);
  EXPECT_EQ(answered_late(8, 41'000), 1U);
  EXPECT_EQ(answered_late(16, 0), 2U);
}

TEST(Throttle, DataThatComeLateAreCountedAndDelayNobodyElse) {
  Log early;
  Log late;
  Turns quick(early.into(options("noop")), 4, 1000);
  Turns slow(late.into(options("noop")), 4, 1000);
  quick.run(200);
  slow.run(200);
  ASSERT_EQ(times_of(early.ends), times_of(late.ends));
  Log log;
  Turns turns(log.into(options("noop")), 5, 20 * kMs);
  turns.run(200);
  EXPECT_GT(turns.throttle().stats().late, 20U);
  for (std::size_t i = 1; i < log.ends.size(); ++i) {
    EXPECT_LE(log.ends[i].ended_ns - log.ends[i - 1].ended_ns, 40 * kMs);
  }
}

TEST(Throttle, KGrowsWhereTheDataAreLateAndShrinksWhereTheyAreNot) {
  const auto k_after = [](std::int64_t slowest_data_ns, double k, bool locked) {
    Log log;
    ThrottleOptions chosen = log.into(slow_options(k));
    chosen.locked = locked;
    Turns turns(chosen, 6, slowest_data_ns);
    turns.run(20'000);
    // As much slower on the whole as k was in between.
    const double after = turns.throttle().stats().k;
    const auto virtual_ns = static_cast<double>(log.ends.back().ended_ns);
    const double slower = static_cast<double>(turns.now_ns()) / virtual_ns;
    EXPECT_GT(slower, std::min(k, after) * (after == k ? 0.99 : 1.02));
    EXPECT_LT(slower, std::max(k, after) * (after == k ? 1.01 : 0.98));
    return after;
  };
  EXPECT_GT(k_after(20 * kMs, 1, false), 2);
  EXPECT_EQ(k_after(20 * kMs, 1, true), 1);
  EXPECT_LT(k_after(1000, 4, false), 4);
}

TEST(Throttle, AnImageThatIsLargerThanTheDriveIsRefused) {
  const auto refused = Throttle::open(options("noop"), kImageSectors + 1, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "throttle to a drive: it has 4096 sectors, the image 4097");
}

TEST(Throttle, AClientThatLeavesLeavesNothingBehind) {
  const TestFolder folder;
  const std::string image = make_test_image(folder / "image", kImageSectors);
  Log log;
  ServiceLimits limits = TestService::limits();
  limits.throttle = log.into(options("cats"));
  limits.throttle->shape.owners = 2;  // one thread, and all others
  TestService service(image, limits);
  for (int round = 0; round < 3; ++round) {
    {
      const auto client = service.client();
      std::jthread([&] {
        std::byte bytes[512];
        EXPECT_EQ(client->read(17, bytes), ReadStatus::kOk);
        EXPECT_TRUE(holds_sectors(bytes, 17, 1));
      }).join();
    }
    ASSERT_TRUE(
        eventually([&] { return json::parse(service.status())["clients_connected"] == 0; }));
  }
  const HostEnd end = service.stop();
  EXPECT_EQ(end.how, RunEnd::kDrained);
  EXPECT_EQ(end.totals.answered, end.totals.requests);
  ASSERT_EQ(log.arrivals.size(), 3U);
  for (const ThrottleStory& story : log.arrivals) EXPECT_EQ(story.request.owner, 1U);
}

TEST(Throttle, AReadThatFailsIsAnErrorAtTheModelsEnd) {
  const TestFolder folder;
  const std::string image = make_test_image(folder / "image", kImageSectors);
  ServiceLimits limits = TestService::limits();
  limits.throttle = slow_options();
  TestService service(image, limits);
  const auto client = service.client();
  std::filesystem::resize_file(image, 4096);
  std::byte bytes[512];
  EXPECT_EQ(client->read(2000, bytes), ReadStatus::kIoError);
  EXPECT_EQ(client->read(5, bytes), ReadStatus::kOk);
  EXPECT_GE(json::parse(service.status())["throttle"]["virtual_response_ns"]["mean"], 2 * kMs);
}

TEST(Throttle, StandsInTheReport) {
  const TestFolder folder;
  const std::string image = make_test_image(folder / "image", kImageSectors);
  ServiceLimits limits = TestService::limits();
  limits.throttle = options("deadline", 0.5);
  const TestService service(image, limits);
  std::byte bytes[512];
  ASSERT_EQ(service.client()->read(5, bytes), ReadStatus::kOk);
  const json throttle = json::parse(service.status())["throttle"];
  EXPECT_EQ(throttle["drive"], "a drive");
  EXPECT_EQ(throttle["scheduler"], "deadline");
  EXPECT_EQ(throttle["k"], 0.5);
  EXPECT_EQ(throttle["answered"], 1);
  EXPECT_GE(throttle["virtual_response_ns"]["mean"], 2'000'000);
}

TEST(OwnerTable, KnowsThreadsUntilTheirClientLeaves) {
  OwnerTable owners(4);
  const std::uint32_t a = owners.of(0, 1);
  const std::uint32_t b = owners.of(0, 2);
  const std::uint32_t c = owners.of(1, 1);
  EXPECT_EQ((std::set{a, b, c}), (std::set{1U, 2U, 3U}));
  EXPECT_EQ(owners.of(0, 2), b);
  EXPECT_EQ(owners.of(1, 2), 0U) << "full: all others share one";
  owners.leave(0);
  EXPECT_EQ(owners.of(1, 1), c);
  EXPECT_NE(owners.of(1, 2), 0U);
  EXPECT_NE(owners.of(2, 7), 0U);
  EXPECT_EQ(owners.of(2, 8), 0U);
}

TEST(WakeWindow, IsAsLongAsSleepsOverrun) {
  WakeWindow window;
  for (int i = 0; i < 128; ++i) window.woke(50'000 + i);
  EXPECT_NEAR(static_cast<double>(window.ns()), 50'127, 1);
  for (int i = 0; i < 128; ++i) window.woke(i < 10 ? 5'000'000 : 1000);
  EXPECT_EQ(window.ns(), WakeWindow::kMostNs);
  for (int i = 0; i < 128; ++i) window.woke(-5);
  EXPECT_EQ(window.ns(), WakeWindow::kMostNs) << "something else ended these";
  for (int i = 0; i < 128; ++i) window.woke(1);
  EXPECT_EQ(window.ns(), WakeWindow::kLeastNs);
}

}  // namespace
}  // namespace fairlead::block
