// SPDX-License-Identifier: Apache-2.0
//
// StreamWriter: the producer's end of one stream.  Protocol and layout: docs/design/relay.md and
// abi/relay.h.
//
// Thread-safety: one thread, and the signal handlers that interrupt it: a write from within a write
// is lost and counted.  close() may be called by any.  Ownership: a view; the segment must outlive
// it.  Never blocks, allocates, or calls the system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/platform.h"
#include "relay/stream_shape.h"

namespace fairlead::relay {

enum class Written : std::uint8_t {
  kDone,
  kFull,      // lost: no free sub-buffer
  kTooBig,    // lost: longer than a sub-buffer holds, or not of the size of an item
  kNobody,    // lost: no consumer is connected
  kClosed,    // lost: after close()
  kNested,    // lost: from a signal handler inside a write
  kNoStream,  // lost: more threads write than the channel has streams
};

template <typename P>
class BasicStreamWriter {
 public:
  using Memory = typename P::Memory;

  // `keep`: writes before the first connection are buffered; else they are lost.  `first`: where
  // positions begin; zero, except in tests that begin before a word's end.
  BasicStreamWriter(const StreamShape& shape, Memory memory, typename P::StreamIn& in,
                    const typename P::StreamOut& out, const typename P::Word32& consumer_state,
                    bool keep, std::uint64_t first = 0) noexcept
      : shape_(shape),
        memory_(memory),
        in_(in),
        out_(out),
        consumer_state_(consumer_state),
        keep_(keep),
        next_(first),
        end_(first),
        consumed_(first) {}

  // A record of `bytes` at `payload`, or an item, whose type and stamp then go nowhere.
  Written write(std::uint16_t type, std::uint64_t stamp, const void* payload,
                std::size_t bytes) noexcept {
    if (busy_.load(std::memory_order_relaxed) != kIdle) [[unlikely]]
      return nested();
    busy_.store(kBusy, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const Written outcome = write_alone(type, stamp, payload, bytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    // A handler lost something meanwhile: the next record begins a sub-buffer, which tells.
    if (busy_.load(std::memory_order_relaxed) == kInterrupted) [[unlikely]]
      end_ = next_;
    busy_.store(kIdle, std::memory_order_relaxed);
    return outcome;
  }
  Written write(std::uint16_t type, const void* payload, std::size_t bytes) noexcept {
    return write(type, P::stamp(), payload, bytes);
  }

  // Whether a write of so many bytes would find room now: for a thread that can wait, the stream's.
  // Touches shared memory only where the sub-buffer has no room left.
  bool has_room(std::size_t bytes) noexcept {
    if (bytes - least_payload_ > payload_range_) return false;
    if (stride_of(shape_, bytes) <= end_ - next_) [[likely]]
      return true;
    return shape_.overwrite || free(shape_.begin_of(next_ + shape_.sub_buffer_bytes() - 1));
  }

  // Every write from now on is lost.
  void close() noexcept { closed_.store(true, std::memory_order_relaxed); }

  std::uint64_t position() const noexcept { return next_; }

 private:
  enum : int { kIdle, kBusy, kInterrupted };

  [[gnu::always_inline]] Written write_alone(std::uint16_t type, std::uint64_t stamp,
                                             const void* payload, std::size_t bytes) noexcept {
    P::template store<Site::kAttempt>(in_.attempts, ++attempts_);
    const Written state = may_write();
    if (state != Written::kDone) [[unlikely]]
      return lose(state, stamp, bytes);
    if (bytes - least_payload_ > payload_range_) [[unlikely]] {
      return lose(Written::kTooBig, stamp, bytes);
    }
    const std::uint64_t stride = stride_of(shape_, bytes);
    if (stride > end_ - next_) [[unlikely]] {
      if (!roll(stamp)) return lose(Written::kFull, stamp, bytes);
    }
    if (shape_.item_bytes == 0) {
      put_record(type, stamp, payload, bytes);
    } else {
      put(next_, payload, bytes);
    }
    next_ += stride;
    ++records_;
    // Released: the record, the header of its sub-buffer, the seal of the one before.
    P::template store<Site::kCommit>(in_.commit, next_);
    return Written::kDone;
  }

  Written may_write() const noexcept {
    if (closed_.load(std::memory_order_relaxed)) [[unlikely]]
      return Written::kClosed;
    const auto state =
        static_cast<abi::RelayConsumerState>(P::template load<Site::kSeeConsumer>(consumer_state_));
    if (state == abi::RelayConsumerState::kConnected) [[likely]]
      return Written::kDone;
    const bool early = state == abi::RelayConsumerState::kNone;
    return early && keep_ ? Written::kDone : Written::kNobody;
  }

  [[gnu::always_inline]] void put_record(std::uint16_t type, std::uint64_t stamp,
                                         const void* payload, std::size_t bytes) noexcept {
    const abi::RelayRecord header{static_cast<std::uint32_t>(sizeof(abi::RelayRecord) + bytes),
                                  type, static_cast<std::uint16_t>(attempts_), stamp};
    put(next_, &header, sizeof header);
    put(next_ + sizeof header, payload, bytes);
  }

  [[gnu::always_inline]] void put(std::uint64_t position, const void* from,
                                  std::size_t bytes) noexcept {
    if (shape_.overwrite) {
      put_words(shape_.place(position), from, bytes);
    } else {
      memory_.put(shape_.place(position), from, bytes);
    }
  }

  // The last one filled up with zeroes.
  void put_words(std::uint64_t place, const void* from, std::size_t bytes) noexcept {
    const std::size_t whole = bytes & ~std::size_t{7};
    memory_.put_words(place, from, whole);
    if (whole == bytes) return;
    std::uint64_t last = 0;
    std::memcpy(&last, static_cast<const std::byte*>(from) + whole, bytes - whole);
    memory_.put_words(place + whole, &last, sizeof last);
  }

  // Begins the next sub-buffer; false: there is none.
  [[gnu::noinline]] bool roll(std::uint64_t stamp) noexcept {
    const std::uint64_t bytes = shape_.sub_buffer_bytes();
    const std::uint64_t begin = shape_.begin_of(next_ + bytes - 1);
    if (!shape_.overwrite) {
      if (!free(begin)) return false;
    } else if (begin - first_ >= shape_.capacity()) {
      // Before the first word of new contents, each of which is a release.
      P::template store<Site::kGiveUp>(in_.overwritten_to, begin + bytes - shape_.capacity());
    }
    seal();
    open(begin, stamp);
    return true;
  }

  // Has the consumer passed what was in this place?  A `consumed` that runs backwards or ahead of
  // what was written is not believed.
  bool free(std::uint64_t begin) noexcept {
    const std::uint64_t needed = begin + shape_.sub_buffer_bytes() - shape_.capacity();
    const auto reached = [&] { return static_cast<std::int64_t>(consumed_ - needed) >= 0; };
    if (reached()) return true;
    const std::uint64_t seen = P::template load<Site::kSeeConsumed>(out_.consumed);
    if (seen - consumed_ > next_ - consumed_) return false;
    consumed_ = seen;
    return reached();
  }

  void seal() noexcept {
    if (records_ == 0) return;
    const std::uint64_t begin = shape_.begin_of(next_ - 1);
    const std::uint32_t seal[2] = {static_cast<std::uint32_t>(next_ - begin), records_};
    put(begin + offsetof(abi::RelaySubBuffer, content), seal, sizeof seal);
  }

  void open(std::uint64_t begin, std::uint64_t stamp) noexcept {
    abi::RelaySubBuffer header{};
    header.magic = abi::kRelaySubBufferMagic;
    header.stream = shape_.stream;
    header.number = begin >> shape_.sub_buffer_shift;
    header.begin_stamp = stamp;
    header.attempts = attempts_ - 1;
    header.losses = losses_;
    header.losses.nested = P::template load<Site::kSeeLost>(in_.lost_nested);
    put(begin, &header, sizeof header);
    in_gap_ = false;
    records_ = 0;
    next_ = begin + sizeof header;
    end_ = begin + shape_.sub_buffer_bytes();
  }

  // The sub-buffer ends here: the next one's header tells what is missing between them.
  [[gnu::noinline]] Written lose(Written cause, std::uint64_t stamp, std::size_t bytes) noexcept {
    end_ = next_;
    losses_.bytes += bytes;
    losses_.gap_last = stamp;
    if (!in_gap_) {
      losses_.gap_first = stamp;
      P::template store<Site::kLost>(in_.gap_first, stamp);
      in_gap_ = true;
    }
    P::template store<Site::kLost>(in_.gap_last, stamp);
    P::template store<Site::kLost>(in_.lost_bytes, losses_.bytes);
    if (cause == Written::kFull) {
      P::template store<Site::kLost>(in_.lost_full, ++losses_.full);
    } else if (cause == Written::kTooBig) {
      P::template store<Site::kLost>(in_.lost_big, ++losses_.big);
    } else {
      P::template store<Site::kLost>(in_.lost_state, ++losses_.state);
    }
    return cause;
  }

  // Added to by handlers that may interrupt one another, and by no other thread.
  [[gnu::noinline]] Written nested() noexcept {
    busy_.store(kInterrupted, std::memory_order_relaxed);
    P::template fetch_add<Site::kLost>(in_.lost_nested, std::uint64_t{1});
    return Written::kNested;
  }

  const StreamShape shape_;
  Memory memory_;
  typename P::StreamIn& in_;
  const typename P::StreamOut& out_;
  const typename P::Word32& consumer_state_;
  const bool keep_;
  // A payload is right if `bytes - least_payload_ <= payload_range_`.
  const std::size_t least_payload_ = shape_.item_bytes;
  const std::size_t payload_range_ = shape_.item_bytes != 0 ? 0 : most_payload(shape_);
  std::atomic<bool> closed_{false};
  std::atomic<int> busy_{kIdle};
  bool in_gap_ = false;
  std::uint32_t records_ = 0;  // in the current sub-buffer
  std::uint64_t attempts_ = 0;
  std::uint64_t next_;
  std::uint64_t end_;       // of the room at next_
  std::uint64_t consumed_;  // as last seen
  const std::uint64_t first_ = next_;
  abi::RelayLosses losses_{};  // its `nested` is not used
};

}  // namespace fairlead::relay
