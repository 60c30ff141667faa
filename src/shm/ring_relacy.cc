// SPDX-License-Identifier: Apache-2.0
//
// Model check of the ring: a front end and a back end, two slots, indices that wrap at 2^32, both
// sides asleep whenever they may be.  Held against it: entries arrive once, in order, without a
// data race, and nobody sleeps through a notification.
#include "shm/ring.h"

// After everything of the library.
#include "../../tests/model/mutants.h"
#include "../../tests/model/relacy_platform.h"

namespace fairlead::shm {
namespace {

using model::run_test;
using ModelCheck = model::ModelCheck<RingProtocol>;
using P = RelacyPlatform;
using Word = P::Atomic<std::uint32_t>;

constexpr std::uint32_t kSlots = 2;
constexpr std::uint32_t kFirst = 0xffff'ffff;  // one before the wrap

template <std::uint32_t kEntries>
struct RingTest : rl::test_suite<RingTest<kEntries>, 2> {
  Word request_produced{kFirst};
  Word response_event{kFirst + 1};
  Word response_produced{kFirst};
  Word request_event{kFirst + 1};
  P::Entry<std::uint32_t> requests[kSlots];
  P::Entry<std::uint32_t> responses[kSlots];
  Doorbell doorbell;

  void thread(unsigned index) { index == 0 ? front() : back(); }

  void front() {
    Producer<P, std::uint32_t> out(request_produced, request_event, requests, kSlots, kFirst);
    Consumer<P, std::uint32_t> in(response_produced, response_event, responses, kSlots, kFirst);
    std::uint32_t asked = 0;
    std::uint32_t answered = 0;
    while (answered < kEntries) {
      while (asked < kEntries && asked - answered < kSlots) {
        out.push(asked++ * 3 + 1);
        if (rl::rand(2) == 0) break;
      }
      if (out.publish()) doorbell.ring();
      std::uint32_t batch[kSlots];
      const int count = in.take(batch);
      RL_ASSERT(count != kFault);
      for (int i = 0; i < count; ++i) RL_ASSERT(batch[i] == answered++ * 3 + 2);
      if (count == 0 && asked - answered > 0 && in.arm()) in.sleep(kForever, FutexScope::kShared);
    }
  }

  void back() {
    Consumer<P, std::uint32_t> in(request_produced, request_event, requests, kSlots, kFirst);
    Producer<P, std::uint32_t> out(response_produced, response_event, responses, kSlots, kFirst);
    std::uint32_t served = 0;
    while (served < kEntries) {
      std::uint32_t batch[kSlots];
      const int count = in.take(batch);
      RL_ASSERT(count != kFault);
      for (int i = 0; i < count; ++i) {
        RL_ASSERT(batch[i] == served++ * 3 + 1);
        out.push(batch[i] + 1);
      }
      if (out.publish()) P::wake_one(out.produced(), FutexScope::kShared);
      if (count == 0 && in.arm()) doorbell.wait();
    }
  }
};

int check() {
  // Those that catch most come first; the search without a bound is the longest.
  ModelCheck model({{"2 entries", 0, rl::sched_bound, 4, run_test<RingTest<2>>},
                    {"4 entries", 0, rl::sched_bound, 2, run_test<RingTest<4>>},
                    {"4 entries", 500'000, rl::sched_random, 0, run_test<RingTest<4>>},
                    {"1 entry", 0, rl::sched_full, 0, run_test<RingTest<1>>}});
  model.must_hold(Site::kPublish, Site::kCheckProduced);
  model.must_catch_orders(Site::kPublish, Site::kCheckProduced, {});
  model.must_catch({{Wrong::kNoSecondLook, "arm() without a second look"},
                    {Wrong::kEventTooLow, "event = consumed"},
                    {Wrong::kNoHoldOffRead, "publish() does not read the event"},
                    {Wrong::kNoRingWake, "no wake-up after a response"},
                    {Wrong::kBlindFutex, "a futex that does not compare"}});
  return model.result();
}

}  // namespace
}  // namespace fairlead::shm

int main() { return fairlead::shm::check(); }
