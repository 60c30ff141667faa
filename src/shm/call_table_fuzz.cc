// SPDX-License-Identifier: Apache-2.0
//
// Calls against a service that writes what it likes into their ring: indices, entries and events
// come from the input, most of them near to what is honest, while two callers wait and lead.
// Whatever it does, every call ends once, with an answer that bears its own id or closed; a fault
// is told once until it is mended; a service that goes silent is given up at the time limit.
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "shm/call_table.h"

namespace fairlead::shm {
namespace {

constexpr std::uint32_t kSlots = 4;
constexpr std::uint32_t kCallers = 2;
constexpr int kMostRings = 4;

struct Request {
  std::uint64_t id;
};
struct Response {
  std::uint64_t id;
  std::uint64_t value;
};

// Guards on both sides, so that a wild index would be seen.
struct Ring {
  std::atomic<std::uint32_t> request_produced{0};
  std::atomic<std::uint32_t> response_event{1};
  std::atomic<std::uint32_t> response_produced{0};
  std::atomic<std::uint32_t> request_event{1};
  std::vector<Request> requests = std::vector<Request>(kSlots);
  std::vector<Response> responses = std::vector<Response>(kSlots);
};

class Victim {
 public:
  explicit Victim(base::FuzzInput& input) : input_(input) {}

  void run() {
    attach();
    const bool silent_at_last = input_.byte() % 8 == 0;
    std::array<std::thread, kCallers> callers;
    for (std::uint32_t i = 0; i < kCallers; ++i)
      callers[i] = std::thread([this, i] {
        ask(i);
        ++finished_;
      });
    while (!input_.empty() && rings_ <= kMostRings) {
      step();
      if (faulted_) mend(false);
    }
    // A service that goes silent: the time limit is what ends the wait, or nothing does.
    while (silent_at_last && !faulted_ && finished_ < kCallers) Production::yield();
    mend(true);
    for (auto& caller : callers) caller.join();
  }

  // CallTable's host.
  void begin() {}
  bool again() { return ++looks_ % 4 != 0; }
  void answered() {}
  void slept() {}
  bool step_aside(int times) {
    Production::yield();
    return times < 2;
  }
  std::int64_t timeout_ns() const { return 2'000'000; }
  void fault() { FL_CHECK(!faulted_.exchange(true)); }

 private:
  void attach() {
    ++rings_;
    ring_ = std::make_unique<Ring>();
    answered_ = 0;
    calls_.attach(
        {ring_->request_produced, ring_->request_event, ring_->requests.data(), kSlots},
        {ring_->response_produced, ring_->response_event, ring_->responses.data(), kSlots});
  }

  void mend(bool for_good) {
    calls_.pause();
    if (for_good || rings_ >= kMostRings) {
      closed_ = true;
      calls_.close();
    } else {
      attach();
    }
    faulted_ = false;
    calls_.resume();
  }

  void ask(std::uint32_t slot) {
    std::uint64_t last = 0;
    for (int i = 0; i < 100; ++i) {
      calls_.post(slot, {});
      Response response{};
      const Outcome outcome = calls_.wait(slot, response);
      if (outcome == Outcome::kAnswered) {
        FL_CHECK((response.id & 0xffff) == slot && response.id >> 16 > last);
        last = response.id >> 16;
        FL_CHECK(last <= std::uint64_t{100} * kCallers);
      } else {
        FL_CHECK(closed_);
      }
      calls_.release(slot);
      if (outcome == Outcome::kClosed) return;
    }
  }

  // What a request's entry says now: an honest id, if somebody asked.
  std::uint64_t asked(std::uint32_t at) const {
    std::uint64_t id;
    __atomic_load(&ring_->requests[at % kSlots].id, &id, __ATOMIC_RELAXED);
    return id;
  }
  void tell(std::uint64_t id) {
    Response& entry = ring_->responses[answered_++ % kSlots];
    __atomic_store_n(&entry.id, id, __ATOMIC_RELAXED);
    show(answered_);
  }
  void show(std::uint32_t index) {
    ring_->response_produced.store(index);
    Production::wake_one(ring_->response_produced, FutexScope::kShared);
  }

  void step() {
    const std::uint8_t what = input_.byte();
    switch (what % 16) {
      default: tell(asked(what >> 4)); break;
      case 8: tell(asked(input_.byte()) + input_.byte()); break;
      case 9: tell(input_.take<std::uint64_t>()); break;
      case 10: show(answered_ + what / 16); break;
      case 11: show(input_.take<std::uint32_t>()); break;
      case 12: ring_->request_event.store(input_.take<std::uint32_t>()); break;
      case 13: ring_->response_event.store(input_.take<std::uint32_t>()); break;
      case 14: Production::yield(); break;
      case 15: ring_->request_produced.store(input_.take<std::uint32_t>()); break;
    }
    Production::yield();
  }

  base::FuzzInput& input_;
  CallTable<Production, Request, Response, Victim> calls_{kSlots, *this};
  std::unique_ptr<Ring> ring_;
  std::uint32_t answered_ = 0;
  int rings_ = 0;
  unsigned looks_ = 0;
  std::atomic<std::uint32_t> finished_{0};
  std::atomic<bool> faulted_{false};
  std::atomic<bool> closed_{false};
};

}  // namespace
}  // namespace fairlead::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 400) return -1;
  fairlead::base::FuzzInput input(data, size);
  fairlead::shm::Victim(input).run();
  return 0;
}
