// SPDX-License-Identifier: Apache-2.0
//
// Model check of the calls: threads that share a ring, of which one leads; a service that dies and
// another that takes over; a table that is closed; a service that answers what it cannot know.
// Held against it: every call ends, with its own answer, without a data race, and nobody sleeps
// through a wake-up.
#include <optional>

#include "shm/call_table.h"

// After everything of the library.
#include "../../tests/model/mutants.h"
#include "../../tests/model/relacy_platform.h"

namespace fairlead::shm {

inline std::ostream& operator<<(std::ostream& out, Outcome outcome) {
  return out << static_cast<int>(outcome);
}

namespace {

using model::run_test;
using ModelCheck = model::ModelCheck<RingProtocol>;
using P = RelacyPlatform;
using Word = P::Atomic<std::uint32_t>;

constexpr std::uint32_t kSlots = 2;

struct Request {
  std::uint64_t id;
  std::uint32_t slot;
  std::uint32_t argument;
};
struct Response {
  std::uint64_t id;
  std::uint32_t value;
};
std::ostream& operator<<(std::ostream& out, const Request& r) { return out << r.id; }
std::ostream& operator<<(std::ostream& out, const Response& r) { return out << r.id; }

std::uint32_t answer_to(std::uint32_t argument) { return argument * 3 + 1; }

// One segment: both directions of a ring, and a data area for each slot.
struct Ring {
  Word request_produced{0};
  Word response_event{1};
  Word response_produced{0};
  Word request_event{1};
  P::Entry<Request> requests[kSlots];
  P::Entry<Response> responses[kSlots];
  P::Entry<std::uint32_t> data[kSlots];

  Producer<P, Request> asking() { return {request_produced, request_event, requests, kSlots}; }
  Consumer<P, Response> hearing() { return {response_produced, response_event, responses, kSlots}; }
  Consumer<P, Request> taking() { return {request_produced, request_event, requests, kSlots}; }
  Producer<P, Response> telling() { return {response_produced, response_event, responses, kSlots}; }
};

// What the table asks of its surroundings.  `watch` stands for what only the leader may touch.
struct Host {
  bool polls = false;
  bool may_fault = false;
  int looks = 0;
  P::Entry<unsigned> watch;

  void touch() { watch($) = watch($) + 1; }
  void begin() {
    looks = 0;
    touch();
  }
  bool again() { return polls && looks++ == 0; }
  void answered() { touch(); }
  void slept() { touch(); }
  bool step_aside(int times) {
    if (!polls || times > 0) return false;
    P::yield();
    return true;
  }
  std::int64_t timeout_ns() const { return 1; }
  void fault() { RL_ASSERT(may_fault); }
};

template <bool kPolls>
struct Table {
  Host host;
  Ring first;
  CallTable<P, Request, Response, Host> calls{kSlots, host};
  P::Entry<Ring*> current;  // what the callers copy data from: changed while paused
  Doorbell doorbell;

  Table() {
    host.polls = kPolls;
    current($) = &first;
    calls.attach(first.asking(), first.hearing());
  }

  Outcome call(std::uint32_t slot, std::uint32_t argument) {
    if (calls.post(slot, {0, slot, argument})) doorbell.ring();
    Response response;
    const Outcome outcome = calls.wait(slot, response);
    if (outcome == Outcome::kAnswered && !host.may_fault) {
      Ring* ring = current($);
      RL_ASSERT(response.value == answer_to(argument));
      RL_ASSERT(P::read(ring->data[slot]) == response.value + 1);
    }
    calls.release(slot);
    return outcome;
  }

  // Serves until `enough` calls are answered or `over` says so; what it takes at once it answers in
  // any order.
  template <typename Over>
  void serve(Ring& ring, unsigned enough, Over over) {
    auto taking = ring.taking();
    auto telling = ring.telling();
    unsigned answered = 0;
    while (answered < enough && !over()) {
      Request batch[kSlots];
      const int count = taking.take(batch);
      RL_ASSERT(count != kFault);
      const bool backwards = count == 2 && rl::rand(2) == 1;
      for (int i = 0; i < count && answered < enough; ++i) {
        const Request& request = batch[backwards ? count - 1 - i : i];
        const std::uint32_t value = answer_to(request.argument);
        P::write(ring.data[request.slot], value + 1);
        telling.push({request.id, value});
        ++answered;
        if (rl::rand(2) == 0) continue;
        if (telling.publish()) P::wake_one(telling.produced(), FutexScope::kShared);
      }
      if (telling.publish()) P::wake_one(telling.produced(), FutexScope::kShared);
      if (count == 0 && taking.arm() && !over()) doorbell.wait();
    }
  }
};

bool never() { return false; }

// One caller: small enough to search.
template <bool kPolls, unsigned kCalls>
struct AloneTest : rl::test_suite<AloneTest<kPolls, kCalls>, 2> {
  Table<kPolls> table;
  void thread(unsigned index) {
    if (index == 1) return table.serve(table.first, kCalls, never);
    for (unsigned i = 0; i < kCalls; ++i) RL_ASSERT(table.call(0, i) == Outcome::kAnswered);
  }
};

// Two callers that lead by turns.
template <bool kPolls, unsigned kCalls>
struct SharedTest : rl::test_suite<SharedTest<kPolls, kCalls>, 3> {
  Table<kPolls> table;
  void thread(unsigned index) {
    if (index == 2) return table.serve(table.first, kSlots * kCalls, never);
    for (unsigned i = 0; i < kCalls; ++i) {
      RL_ASSERT(table.call(index, index * 10 + i) == Outcome::kAnswered);
    }
  }
};

// The service dies after some answers; another takes over on a ring of its own.
template <bool kPolls, unsigned kCalls>
struct RestartTest : rl::test_suite<RestartTest<kPolls, kCalls>, 4> {
  Table<kPolls> table;
  Ring second;
  Doorbell hangup;
  Word finished{0};

  bool all_finished() { return finished.load(rl::mo_seq_cst, $) == kSlots; }

  void thread(unsigned index) {
    if (index == 2) {
      table.serve(table.first, rl::rand(kSlots * kCalls), [this] { return all_finished(); });
      hangup.ring();
    } else if (index == 3) {
      hangup.wait();
      take_over();
    } else {
      for (unsigned i = 0; i < kCalls; ++i) {
        RL_ASSERT(table.call(index, index * 10 + i) == Outcome::kAnswered);
      }
      finished.fetch_add(1, rl::mo_seq_cst, $);
      table.doorbell.ring();
    }
  }

  void take_over() {
    table.calls.pause();
    table.host.touch();
    P::write(table.current, &second);
    // Nobody may read the old one now.
    for (auto& area : table.first.data) P::write(area, 0u);
    if (table.calls.attach(second.asking(), second.hearing())) table.doorbell.ring();
    table.calls.resume();
    table.serve(second, ~0u, [this] { return all_finished(); });
  }
};

// The service answers some, then nothing; whoever watches gives up.
template <bool kPolls>
struct CloseTest : rl::test_suite<CloseTest<kPolls>, 3> {
  Table<kPolls> table;
  void thread(unsigned index) {
    if (index < 2) {
      const Outcome first = table.call(index, index);
      RL_ASSERT(first == Outcome::kAnswered || first == Outcome::kClosed);
      if (index == 1) table.call(index, 7);
      return;
    }
    table.serve(table.first, rl::rand(2), never);
    table.calls.pause();
    table.host.touch();
    P::write(table.current, static_cast<Ring*>(nullptr));
    table.calls.close();
    table.calls.resume();
  }
};

// A service that answers before it was asked, twice, or for nobody.
struct HostileTest : rl::test_suite<HostileTest, 3> {
  Table<false> table;
  HostileTest() { table.host.may_fault = true; }

  void thread(unsigned index) {
    if (index < 2) {
      table.call(index, index);
      return;
    }
    auto telling = table.first.telling();
    const unsigned count = 1 + rl::rand(2);
    for (unsigned i = 0; i < count; ++i) {
      telling.push({(1 + rl::rand(2)) << 16 | rl::rand(3), 5});
      if (telling.publish()) P::wake_one(telling.produced(), FutexScope::kShared);
    }
    table.calls.pause();
    table.calls.close();
    table.calls.resume();
  }
};

int check() {
  constexpr auto kRandom = rl::sched_random;
  constexpr auto kBound = rl::sched_bound;
  ModelCheck model({
      {"alone, sleeps", 0, kBound, 3, run_test<AloneTest<false, 1>>},
      {"alone, polls", 0, kBound, 3, run_test<AloneTest<true, 1>>},
      {"shared, sleeps, 1 call", 0, kBound, 1, run_test<SharedTest<false, 1>>},
      {"shared, sleeps, 1 call", 150'000, kRandom, 0, run_test<SharedTest<false, 1>>},
      {"shared, sleeps, 2 calls", 150'000, kRandom, 0, run_test<SharedTest<false, 2>>},
      {"shared, polls, 2 calls", 150'000, kRandom, 0, run_test<SharedTest<true, 2>>},
      {"restart, sleeps", 150'000, kRandom, 0, run_test<RestartTest<false, 1>>},
      {"restart, polls", 150'000, kRandom, 0, run_test<RestartTest<true, 2>>},
      {"close, sleeps", 150'000, kRandom, 0, run_test<CloseTest<false>>},
      {"close, polls", 150'000, kRandom, 0, run_test<CloseTest<true>>},
      {"hostile", 150'000, kRandom, 0, run_test<HostileTest>},
  });
  model.must_hold(Site::kLeadTake, Site::kPauseSee);
  model.must_catch_orders(Site::kLeadTake, Site::kPauseSee, {});
  model.must_catch({{Wrong::kNoLeaderCheck, "a sleeper that looks for no leader"},
                    {Wrong::kNoMark, "a sleeper without a mark"},
                    {Wrong::kNoScan, "the lead left without a scan"},
                    {Wrong::kNoLead, "two leaders at once"},
                    {Wrong::kNoRingWake, "no wake-up after a response"},
                    {Wrong::kNoCallWake, "no wake-up of a sleeper"},
                    {Wrong::kBlindFutex, "a futex that does not compare"}});
  return model.result();
}

}  // namespace
}  // namespace fairlead::shm

int main() { return fairlead::shm::check(); }
