// SPDX-License-Identifier: Apache-2.0
//
// Consumer: the other end of a channel.  Connects to it, reads all streams in turn, disconnects.
//
//     auto consumer = Consumer::connect(std::move(memfd), bytes);
//     StreamPiece piece;
//     while (!consumer->ended()) {
//       while (*consumer->read(piece) == Look::kPiece) {
//         write_down(piece.stream, piece.losses, piece.data);
//         consumer->take();                            // dealt with: whoever follows begins after
//       }
//       consumer->wait(std::chrono::milliseconds(100));
//     }
//
// A consumer that dies is followed by another, which gets what its predecessor had not taken, and
// nothing twice.  The producer is not trusted: whatever it writes, this side reads within bounds;
// a stream whose positions make no sense is given up, and counted.
//
// Nobody notifies a consumer: wait() looks once a millisecond; after a silence of more than 64 ms
// it rests for a 64th of it, up to 10 ms, and no longer than a burst needs to fill half a stream.
// poll_fd() is for those who have a loop of their own: it becomes readable once a millisecond, and
// read() that finds nothing makes it unreadable.
//
// After fork() the child has no part in it: nothing can be read, and its end disconnects nobody.
//
// Thread-safety: one thread.  Ownership: a mapping and a file description of its own.
// Errors: connect(): kBusy if a consumer is there, counted (presence.h), kCorrupt for what is no
// channel.  After disconnect(), and in a child, each call is counted, and kClosed where it gives a
// Result.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "relay/channel_segment.h"
#include "relay/clock_sync.h"
#include "relay/stream_reader.h"

namespace fairlead::relay {

struct StreamPiece : Piece {
  std::uint32_t stream = 0;
};

enum class ProducerLife : std::uint8_t {
  kOpen,
  kClosing,
  kClosed,
  kDead,  // it ended without a close
};

class ConsumerState;

class Consumer {
 public:
  static base::Result<Consumer> connect(base::Fd memfd, std::uint64_t bytes);

  // In memory that somebody else has mapped, as a card's.  Nothing keeps two consumers apart there,
  // and a producer that died looks like one that is silent.
  static base::Result<Consumer> connect_in(std::byte* at, std::uint64_t bytes);

  Consumer(Consumer&& other) noexcept;
  Consumer& operator=(Consumer&& other) noexcept;
  ~Consumer();  // disconnects

  // The next piece of whichever stream has one: whole records of `most` bytes together, or one that
  // is longer; in mode overwrite all there is.  Its data is valid until the next call.
  base::Result<Look> read(StreamPiece& piece, std::size_t most = kAllThereIs);
  void take() noexcept;  // what read() found

  // Until there may be something to read, the producer has ended, or the time is over.
  bool wait(std::chrono::nanoseconds timeout);
  base::Result<int> poll_fd();  // owned by the consumer

  // The producer's clock against ours, of `rounds` questions; waits so long for the first answer.
  // kTimeout: it answers nobody, as most do not: processes of one kernel have one clock.
  // kUnsupported: its stamps are of another kind than ours.
  base::Result<ClockInterval> measure_clock(int rounds, std::chrono::nanoseconds patience);
  // The producer's stamp when it last said that it lives; 0: it never did.  In a guest its only
  // sign of life.
  std::uint64_t heartbeat() const noexcept;

  base::Status disconnect();

  ProducerLife producer() const noexcept;
  bool closed()
      const noexcept;           // the producer says so: one look at memory, the kernel is not asked
  bool ended() const noexcept;  // the producer has, however, and all is read; or we are gone

  const abi::RelayShape& shape() const noexcept;
  ChannelId id() const noexcept;
  std::uint64_t epoch() const noexcept;        // how many consumers this channel has had
  std::uint64_t no_stream() const noexcept;    // records of threads that found no stream
  std::uint32_t broken() const noexcept;       // streams that were given up
  std::uint64_t wrong_calls() const noexcept;  // after disconnect(), or in a child

  // Of one stream, since the channel was opened, whoever read.
  struct Sums : StreamSums {
    std::uint64_t attempts = 0;
  };
  Sums sums(std::uint32_t stream) const noexcept;

 private:
  explicit Consumer(std::unique_ptr<ConsumerState> state) noexcept;

  std::unique_ptr<ConsumerState> state_;
};

}  // namespace fairlead::relay
