// SPDX-License-Identifier: Apache-2.0
//
// For tests: reads the relay channel in a guest's card from the host, to its end, and prints what
// it got: one JSON object a line.
//
//     relay_reader FILE SECONDS     FILE: /dev/shm/NAME; SECONDS: when to give up
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/fd.h"
#include "fairlead/abi/trace.h"
#include "relay/consumer.h"

namespace {

using namespace fairlead;
using Time = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause(5);

template <typename T>
T copy_of(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void print(const abi::RelayRecord& record, const std::byte* payload) {
  const auto type = static_cast<abi::TraceType>(record.type);
  if (type == abi::TraceType::kBlock) {
    const auto event = copy_of<abi::BlockEvent>(payload);
    std::printf(
        "{\"event\":\"block\",\"stamp\":%llu,\"act\":%u,\"categories\":%u,\"sector\":%llu,"
        "\"bytes\":%u,\"device\":%u,\"pid\":%u,\"cpu\":%u,\"error\":%u}\n",
        static_cast<unsigned long long>(record.stamp), event.action & 0xffff, event.action >> 16,
        static_cast<unsigned long long>(event.sector), event.bytes, event.device, event.pid,
        event.cpu, event.error);
  } else if (type == abi::TraceType::kName) {
    const auto name = copy_of<abi::TraceName>(payload);
    std::printf("{\"event\":\"name\",\"pid\":%u,\"name\":\"%.16s\"}\n", name.pid, name.name);
  } else if (type == abi::TraceType::kDevice) {
    const auto device = copy_of<abi::TraceDevice>(payload);
    std::printf("{\"event\":\"device\",\"device\":%u,\"name\":\"%.44s\"}\n", device.device,
                device.name);
  } else if (type == abi::TraceType::kLoss) {
    const auto loss = copy_of<abi::TraceLoss>(payload);
    std::printf("{\"event\":\"loss\",\"records\":%llu,\"cause\":%u}\n",
                static_cast<unsigned long long>(loss.records), static_cast<unsigned>(loss.cause));
  }
}

void print(const relay::StreamPiece& piece) {
  constexpr std::size_t kPayload = 48;
  std::size_t at = 0;
  while (piece.data.size() - at >= sizeof(abi::RelayRecord) + kPayload) {
    const auto record = copy_of<abi::RelayRecord>(piece.data.data() + at);
    print(record, piece.data.data() + at + sizeof record);
    at += (record.bytes + std::size_t{7}) / 8 * 8;
  }
}

int read_all(relay::Consumer& consumer, Time::time_point end) {
  relay::StreamPiece piece;
  while (Time::now() < end) {
    const bool ended = consumer.ended();
    while (true) {
      const auto look = consumer.read(piece);
      if (!look || *look == relay::Look::kEmpty || *look == relay::Look::kBroken) break;
      if (*look == relay::Look::kPiece) print(piece);
      consumer.take();
    }
    std::fflush(stdout);
    if (ended) {
      const auto sums = consumer.sums(0);
      std::printf("{\"event\":\"end\",\"attempts\":%llu,\"delivered\":%llu}\n",
                  static_cast<unsigned long long>(sums.attempts),
                  static_cast<unsigned long long>(sums.delivered));
      return 0;
    }
    consumer.wait(kPause);
  }
  std::fprintf(stderr, "the producer has not closed its channel\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto end = Time::now() + std::chrono::seconds(std::atoi(argv[2]));
  const base::Fd file(::open(argv[1], O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return std::perror(argv[1]), 1;
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return std::perror("mmap"), 1;
  while (Time::now() < end) {
    auto consumer = relay::Consumer::connect_in(static_cast<std::byte*>(at), bytes);
    if (consumer) return read_all(*consumer, end);
    std::this_thread::sleep_for(kPause);  // until the guest has laid it out
  }
  std::fprintf(stderr, "no channel in %s\n", argv[1]);
  return 1;
}
