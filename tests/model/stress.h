// SPDX-License-Identifier: Apache-2.0
//
// Many threads of one process over one ring and one CallTable, in production's own code, against a
// service that answers in any order and pauses at random.  One mapping, plain entries and plain
// data areas, so that ThreadSanitizer sees every access.  The indices begin shortly before 2^32.
//
// Each answer and each data area follows from its request and is checked.  A watchdog prints what
// everybody was doing and aborts if nothing is answered for kStallSeconds.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "shm/adaptive_poll.h"
#include "shm/call_table.h"

namespace fairlead::shm {

struct StressOptions {
  std::uint64_t requests = 200'000;
  std::uint32_t threads = 8;
  std::int64_t poll_ns = 0;
  std::uint64_t restart_every = 0;  // answers after which the service is replaced; 0: never
  unsigned pause_one_in = 64;       // of a client's calls and of the service's batches
};

class Stress {
 public:
  explicit Stress(const StressOptions& options)
      : options_(options),
        poll_({.max_ns = options.poll_ns}),
        slots_(std::bit_ceil(std::max(options.threads, 2u))),
        calls_(slots_, *this) {}

  // Runs all requests; returns how many were answered rightly.
  std::uint64_t run() {
    ring_ = std::make_unique<Ring>(slots_);
    (void)attach();
    std::jthread watchdog([this](std::stop_token stop) { watch(stop); });
    std::thread service([this] { serve_all(); });
    std::vector<std::thread> clients;
    for (std::uint32_t slot = 0; slot < options_.threads; ++slot) {
      clients.emplace_back([this, slot] { ask(slot); });
    }
    for (auto& client : clients) client.join();
    over_ = true;
    doorbell_.ring();
    service.join();
    return right_;
  }

  std::uint64_t restarts() const { return restarts_; }

  // CallTable's host.
  void begin() noexcept { poll_.begin(); }
  bool again() noexcept { return poll_.again(); }
  void answered() noexcept { poll_.answered(); }
  void slept() noexcept { poll_.slept(); }
  bool step_aside(int times) noexcept {
    if (times >= 3 || !poll_.brief()) return false;
    Production::yield();
    return true;
  }
  std::int64_t timeout_ns() const noexcept { return 60 * base::kNanosPerSecond; }
  void fault() noexcept { stalled("a fault of an honest service"); }

 private:
  static constexpr int kStallSeconds = 20;
  static constexpr std::uint32_t kFirst = 0xffff'ff00;  // wraps after 256 requests
  static constexpr std::size_t kDataWords = 8;

  struct Request {
    std::uint64_t id;
    std::uint64_t argument;
    std::uint32_t slot;
  };
  struct Response {
    std::uint64_t id;
    std::uint64_t value;
  };
  using Word = std::atomic<std::uint32_t>;

  struct Ring {
    explicit Ring(std::uint32_t slots) : requests(slots), responses(slots), data(slots) {}
    alignas(128) Word request_produced{kFirst};
    Word response_event{kFirst + 1};
    alignas(128) Word response_produced{kFirst};
    Word request_event{kFirst + 1};
    std::vector<Request> requests;
    std::vector<Response> responses;
    std::vector<std::array<std::uint64_t, kDataWords>> data;
  };

  class Doorbell {
   public:
    void ring() {
      const std::lock_guard lock(mutex_);
      rung_ = true;
      heard_.notify_one();
    }
    void wait() {
      std::unique_lock lock(mutex_);
      heard_.wait(lock, [this] { return rung_; });
      rung_ = false;
    }

   private:
    std::mutex mutex_;
    std::condition_variable heard_;
    bool rung_ = false;
  };

  static std::uint64_t mix(std::uint64_t x) { return (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9; }

  bool attach() {
    Ring& r = *ring_;
    return calls_.attach(
        {r.request_produced, r.request_event, r.requests.data(), slots_, kFirst},
        {r.response_produced, r.response_event, r.responses.data(), slots_, kFirst});
  }

  void dawdle(base::Random& random) const {
    if (random.below(options_.pause_one_in) != 0) return;
    if (random.below(2) == 0) {
      Production::yield();
    } else {
      ::usleep(static_cast<useconds_t>(random.below(200)));
    }
  }

  void ask(std::uint32_t slot) {
    base::Random random(slot + 1);
    const std::uint64_t mine = options_.requests / options_.threads;
    for (std::uint64_t i = 0; i < mine; ++i) {
      const std::uint64_t argument = random.next();
      if (calls_.post(slot, {0, argument, slot})) doorbell_.ring();
      dawdle(random);
      Response response;
      FL_CHECK(calls_.wait(slot, response) == Outcome::kAnswered);
      FL_CHECK((response.id & 0xffff) == slot);
      FL_CHECK(response.value == mix(argument));
      for (const std::uint64_t word : ring_->data[slot]) FL_CHECK(word == mix(response.value));
      calls_.release(slot);
      right_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  // One service after another, each on a ring of its own.
  void serve_all() {
    base::Random random(99);
    std::unique_ptr<Ring> dead;
    while (!over_) {
      serve(random);
      if (over_) return;
      calls_.pause();
      dead = std::exchange(ring_, std::make_unique<Ring>(slots_));
      for (auto& area : dead->data) area.fill(0);
      if (attach()) doorbell_.ring();
      calls_.resume();
      ++restarts_;
    }
  }

  void serve(base::Random& random) {
    Ring& r = *ring_;
    Consumer<Production, Request> taking(r.request_produced, r.request_event, r.requests.data(),
                                         slots_, kFirst);
    Producer<Production, Response> telling(r.response_produced, r.response_event,
                                           r.responses.data(), slots_, kFirst);
    std::vector<Request> held;
    std::vector<Request> batch(slots_);
    std::uint64_t answers = 0;
    while (!over_ && (options_.restart_every == 0 || answers < options_.restart_every)) {
      const int count = taking.take(batch);
      FL_CHECK(count != kFault);
      held.insert(held.end(), batch.begin(), batch.begin() + count);
      FL_CHECK(held.size() <= slots_);
      dawdle(random);
      for (std::size_t most = random.below(held.size() + 1); most > 0; --most, ++answers) {
        std::swap(held[random.below(held.size())], held.back());
        const Request request = held.back();
        held.pop_back();
        const std::uint64_t value = mix(request.argument);
        r.data[request.slot].fill(mix(value));
        telling.push({request.id, value});
      }
      if (telling.publish()) Production::wake_one(telling.produced(), FutexScope::kShared);
      if (count == 0 && held.empty() && taking.arm() && !over_) doorbell_.wait();
    }
  }

  void watch(const std::stop_token& stop) {
    std::uint64_t last = 0;
    int quiet_ms = 0;
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const std::uint64_t now = right_.load(std::memory_order_relaxed);
      quiet_ms = now == last ? quiet_ms + 20 : 0;
      last = now;
      if (quiet_ms >= kStallSeconds * 1000) stalled("nothing was answered");
    }
  }

  [[noreturn]] void stalled(const char* why) const {
    std::fprintf(stderr,
                 "stress: %s for %d s: %llu of %llu answered, %llu restarts; request produced %u, "
                 "event %u; response produced %u, event %u\n",
                 why, kStallSeconds, static_cast<unsigned long long>(right_.load()),
                 static_cast<unsigned long long>(options_.requests),
                 static_cast<unsigned long long>(restarts_.load()), ring_->request_produced.load(),
                 ring_->request_event.load(), ring_->response_produced.load(),
                 ring_->response_event.load());
    std::abort();
  }

  const StressOptions options_;
  AdaptivePoll poll_;
  const std::uint32_t slots_;
  CallTable<Production, Request, Response, Stress> calls_;
  std::unique_ptr<Ring> ring_;
  Doorbell doorbell_;
  std::atomic<std::uint64_t> right_{0};
  std::atomic<std::uint64_t> restarts_{0};
  std::atomic<bool> over_{false};
};

}  // namespace fairlead::shm
