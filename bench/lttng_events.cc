// SPDX-License-Identifier: Apache-2.0
//
// lttng_events: what a block event costs its writer with LTTng-UST (event_bursts.h), the peer of
// relay_events.  The session is the caller's: without one the tracepoint is off.  What LTTng lost
// its session says, not this program.
#include <cstdio>
#include <cstring>

#include "event_bursts.h"
#include "lttng_provider.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  static_assert(sizeof(fairlead_block_event) == sizeof(abi::BlockEvent));
  apps::CommandLine app("measure what an event costs its writer with LTTng-UST", "lttng_events");
  std::string as;
  bench::EventPlan plan;
  app.add_option("as", as, "how the payload is declared")
      .required()
      .check(apps::one_of({"fields", "bytes"}, apps::InHelp::kYes));
  plan.add_to(app);
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  fairlead_block_event event;
  const auto of = [&](std::uint64_t number) {
    const abi::BlockEvent made = bench::make_event(number);
    std::memcpy(&event, &made, sizeof event);
    return &event;
  };
  const auto as_fields = [&](std::uint64_t number) {
    asm volatile("" : : "r"(number));
    lttng_ust_tracepoint(fairlead_bench, fields, of(number));
  };
  const auto as_bytes = [&](std::uint64_t number) {
    asm volatile("" : : "r"(number));
    lttng_ust_tracepoint(fairlead_bench, bytes, of(number));
  };
  const bench::EventTimes times = as == "fields" ? bench::measure_events(plan, as_fields)
                                                 : bench::measure_events(plan, as_bytes);
  std::string out;
  base::JsonWriter json(out);
  json.begin_object().member("as", as);
  bench::add_times(json, times);
  json.end_object();
  std::puts(out.c_str());
  return 0;
}
