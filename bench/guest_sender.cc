// SPDX-License-Identifier: Apache-2.0
//
// The first process of the guest of row 20: sends numbered messages to the host on command.
//
//     control port   host    CARRIER BYTES BATCH_BYTES NODELAY MILLISECONDS
//                    guest   ready                        it may be connected to
//                    guest   sent N                       messages, over that time
//     CARRIER        relay   a relay channel in the card's memory, each message an item
//                    serial  write(2) to the port bench.data
//                    tcp     send(2) to the host's end of the virtio-net card
//
// BATCH_BYTES 0: one call a message.  Else messages are gathered, and one call sends so much.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "guest/agent/shared_card.h"
#include "guest/agent/system.h"
#include "relay/producer.h"

namespace {

using namespace fairlead;

constexpr const char* kHost = "10.77.0.1";
constexpr int kTcpPort = 7777;
constexpr std::int64_t kPatienceNs = 10 * base::kNanosPerSecond;

struct Order {
  char carrier[16] = {};
  std::size_t bytes = 0;
  std::size_t batch = 0;
  int no_delay = 0;
  int milliseconds = 0;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::fflush(stdout);
  while (true) ::pause();
}

void run(const char* const* words) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(words[0], const_cast<char* const*>(words));
    ::_exit(127);
  }
  ::waitpid(child, nullptr, 0);
}

void set_up_network() {
  const char* const words[] = {"/bin/busybox", "ifconfig",      "eth0", "10.77.0.2",
                               "netmask",      "255.255.255.0", "up",   nullptr};
  run(words);
}

// Numbers messages and passes them on until the time is over.
template <typename Send>
std::uint64_t send_for(const Order& order, Send send) {
  constexpr std::uint64_t kLookEvery = 64;
  std::vector<std::byte> message(order.bytes, std::byte{0x5a});
  std::vector<std::byte> batch;
  batch.reserve(order.batch + order.bytes);
  // An emulated guest's clock costs a system call, its counter does not.
  const std::uint64_t ticks = relay::stamp_hz() / 1000 * static_cast<unsigned>(order.milliseconds);
  const std::uint64_t began = relay::stamp();
  std::uint64_t number = 0;
  while (number % kLookEvery != 0 || relay::stamp() - began < ticks) {
    ++number;
    std::memcpy(message.data(), &number, sizeof number);
    if (order.batch == 0) {
      send(message.data(), message.size());
      continue;
    }
    batch.insert(batch.end(), message.begin(), message.end());
    if (batch.size() < order.batch) continue;
    send(batch.data(), batch.size());
    batch.clear();
  }
  if (!batch.empty()) send(batch.data(), batch.size());
  return number;
}

void write_all(int fd, const std::byte* from, std::size_t size) {
  while (size > 0) {
    const ssize_t put = ::write(fd, from, size);
    if (put <= 0 && errno != EAGAIN) die("write");
    if (put <= 0) {
      pollfd one{fd, POLLOUT, 0};
      ::poll(&one, 1, 1000);
      continue;
    }
    from += put;
    size -= static_cast<std::size_t>(put);
  }
}

relay::ChannelOptions options_for(const Order& order, std::uint64_t bytes) {
  relay::ChannelOptions options;
  options.streams = 1;
  options.sub_buffer_bytes = 64 * 1024;
  options.sub_buffers = abi::kMaxSubBuffers;
  options.item_bytes = static_cast<std::uint32_t>(order.bytes);
  options.keep = true;
  while (relay::channel_bytes(options) > bytes) options.sub_buffers /= 2;
  return options;
}

std::uint64_t by_relay(const Order& order, const guest::SharedCard& card, int control) {
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(card.data())) = 0;
  std::memset(card.data(), 0, 3 * abi::kRelayPageBytes);
  auto producer =
      relay::Producer::open_in(card.data(), card.bytes(), options_for(order, card.bytes()));
  if (!producer) die(producer.error().message().c_str());
  write_all(control, reinterpret_cast<const std::byte*>("ready\n"), 6);
  const std::uint64_t sent = send_for(order, [&](const std::byte* from, std::size_t size) {
    while (!producer->has_room(size)) ::sched_yield();
    if (producer->write(0, 0, from, size) != relay::Written::kDone) die("relay");
  });
  (void)producer->close(std::chrono::nanoseconds(kPatienceNs));
  return sent;
}

std::uint64_t by_port(const Order& order, int port, int control) {
  write_all(control, reinterpret_cast<const std::byte*>("ready\n"), 6);
  return send_for(order,
                  [&](const std::byte* from, std::size_t size) { write_all(port, from, size); });
}

std::uint64_t by_tcp(const Order& order, int control) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kTcpPort);
  ::inet_pton(AF_INET, kHost, &address.sin_addr);
  const base::Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &order.no_delay, sizeof order.no_delay);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    die("connect to the host");
  }
  write_all(control, reinterpret_cast<const std::byte*>("ready\n"), 6);
  return send_for(
      order, [&](const std::byte* from, std::size_t size) { write_all(socket.get(), from, size); });
}

bool read_order(int control, Order& order) {
  char line[256];
  std::size_t used = 0;
  while (used + 1 < sizeof line) {
    pollfd one{control, POLLIN, 0};
    ::poll(&one, 1, 100);
    const ssize_t got = ::read(control, line + used, 1);
    if (got <= 0) {
      if (used == 0) ::usleep(1000);
      continue;
    }
    if (line[used++] == '\n') break;
  }
  line[used] = '\0';
  return std::sscanf(line, "%15s %zu %zu %d %d", order.carrier, &order.bytes, &order.batch,
                     &order.no_delay, &order.milliseconds) == 5;
}

}  // namespace

int main() {
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  ::signal(SIGPIPE, SIG_IGN);
  guest::prepare_system();
  set_up_network();
  const int control = guest::open_port("bench.control", kPatienceNs);
  const int data = guest::open_port("bench.data", kPatienceNs);
  if (control < 0 || data < 0) die("open a port");
  auto card = guest::SharedCard::open();
  if (!card) die(card.error().message().c_str());
  std::puts("guest_sender: ready");
  for (Order order; read_order(control, order); order = {}) {
    std::uint64_t sent = 0;
    if (std::strcmp(order.carrier, "relay") == 0) sent = by_relay(order, *card, control);
    if (std::strcmp(order.carrier, "serial") == 0) sent = by_port(order, data, control);
    if (std::strcmp(order.carrier, "tcp") == 0) sent = by_tcp(order, control);
    char line[64];
    const int size =
        std::snprintf(line, sizeof line, "sent %llu\n", static_cast<unsigned long long>(sent));
    write_all(control, reinterpret_cast<const std::byte*>(line), static_cast<std::size_t>(size));
  }
  die("an order that makes no sense");
}
