// SPDX-License-Identifier: Apache-2.0
//
// message_stream CARRIER: messages of one size from a process to another (apps/message_stream.h):
// one JSON object.  `message_stream sweep`: the two sweeps of document 003, slides 16 and 17, as
// CSV: all carriers with reads as long as writes, then writes of 26 bytes and longer reads.
#include "apps/message_stream.h"

#include <cstdio>

#include "apps/command_line.h"
#include "report.h"

namespace {

using namespace fairlead;
using apps::Carrier;
using apps::MessageStreamPlan;
using apps::MessageStreamResult;

MessageStreamResult run(const MessageStreamPlan& plan) {
  auto result = apps::run_message_stream(plan);
  if (!result) bench::die(result.error().message());
  return *result;
}

void print_json(const MessageStreamPlan& plan, const MessageStreamResult& result) {
  std::string out;
  base::JsonWriter(out)
      .begin_object()
      .member("carrier", apps::name_of(plan.carrier))
      .member("write_bytes", plan.write_bytes)
      .member("read_bytes", plan.read_bytes)
      .member("messages", result.messages)
      .member("reads", result.reads)
      .member("wall_ns", result.wall_ns)
      .member("messages_per_second", result.messages_per_second())
      .member("bytes_per_second", result.bytes_per_second())
      .end_object();
  std::puts(out.c_str());
}

void sweep_one(const char* sweep, MessageStreamPlan plan) {
  const MessageStreamResult result = run(plan);
  std::printf("%s,%s,%u,%u,%.0f,%.0f,%llu,%llu\n", sweep, apps::name_of(plan.carrier),
              plan.write_bytes, plan.read_bytes, result.messages_per_second(),
              result.bytes_per_second(), static_cast<unsigned long long>(result.messages),
              static_cast<unsigned long long>(result.reads));
  std::fflush(stdout);
}

void sweep(MessageStreamPlan plan) {
  constexpr std::uint32_t kRecord = 26;  // the document's
  std::puts("sweep,carrier,write_bytes,read_bytes,messages_per_s,bytes_per_s,messages,reads");
  for (const std::uint32_t bytes : apps::message_stream_sizes()) {
    for (const Carrier carrier : {Carrier::kRelay, Carrier::kPipe, Carrier::kUnix, Carrier::kTcp}) {
      plan.carrier = carrier;
      plan.write_bytes = plan.read_bytes = bytes;
      sweep_one("equal", plan);
      plan.write_bytes = kRecord;
      sweep_one("records", plan);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("carry messages of one size from a process to another", "message_stream");
  MessageStreamPlan plan;
  std::string mode;
  double seconds = 1;
  double warm_up = 0.2;
  app.add_option("carrier", mode)
      .required()
      .check(apps::one_of({"relay", "pipe", "unix", "tcp", "memcpy", "sweep"}, apps::InHelp::kYes));
  app.add_option("--write", plan.write_bytes, "bytes of a message");
  app.add_option("--read", plan.read_bytes, "bytes asked for at once; 0: as the carrier does best");
  app.add_option("--buffer", plan.buffer_bytes, "bytes of channel, pipe or ring");
  app.add_option("--seconds", seconds).check(apps::positive());
  app.add_option("--warm-up", warm_up).check(apps::not_negative());
  app.add_flag("--pin", plan.pin, "each process to a core of its own");
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  plan.duration_ns = static_cast<std::int64_t>(seconds * 1e9);
  plan.warm_up_ns = static_cast<std::int64_t>(warm_up * 1e9);
  if (mode == "sweep") {
    sweep(plan);
    return 0;
  }
  plan.carrier = *apps::carrier_named(mode);
  print_json(plan, run(plan));
  return 0;
}
