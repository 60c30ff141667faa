// SPDX-License-Identifier: Apache-2.0
//
// Producer: one end of a channel.  Opens it, writes records from any number of threads, closes it.
//
//     auto producer = Producer::open({.streams = 4});
//     hand_over(producer->fd());                       // to who is to be the consumer
//     producer->write(kMyType, &event, sizeof event);  // whatever becomes of it: no wait
//     producer->close(std::chrono::milliseconds(100)); // the consumer may read so much longer
//
// Each thread that writes has a stream of its own, from its first record until it ends; then the
// next thread may have it.  Threads beyond the streams lose what they write (kNoStream, counted).
// After fork() the child has no part in it: what it writes goes nowhere and is not counted, and its
// close() closes nothing.
//
// Thread-safety: write() from any thread, and from signal handlers of a thread that has written
// before.  close() from one; the destructor when nobody writes any more.
// Ownership: owns the memory; a consumer maps it for itself.
// Never blocks, allocates or calls the system in write(), but for a thread's first.
// Errors: open(): kInvalid for the options, kLimit and others from the system.  close(): kClosed
// the second time, and in a child.  What comes after close() is counted: writes with the losses,
// the rest as wrong_calls().
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "relay/channel_segment.h"
#include "relay/stream_writer.h"

namespace fairlead::relay {

class ProducerState;

class Producer {
 public:
  static base::Result<Producer> open(const ChannelOptions& options);

  // In memory of somebody else's, as a card's, which must outlive it and be zero.  There is nobody
  // whom a kernel could ask for: the consumer knows of its end what close() says, and no more.
  static base::Result<Producer> open_in(std::byte* at, std::uint64_t bytes,
                                        const ChannelOptions& options);

  Producer(Producer&& other) noexcept;
  Producer& operator=(Producer&& other) noexcept;
  ~Producer();  // closes, without waiting

  Written write(std::uint16_t type, const void* payload, std::size_t bytes) noexcept {
    return write(type, stamp(), payload, bytes);
  }
  Written write(std::uint16_t type, std::uint64_t stamp, const void* payload,
                std::size_t bytes) noexcept;

  // Whether write() of so many bytes would find room now, for a thread that can wait: false where
  // the record would be lost as kFull.  Nothing is counted.
  bool has_room(std::size_t bytes) noexcept;

  // Says that it lives, and answers a consumer that measures this side's clock (clock_sync.h); then
  // spins for as long as `spin` after each answer, as questions come in bursts.  For a producer of
  // another clock than its consumer's, every few milliseconds, from one thread.  False: nobody
  // asked, or it is closed.
  bool answer_clock(std::chrono::nanoseconds spin) noexcept;

  // Nothing more is written; waits until a connected consumer has read all, or, where what is
  // written is kept, until the first has connected and has; at most for `drain`.  True if it has.
  base::Result<bool> close(std::chrono::nanoseconds drain);

  int fd() const noexcept;  // -1 for open_in(), and after close()
  std::uint64_t bytes() const noexcept;
  ChannelId id() const noexcept;
  // One load: what an event source asks before it makes an event.
  bool connected() const noexcept {
    return consumer_->load(std::memory_order_relaxed) ==
           static_cast<std::uint32_t>(abi::RelayConsumerState::kConnected);
  }
  bool closed() const noexcept;                // by this process, or it is a parent's
  std::uint64_t wrong_calls() const noexcept;  // of what is not a write, after close()

 private:
  explicit Producer(std::unique_ptr<ProducerState> state) noexcept;

  std::unique_ptr<ProducerState> state_;
  const std::atomic<std::uint32_t>* consumer_;  // its state, in what state_ has mapped
};

}  // namespace fairlead::relay
