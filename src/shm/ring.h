// SPDX-License-Identifier: Apache-2.0
//
// Producer and Consumer: the two ends of one direction of a ring, and the only code that touches
// its indices.  A front end has a Producer of requests and a Consumer of responses; a back end has
// the opposite two.  Layout, orders and trust: include/fairlead/abi/ring.h.
//
// Thread-safety: none; one thread at a time owns an end (the front end's callers hand theirs on).
// Ownership: views; the segment below must outlive them.  Never blocks, allocates or fails: a peer
// that breaks the rules shows as kFault.
#pragma once

#include <cstdint>
#include <span>

#include "shm/platform.h"

namespace fairlead::shm {

// A consumer's finding that the peer's index is impossible.
inline constexpr int kFault = -1;

template <typename P, typename T>
class Producer {
 public:
  using Word = typename P::template Atomic<std::uint32_t>;
  using Entry = typename P::template Entry<T>;

  Producer() = default;
  // `first`: where the indices begin; zero, except in tests that begin before the wrap at 2^32.
  Producer(Word& produced, Word& peer_event, Entry* entries, std::uint32_t slot_count,
           std::uint32_t first = 0) noexcept
      : produced_(&produced),
        event_(&peer_event),
        entries_(entries),
        mask_(slot_count - 1),
        next_(first),
        published_(first) {}

  // Writes an entry; the peer sees it after publish().  The caller bounds what is in flight to
  // slot_count, so there is always room.
  void push(const T& value) noexcept { P::write(entries_[next_++ & mask_], value); }

  // Shows all pushed entries.  True: the peer sleeps, or is about to, and must be notified.
  bool publish() noexcept {
    if (next_ == published_) return false;
    // seq_cst with the load below: either this side sees the armed event, or the consumer's last
    // look sees the new index.
    P::template store<Site::kPublish>(*produced_, next_);
    const std::uint32_t event = P::template load<Site::kReadEvent>(*event_);
    const bool notify = next_ - event < next_ - published_;
    published_ = next_;
    return notify;
  }

  bool unpublished() const noexcept { return next_ != published_; }
  Word& produced() const noexcept { return *produced_; }

 private:
  Word* produced_ = nullptr;
  Word* event_ = nullptr;
  Entry* entries_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t next_ = 0;
  std::uint32_t published_ = 0;
};

template <typename P, typename T>
class Consumer {
 public:
  using Word = typename P::template Atomic<std::uint32_t>;
  using Entry = typename P::template Entry<T>;

  Consumer() = default;
  Consumer(Word& peer_produced, Word& event, const Entry* entries, std::uint32_t slot_count,
           std::uint32_t first = 0) noexcept
      : produced_(&peer_produced),
        event_(&event),
        entries_(entries),
        mask_(slot_count - 1),
        consumed_(first) {}

  // Copies up to out.size() entries.  Returns how many, or kFault.
  int take(std::span<T> out) noexcept {
    prefetch();
    const std::uint32_t there = P::template load<Site::kSeeProduced>(*produced_) - consumed_;
    if (there > mask_ + 1) return kFault;
    const std::uint32_t count = there < out.size() ? there : static_cast<std::uint32_t>(out.size());
    for (std::uint32_t i = 0; i < count; ++i) out[i] = P::read(entries_[consumed_++ & mask_]);
    return static_cast<int>(count);
  }

  bool looks_empty() const noexcept {
    prefetch();
    return P::template load<Site::kSeeProduced>(*produced_) == consumed_;
  }

  // Asks to be notified of the next entry.  True: nothing is there, sleep; false: look again.
  bool arm() noexcept {
    P::template store<Site::kArmEvent>(*event_, consumed_ + 1);
    return P::template load<Site::kCheckProduced>(*produced_) == consumed_;
  }

  Word& word() const noexcept { return *produced_; }

  // Sleeps on the index itself while nothing new is there; only after arm().
  void sleep(std::int64_t timeout_ns, FutexScope scope) const noexcept {
    P::wait(*produced_, consumed_, timeout_ns, scope);
  }

 private:
  // The next entry's line comes beside the index's, not after it: between distant cores each is a
  // quarter of a microsecond.
  void prefetch() const noexcept { P::prefetch(entries_[consumed_ & mask_]); }

  Word* produced_ = nullptr;
  Word* event_ = nullptr;
  const Entry* entries_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t consumed_ = 0;
};

}  // namespace fairlead::shm
