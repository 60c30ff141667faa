// SPDX-License-Identifier: Apache-2.0
//
// CallTable: the front end's blocking calls.  Many threads share one ring; each posts a request in
// a slot of its own and waits for the response with the same id.
//
// One waiting thread at a time leads: it watches the ring for all, hands each response to its
// owner, and wakes those who sleep.  So the back end wakes at most one thread per batch, and that
// one its neighbours.  A leader that has its answer passes the lead to a sleeper, if there is one.
//
//   state of a call (private memory)      kFree → kPosted → kDone → kFree
//                                                  ↓ ↑ ↘
//                                              kAsleep → kLead   "get up and lead"
//
// No lost wake-up, by two pairs.  Ring: Consumer::arm() against Producer::publish(), and the
// futex's own compare.  Lead: a sleeper marks itself, then looks for a leader; a leader that leaves
// clears the lead, then looks for marks.  All four in one total order: one of the two sees the
// other.
//
// Thread-safety: any number of threads, each with a slot of its own; pause() … resume() by one
// further thread at a time.  Ownership: owns the calls, views the ring.  Allocates at construction.
// Request and Response need a member `id`.
//
// Host: what the table asks of its surroundings.
//   begin(), again(), answered()   a wait starts; look once more?; it ended without sleep
//   slept()                        it ended with a sleep
//   step_aside(i)                  true: gave the core to others for a moment (i-th time), look
//   again timeout_ns()                   a call unanswered for so long is the back end's fault
//   fault()                        the back end broke a rule or the time: called once, must not
//   block
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "shm/ring.h"

namespace fairlead::shm {

enum class CallState : std::uint32_t { kFree, kPosted, kAsleep, kLead, kDone };

// How a call ended: answered by the back end, or given up because that is gone.
enum class Outcome : std::uint8_t { kAnswered, kClosed };

template <typename P, typename Request, typename Response, typename Host>
class CallTable {
 public:
  using Word = typename P::template Atomic<std::uint32_t>;
  using Marks = typename P::template Atomic<std::uint64_t>;

  CallTable(std::uint32_t slot_count, Host& host)
      : slot_count_(slot_count),
        host_(host),
        calls_(std::make_unique<Call[]>(slot_count)),
        marks_(std::make_unique<Marks[]>(mark_words())) {}

  // Posts a call in a free slot; sets request.id.  True: the back end must be notified.
  bool post(std::uint32_t slot, Request request) noexcept {
    Call& call = calls_[slot];
    const std::lock_guard lock(post_mutex_);
    request.id = ++sequence_ << kSlotBits | slot;
    P::write(call.request, request);
    P::write(call.outcome, closed_ ? Outcome::kClosed : Outcome::kAnswered);
    if (closed_) {
      set<Site::kCallPost>(call, CallState::kDone);
      return false;
    }
    // Released although an honest answer comes by way of the ring: one that was guessed does not.
    set<Site::kCallPost>(call, CallState::kPosted);
    requests_.push(request);
    return requests_.publish();
  }

  // Blocks until the call of `slot` has ended; release() it after its data is copied.
  Outcome wait(std::uint32_t slot, Response& response) noexcept {
    Call& call = calls_[slot];
    while (see(call) != CallState::kDone) {
      if (!paused() && take_lead()) {
        lead(call);
        leave_lead();
      } else {
        follow(slot, call);
      }
    }
    response = P::read(call.response);
    return P::read(call.outcome);
  }

  // Released: what the caller copied from the data area, which pause() may take away.
  void release(std::uint32_t slot) noexcept {
    set<Site::kCallFree>(calls_[slot], CallState::kFree);
  }

  // visitor(slot, id) for each call whose caller has not yet left with its end.  Holds up new calls
  // meanwhile: for a look now and then, not between pause() and resume().
  template <typename Visitor>
  void each_open(Visitor&& visitor) noexcept {
    const std::lock_guard lock(post_mutex_);
    for (std::uint32_t slot = 0; slot < slot_count_; ++slot) {
      if (see(calls_[slot]) != CallState::kFree) visitor(slot, P::read(calls_[slot].request).id);
    }
  }

  // Stops all traffic; returns when no thread touches the ring or an answered call's data.  The
  // flag itself orders nothing: the leader is woken until it has seen it, and the lead orders the
  // rest.
  void pause() noexcept {
    P::template store<Site::kPause>(paused_, std::uint32_t{1});
    while (!take_lead()) {
      P::wake_one(responses_.word(), FutexScope::kShared);
      P::yield();
    }
    post_mutex_.lock();
    for (std::uint32_t slot = 0; slot < slot_count_; ++slot) {
      while (see(calls_[slot]) == CallState::kDone) P::yield();
    }
  }

  // Between pause() and resume(): the ends of a new ring; posts again what is unanswered.
  // True: the back end must be notified.
  bool attach(Producer<P, Request> requests, Consumer<P, Response> responses) noexcept {
    requests_ = requests;
    responses_ = responses;
    closed_ = false;
    for (std::uint32_t slot = 0; slot < slot_count_; ++slot) {
      if (see(calls_[slot]) != CallState::kFree) requests_.push(P::read(calls_[slot].request));
    }
    return requests_.publish();
  }

  // Between pause() and resume(): gives up; every call, now and later, ends kClosed.
  void close() noexcept {
    closed_ = true;
    for (std::uint32_t slot = 0; slot < slot_count_; ++slot) {
      if (see(calls_[slot]) == CallState::kFree) continue;
      P::write(calls_[slot].outcome, Outcome::kClosed);
      finish(calls_[slot]);
    }
  }

  void resume() noexcept {
    faulted_ = false;
    post_mutex_.unlock();
    P::template store<Site::kPause>(paused_, std::uint32_t{0});
    leave_lead();
  }

 private:
  struct alignas(64) Call {
    Word state{static_cast<std::uint32_t>(CallState::kFree)};
    typename P::template Entry<Outcome> outcome{};
    typename P::template Entry<Response> response{};
    typename P::template Entry<Request> request{};
  };

  static constexpr int kSlotBits = 16;
  static constexpr int kBatch = 32;
  static constexpr std::uint32_t raw(CallState state) noexcept {
    return static_cast<std::uint32_t>(state);
  }
  std::uint32_t mark_words() const noexcept { return (slot_count_ + 63) / 64; }

  CallState see(const Call& call) const noexcept {
    return static_cast<CallState>(P::template load<Site::kCallSee>(call.state));
  }
  template <Site kSite>
  void set(Call& call, CallState state) noexcept {
    P::template store<kSite>(call.state, raw(state));
  }
  template <Site kSite>
  bool change(Call& call, CallState from, CallState to) noexcept {
    return P::template compare_exchange<kSite>(call.state, raw(from), raw(to));
  }
  bool paused() const noexcept { return P::template load<Site::kPauseSee>(paused_) != 0; }

  bool take_lead() noexcept {
    return P::template exchange<Site::kLeadTake>(leader_, std::uint32_t{1}) == 0;
  }

  // Clears the lead, then passes it to one of those who marked themselves before.
  void leave_lead() noexcept {
    P::template store<Site::kLeadLeave>(leader_, std::uint32_t{0});
    for (std::uint32_t word = 0; word < mark_words(); ++word) {
      std::uint64_t marks = P::template load<Site::kMarkScan>(marks_[word]);
      for (; marks != 0; marks &= marks - 1) {
        Call& call = calls_[word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(marks))];
        if (change<Site::kCallPromote>(call, CallState::kAsleep, CallState::kLead)) {
          P::wake_one(call.state, FutexScope::kPrivate);
          return;
        }
      }
    }
  }

  // Watches the ring until our own call is answered.
  void lead(const Call& own) noexcept {
    while (see(own) != CallState::kDone && !paused()) {
      Response batch[kBatch];
      const int count = responses_.take(batch);
      for (int i = 0; i < count; ++i) deliver(batch[i]);
      if (count == kFault) fault();
      if (count == 0) await_response();
    }
  }

  void await_response() noexcept {
    host_.begin();
    while (host_.again()) {
      if (!responses_.looks_empty() || paused()) return host_.answered();
    }
    const std::int64_t started = P::now_ns();
    const std::int64_t limit = host_.timeout_ns();
    while (responses_.arm() && !paused()) {
      responses_.sleep(limit, FutexScope::kShared);
      if (responses_.looks_empty() && P::now_ns() - started >= limit) fault();
    }
    host_.slept();
  }

  void deliver(const Response& response) noexcept {
    const auto slot = static_cast<std::uint32_t>(response.id & ((1u << kSlotBits) - 1));
    if (slot >= slot_count_) return fault();
    Call& call = calls_[slot];
    const CallState now = see(call);
    if (now == CallState::kFree || now == CallState::kDone) return fault();
    if (P::read(call.request).id != response.id) return fault();
    P::write(call.response, response);
    finish(call);
  }

  // Released: response and outcome.  Nothing of the sleeper is read, so nothing is acquired.
  void finish(Call& call) noexcept {
    const auto before = static_cast<CallState>(
        P::template exchange<Site::kCallDeliver>(call.state, raw(CallState::kDone)));
    if (before == CallState::kAsleep) P::wake_one(call.state, FutexScope::kPrivate);
  }

  // Everybody waits from now on until pause(), close() or attach(), and resume() by the host.
  void fault() noexcept {
    P::template store<Site::kPause>(paused_, std::uint32_t{1});
    if (!faulted_) host_.fault();
    faulted_ = true;
  }

  // Waits without the lead: steps aside while answers come fast, else sleeps until answered or
  // told to lead.
  void follow(std::uint32_t slot, Call& call) noexcept {
    for (int i = 0; host_.step_aside(i); ++i) {
      if (see(call) == CallState::kDone) return;
      if (P::template load<Site::kLeadSee>(leader_) == 0) return;
    }
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    P::template fetch_or<Site::kMark>(marks_[slot / 64], bit);
    if (change<Site::kCallSleep>(call, CallState::kPosted, CallState::kAsleep)) sleep(call);
    P::template fetch_and<Site::kUnmark>(marks_[slot / 64], ~bit);
  }

  void sleep(Call& call) noexcept {
    // Nobody leads any more?  Then nobody may ever wake us: get up again.
    if (P::template load<Site::kLeadCheck>(leader_) == 0) {
      change<Site::kCallRise>(call, CallState::kAsleep, CallState::kPosted);
      // Whoever pauses is about to take the lead: do not keep its core from it.
      if (paused()) P::yield();
    }
    while (see(call) == CallState::kAsleep) {
      P::wait(call.state, raw(CallState::kAsleep), kForever, FutexScope::kPrivate);
    }
    change<Site::kCallRise>(call, CallState::kLead, CallState::kPosted);
  }

  // Constant after construction.
  const std::uint32_t slot_count_;
  Host& host_;
  const std::unique_ptr<Call[]> calls_;
  const std::unique_ptr<Marks[]> marks_;

  // Guarded by post_mutex_.
  typename P::Mutex post_mutex_;
  Producer<P, Request> requests_;
  std::uint64_t sequence_ = 0;
  bool closed_ = true;  // until attached

  // Guarded by the lead.
  alignas(64) Word leader_{0};
  Word paused_{0};
  Consumer<P, Response> responses_;
  bool faulted_ = false;
};

}  // namespace fairlead::shm
