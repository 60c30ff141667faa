// SPDX-License-Identifier: Apache-2.0
//
// What reading costs a consumer in C, and one in C++: a thread that fills a channel with messages
// of 26 bytes, as document 003's sweep has them (slide 17), and then empties it.  The argument is
// how much is read at once.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>

#include "relay/c_api.h"
#include "relay/consumer.h"
#include "relay/producer.h"

namespace fairlead::relay {
namespace {

constexpr std::uint32_t kItem = 26;
constexpr int kMessages = 20'000;
constexpr char kMessage[kItem] = "a message of 26 bytes";

void count(benchmark::State& state, std::uint64_t read) {
  if (read != static_cast<std::uint64_t>(state.iterations()) * kMessages) std::abort();
  state.SetItemsProcessed(static_cast<std::int64_t>(read));
}

void read_in_cpp(benchmark::State& state) {
  auto producer = Producer::open({.streams = 1, .sub_buffers = 16, .item_bytes = kItem});
  auto consumer = Consumer::connect(base::Fd(::dup(producer->fd())), producer->bytes());
  std::uint64_t read = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (int i = 0; i < kMessages; ++i) producer->write(0, 0, kMessage, kItem);
    state.ResumeTiming();
    StreamPiece piece;
    while (*consumer->read(piece, static_cast<std::size_t>(state.range())) == Look::kPiece) {
      benchmark::DoNotOptimize(piece.data.data());
      read += piece.records;
      consumer->take();
    }
  }
  count(state, read);
}

struct InC {
  InC() {
    fl_relay_options options{};
    options.streams = 1;
    options.sub_buffers = 16;
    options.item_bytes = kItem;
    if (fl_relay_open(nullptr, &options, &producer) != 0) std::abort();
    std::uint64_t bytes = 0;
    const int fd = fl_relay_fd(producer, &bytes);
    if (fl_relay_connect_fd(fd, bytes, &consumer) != 0) std::abort();
  }
  ~InC() {
    fl_relay_consumer_free(consumer);
    fl_relay_producer_free(producer);
  }
  void fill(benchmark::State& state) {
    state.PauseTiming();
    for (int i = 0; i < kMessages; ++i) fl_relay_write(producer, 0, kMessage, kItem);
    state.ResumeTiming();
  }

  fl_relay_producer* producer = nullptr;
  fl_relay_consumer* consumer = nullptr;
};

void read_many_in_c(benchmark::State& state) {
  InC both;
  std::uint64_t read = 0;
  for (auto _ : state) {
    both.fill(state);
    fl_relay_batch batch;
    while (fl_relay_read_many(both.consumer, static_cast<std::size_t>(state.range()), &batch) ==
           1) {
      benchmark::DoNotOptimize(batch.data);
      read += batch.records;
    }
  }
  count(state, read);
}

void read_in_c(benchmark::State& state) {
  InC both;
  std::uint64_t read = 0;
  for (auto _ : state) {
    both.fill(state);
    fl_relay_record record;
    while (fl_relay_read(both.consumer, &record) == 1) {
      benchmark::DoNotOptimize(record.payload);
      ++read;
    }
  }
  count(state, read);
}

BENCHMARK(read_in_cpp)->Arg(26)->Arg(416)->Arg(4096)->Arg(65536);
BENCHMARK(read_many_in_c)->Arg(26)->Arg(416)->Arg(4096)->Arg(65536);
BENCHMARK(read_in_c);

}  // namespace
}  // namespace fairlead::relay
