// SPDX-License-Identifier: Apache-2.0
//
// relay_events MODE: what a block event of 64 bytes costs its writer (event_bursts.h).
//
//   on     a consumer, a process of its own, reads and writes all down in --to, as LTTng's does
//   off    the event source is compiled in, and nobody is connected
//   bare   the loop alone, that writes no event: to be taken off the others
//
// Loss is counted: an honest figure has none.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>

#include "event_bursts.h"
#include "relay/consumer.h"
#include "relay/producer.h"

namespace {

using namespace fairlead;
using bench::die;

struct Options {
  std::string mode;
  std::string to = "/dev/null";
  std::uint32_t sub_buffer = 256 * 1024;
  std::uint32_t sub_buffers = 8;
  bench::EventPlan plan;
};

// Begins anew where it would grow beyond this, so that no disk fills up.
constexpr off_t kMostFileBytes = 64 << 20;

void write_down(int file, std::span<const std::byte> data) {
  if (::lseek(file, 0, SEEK_CUR) > kMostFileBytes) ::lseek(file, 0, SEEK_SET);
  while (!data.empty()) {
    const ssize_t put = ::write(file, data.data(), data.size());
    if (put <= 0) bench::die_errno("write down what was read");
    data = data.subspan(static_cast<std::size_t>(put));
  }
}

[[noreturn]] void consume(base::Fd memfd, std::uint64_t bytes, const std::string& to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int file = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) bench::die_errno("open " + to);
  auto consumer = relay::Consumer::connect(std::move(memfd), bytes);
  if (!consumer) die(consumer.error().message());
  relay::StreamPiece piece;
  while (!consumer->ended()) {
    for (auto look = consumer->read(piece); look && *look != relay::Look::kEmpty;
         look = consumer->read(piece)) {
      write_down(file, piece.data);
      consumer->take();
    }
    consumer->wait(std::chrono::milliseconds(100));
  }
  ::_exit(0);
}

relay::Producer open_producer(const Options& options) {
  auto producer = relay::Producer::open(
      {.streams = 1, .sub_buffer_bytes = options.sub_buffer, .sub_buffers = options.sub_buffers});
  if (!producer) die(producer.error().message());
  return std::move(*producer);
}

pid_t fork_consumer(const relay::Producer& producer, const Options& options) {
  base::Fd memfd(::dup(producer.fd()));
  const pid_t child = ::fork();
  if (child < 0) bench::die_errno("fork");
  if (child == 0) consume(std::move(memfd), producer.bytes(), options.to);
  while (!producer.connected()) {
    if (::waitpid(child, nullptr, WNOHANG) != 0) die("the consumer has ended early");
    bench::pause_for(0.001);
  }
  return child;
}

struct Outcome {
  bench::EventTimes times;
  std::uint64_t lost = 0;
};

Outcome run(const Options& options) {
  Outcome outcome;
  constexpr auto kType = static_cast<std::uint16_t>(abi::TraceType::kBlock);
  if (options.mode == "bare") {
    outcome.times = bench::measure_events(options.plan, [](std::uint64_t number) {
      asm volatile("" : : "r"(number));
    });
    return outcome;
  }
  relay::Producer producer = open_producer(options);
  const auto write = [&](std::uint64_t number) {
    asm volatile("" : : "r"(number));
    if (!producer.connected()) return;
    const abi::BlockEvent event = bench::make_event(number);
    outcome.lost += producer.write(kType, &event, sizeof event) != relay::Written::kDone;
  };
  if (options.mode == "off") {
    outcome.times = bench::measure_events(options.plan, write);
    return outcome;
  }
  const pid_t child = fork_consumer(producer, options);
  outcome.times = bench::measure_events(options.plan, write);
  if (!producer.close(std::chrono::seconds(10))) die("the channel would not close");
  ::waitpid(child, nullptr, 0);
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("measure what an event costs its writer", "relay_events");
  Options options;
  app.add_option("mode", options.mode)
      .required()
      .check(apps::one_of({"on", "off", "bare"}, apps::InHelp::kYes));
  app.add_option("--to", options.to, "where the consumer writes");
  app.add_option("--sub-buffer", options.sub_buffer, "bytes");
  app.add_option("--sub-buffers", options.sub_buffers);
  options.plan.add_to(app);
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  const Outcome outcome = run(options);
  std::string out;
  base::JsonWriter json(out);
  json.begin_object().member("mode", options.mode).member("lost", outcome.lost);
  bench::add_times(json, outcome.times);
  json.end_object();
  std::puts(out.c_str());
  return 0;
}
