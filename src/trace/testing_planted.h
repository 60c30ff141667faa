// SPDX-License-Identifier: Apache-2.0
//
// For tests: traces of which everything is known beforehand.
//
// Request n is read or written (every third) at sector 64 n of the host's loop0, on processors 0
// and 1 in turn, with the same time in each stage; it ends on the other processor.  With a guest
// each has been one of the guest's vda before, and comes to loop0 by a remap.
#pragma once

#include <cstdint>
#include <string_view>

#include "trace/time_order.h"
#include "trace/trace.h"

namespace fairlead::trace {

struct PlantedStages {
  std::int64_t q2g_ns = 1'100;
  std::int64_t g2i_ns = 700;
  std::int64_t i2d_ns = 2'300;
  std::int64_t d2c_ns = 51'000;
  std::int64_t guest_q2d_ns = 4'000;
  std::int64_t guest_d2a_ns = 6'000;
  std::int64_t a2q_ns = 300;
};

struct PlantOptions {
  unsigned requests = 300;
  bool guest = false;
  bool ids = true;                 // requests have one
  std::string_view loss = "none";  // middle, tail, all
};

constexpr std::uint32_t kPlantedLoop = 7U << 20;
constexpr std::uint32_t kPlantedVda = 254U << 20;
constexpr std::int64_t kPlantedEveryNs = 100'000;

class Planter {
 public:
  explicit Planter(const PlantOptions& options) : options_(options) {
    trace_.wall_start_ns = 1'700'000'000'123'456'789;
    trace_.sources.push_back({SourceKind::kHost, "host", 0, true, {}});
    trace_.devices.push_back({0, kPlantedLoop, "loop0"});
    trace_.names.push_back({0, 100, "fio"});
    trace_.names.push_back({0, 101, "a longer \"name\"\nof two lines"});
    if (!options.guest) return;
    trace_.sources.push_back(
        {SourceKind::kGuest, "guest 1", 250, true, {{40'000'000'000, 40'000'000'500}}});
    trace_.devices.push_back({1, kPlantedVda, "vda"});
    trace_.names.push_back({1, 100, "dd"});
  }

  Trace plant() {
    if (options_.loss != "all") {
      for (unsigned n = 0; n < options_.requests; ++n) request(n);
    }
    order_by(trace_.events, &Event::time_ns);
    lose();
    return trace_;
  }

 private:
  using Act = abi::BlockAct;
  using Category = abi::BlockCategory;

  void event(std::int64_t time_ns, unsigned n, unsigned cpu, Act act, Category category,
             std::uint16_t source = 0) {
    Event event;
    event.time_ns = time_ns;
    event.source = source;
    event.stream = static_cast<std::uint16_t>(cpu);
    const bool writes = n % 3 == 2;
    const auto bit = [](Category c) { return std::uint32_t{1} << (16 + unsigned(c)); };
    event.block.sector = 64ULL * n;
    event.block.request = options_.ids ? n + 1 : 0;
    event.block.bytes = writes ? 8192 : 4096;
    event.block.action =
        std::uint32_t(act) | bit(category) | bit(writes ? Category::kWrite : Category::kRead);
    event.block.device = source == 0 ? kPlantedLoop : kPlantedVda;
    event.block.pid = 100 + n % 2;
    event.block.cpu = event.stream;
    if (act == Act::kRemap) {
      event.block.request = kPlantedVda;
      event.block.aux = event.block.sector;
    }
    trace_.events.push_back(event);
  }

  void request(unsigned n) {
    const unsigned cpu = n % 2;
    std::int64_t at = 1'000 + n * kPlantedEveryNs;
    if (options_.guest) {
      event(at, n, cpu, Act::kQueue, Category::kQueue, 1);
      event(at += stages_.guest_q2d_ns, n, cpu, Act::kIssue, Category::kIssue, 1);
      event(at += stages_.guest_d2a_ns, n, cpu, Act::kRemap, Category::kQueue);
      at += stages_.a2q_ns;
    }
    event(at, n, cpu, Act::kQueue, Category::kQueue);
    event(at += stages_.q2g_ns, n, cpu, Act::kGetRequest, Category::kQueue);
    event(at += stages_.g2i_ns, n, cpu, Act::kInsert, Category::kQueue);
    event(at += stages_.i2d_ns, n, cpu, Act::kIssue, Category::kIssue);
    event(at += stages_.d2c_ns, n, 1 - cpu, Act::kComplete, Category::kComplete);
    if (options_.guest) event(at + 500, n, 1 - cpu, Act::kComplete, Category::kComplete, 1);
  }

  void lose() {
    using enum abi::TraceLossCause;
    const std::int64_t end = 1'000 + options_.requests * kPlantedEveryNs;
    if (options_.loss == "middle") {
      lost(end / 2, end / 2 + 10, 7, 0, kFull);
      lost(end / 2 + 20, end / 2 + 30, 5, 1, kKernel);
    }
    if (options_.loss == "tail") lost(end, end + 100, 11, 1, kOverwritten);
    if (options_.loss == "all") {
      lost(1'000, end, 1000, 0, kState);
      lost(1'000, end + 1, 24, 1, kState);
    }
  }

  void lost(std::int64_t first_ns, std::int64_t last_ns, std::uint64_t records,
            std::uint16_t stream, abi::TraceLossCause cause) {
    trace_.losses.push_back({first_ns, last_ns, records, 64 * records, 0, stream, cause});
  }

  PlantOptions options_;
  PlantedStages stages_;
  Trace trace_;
};

}  // namespace fairlead::trace
