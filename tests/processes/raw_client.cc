// SPDX-License-Identifier: Apache-2.0
//
// raw_client: what a client of the block service may do that ours never does.  For tests only.
//
//   raw_client SOCKET die STEP          registers and posts, and kills itself (SIGKILL) at STEP
//   raw_client SOCKET churn N           N clients one after the other, one checked read each
//   raw_client SOCKET hold N            N clients at once, one checked read each; leaves when stdin
//                                       ends; prints "held" when all are there
//   raw_client SOCKET fill N SLOTS      N clients with SLOTS reads in their rings; prints "filled";
//                                       then as hold
//   raw_client SOCKET sectors N…        reads each of these sectors; prints the status of each
//   raw_client SOCKET flip MS           flips every byte that the service reads, for MS
//   raw_client SOCKET wild MS           requests with wild slots, sectors, counts, operations
//   raw_client SOCKET flood MS          doorbells, nothing else
// Exit 0: done as asked.  1: the service did something it must not.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "block/testing_front.h"
#include "block/testing_image.h"

namespace {

using namespace fairlead;
using block::RawFront;

constexpr std::uint64_t kImageSeed = 1;

int complain(const std::string& what) {
  std::fprintf(stderr, "raw_client: %s\n", what.c_str());
  return 1;
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  std::abort();
}

bool take_one(RawFront& front, abi::BlockResponse& response) {
  return block::eventually([&] { return front.take(std::span(&response, 1)) == 1; });
}

bool read_right(RawFront& front, std::uint64_t sector) {
  front.push(front.read_of(0, sector));
  front.publish();
  abi::BlockResponse response{};
  return take_one(front, response) && response.status == abi::BlockStatus::kOk &&
         block::holds_sectors(front.data(0).first(512), sector, kImageSeed);
}

// ---- die ----

base::Fd bare_connection(const std::string& path) {
  base::Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    socket.reset();
  }
  return socket;
}

void die_before_welcome(const std::string& path, const std::string& step) {
  const base::Fd socket = bare_connection(path);
  if (step == "connected") die();
  const auto hello = shm::make_hello(16, 512, 1, "dying");
  const std::size_t bytes = step == "half-hello" ? sizeof hello / 2 : sizeof hello;
  (void)!::send(socket.get(), &hello, bytes, MSG_NOSIGNAL);
  die();  // half-hello, hello: the welcome finds nobody
}

void die_with_ring(RawFront& front, const std::string& step) {
  if (step == "mapped") die();
  const std::uint32_t count = step == "full-ring" ? front.map().sizes.slot_count : 1;
  for (std::uint32_t slot = 0; slot < count; ++slot) front.push(front.read_of(slot, slot * 5));
  if (step == "pushed") die();
  if (step == "published") {
    front.map().control->front.request_produced.store(count);
    die();
  }
  front.publish();
  if (step == "rung" || step == "full-ring") die();
  abi::BlockResponse response{};
  if (!take_one(front, response)) std::exit(complain("no answer"));
  if (step == "answered") die();
  front.push(front.read_of(0, 9));
  front.publish();
  if (step == "again") die();
}

int run_die(const std::string& path, const std::string& step) {
  if (step == "nothing") die();
  if (step == "connected" || step == "half-hello" || step == "hello") {
    die_before_welcome(path, step);
  }
  if (step == "welcomed") {
    const auto got =
        shm::register_client(path, shm::make_hello(16, 512, 1, "dying"), 5 * base::kNanosPerSecond);
    if (got) die();
    return complain(got.error().message());
  }
  auto front = RawFront::connect(path, 16, 512);
  if (!front) return complain(front.error().message());
  die_with_ring(*front, step);
  return complain("no step " + step);
}

// ---- many ----

int run_churn(const std::string& path, int count) {
  for (int i = 0; i < count; ++i) {
    auto front = RawFront::connect(path, 2, 512);
    if (!front) return complain(front.error().message());
    if (!read_right(*front, static_cast<std::uint64_t>(i) % 1024)) return complain("wrong bytes");
  }
  return 0;
}

void wait_for_end_of_input() {
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

int run_hold(const std::string& path, int count, std::uint32_t filled) {
  std::vector<RawFront> fronts;
  for (int i = 0; i < count; ++i) {
    auto front = RawFront::connect(path, std::max(filled, 2U), 512);
    if (!front) return complain(std::to_string(i) + ": " + front.error().message());
    fronts.push_back(*std::move(front));
  }
  std::uint64_t sector = 0;
  base::Random random(42);  // reads in step would be joined
  for (RawFront& front : fronts) {
    for (std::uint32_t slot = 0; slot < filled; ++slot) {
      front.push(front.read_of(slot, random.below(1024)));
    }
    if (filled > 0) front.publish();
    if (filled == 0 && !read_right(front, sector++ % 1024)) return complain("wrong bytes");
  }
  std::puts(filled > 0 ? "filled" : "held");
  std::fflush(stdout);
  wait_for_end_of_input();
  return 0;
}

int run_sectors(const std::string& path, std::span<const std::string> sectors) {
  auto front = RawFront::connect(path, 2, 512);
  if (!front) return complain(front.error().message());
  for (const std::string& text : sectors) {
    front->push(front->read_of(0, std::strtoull(text.c_str(), nullptr, 10)));
    front->publish();
    abi::BlockResponse response{};
    if (!take_one(*front, response)) return complain("no answer for sector " + text);
    std::printf("%u\n", static_cast<unsigned>(response.status));
  }
  return 0;
}

// ---- hostile ----

// Does `deed` to ring after ring until the time is over; the service may end each at any moment.
int for_a_while(const std::string& path, std::int64_t millis,
                const std::function<void(RawFront&, base::Random&)>& deed) {
  const std::int64_t end = base::monotonic_ns() + millis * base::kNanosPerMilli;
  base::Random random(4711);
  std::uint64_t rings = 0;
  while (base::monotonic_ns() < end) {
    auto front = RawFront::connect(path, 16, 1024);
    if (!front) return complain(front.error().message());
    ++rings;
    pollfd ended{front->registration().socket.fd(), POLLIN | POLLRDHUP, 0};
    while (base::monotonic_ns() < end && ::poll(&ended, 1, 0) == 0) {
      for (int i = 0; i < 64; ++i) deed(*front, random);
    }
  }
  std::printf("%llu rings\n", static_cast<unsigned long long>(rings));
  return 0;
}

void flip(RawFront& front, base::Random& random) {
  const auto memory = front.memory();
  const std::size_t ring = reinterpret_cast<std::byte*>(front.map().control) - memory.data();
  const std::size_t data = front.map().data - memory.data();
  // Everything but the index of requests, which alone would end us at once; that now and then too.
  const std::uint64_t at = random.next() % 4 != 0 ? data + random.below(memory.size() - data)
                                                  : random.below(memory.size());
  if (at - ring - 128 >= 4 || random.next() % 4096 == 0) {
    reinterpret_cast<std::atomic<std::uint8_t>*>(memory.data())[at].fetch_xor(
        static_cast<std::uint8_t>(1 + random.below(255)), std::memory_order_relaxed);
  }
  abi::BlockResponse response[16];
  static std::uint32_t next = 0;
  if (front.take(response) > 0) next = 0;
  if (next < 16) {
    front.push(front.read_of(next, random.below(2048), 2));
    front.publish();
    ++next;
  }
}

void wild(RawFront& front, base::Random& random) {
  abi::BlockRequest request = front.read_of(static_cast<std::uint32_t>(random.below(16)), 0);
  const std::uint64_t word = random.next();
  switch (random.below(6)) {
    case 0: request.sector = word; break;
    case 1: request.sector_count = static_cast<std::uint32_t>(word); break;
    case 2: request.op = static_cast<abi::BlockOp>(word & 0xff); break;
    case 3: request.flags = static_cast<std::uint8_t>(word); break;
    case 4: request.id = word; break;
    default: request.slot = static_cast<std::uint32_t>(word >> (word % 64));
  }
  front.push(request);
  front.publish();
  if (random.below(512) == 0) {
    front.map().control->front.request_produced.store(static_cast<std::uint32_t>(word));
    front.ring();
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) return complain("see the head of raw_client.cc");
  const std::string& path = arguments[0];
  const std::string& deed = arguments[1];
  const int number = std::atoi(arguments[2].c_str());
  if (deed == "die") return run_die(path, arguments[2]);
  if (deed == "sectors") return run_sectors(path, std::span(arguments).subspan(2));
  if (deed == "churn") return run_churn(path, number);
  if (deed == "hold") return run_hold(path, number, 0);
  if (deed == "fill" && arguments.size() == 4) {
    return run_hold(path, number, static_cast<std::uint32_t>(std::atoi(arguments[3].c_str())));
  }
  if (deed == "flip") return for_a_while(path, number, flip);
  if (deed == "wild") return for_a_while(path, number, wild);
  if (deed == "flood") {
    return for_a_while(path, number, [](RawFront& front, base::Random&) { front.ring(); });
  }
  return complain("no deed " + deed);
}

}  // namespace

int main(int argc, char** argv) { return run({argv + 1, argv + argc}); }
