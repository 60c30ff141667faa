// SPDX-License-Identifier: Apache-2.0
//
// What carries messages from a producer to a consumer; for message_stream.cc alone.
//
// A carrier is made before the fork.  The parent calls produce() and then send(), the child
// consume() and then receive(): it gives what came, valid until the next call, and nothing if
// nothing has.  Those that block in the kernel give nothing only when the other side has ended.
//
// Thread-safety: one thread each side.  Errors: made() is false, with errno; send() is false once
// the other side has ended.
#pragma once

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "apps/message_stream.h"
#include "base/fd.h"
#include "relay/consumer.h"
#include "relay/producer.h"

namespace fairlead::apps {

using Bytes = std::span<const std::byte>;

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// What the two processes tell each other beside the messages.
class Watch {
 public:
  virtual ~Watch() = default;
  // Waits a little; false: the other side has ended.
  virtual bool pause() noexcept = 0;
};

class RelayCarrier {
 public:
  explicit RelayCarrier(const MessageStreamPlan& plan)
      : most_(plan.read_bytes == 0 ? relay::kAllThereIs : plan.read_bytes),
        message_(plan.write_bytes) {
    constexpr std::uint32_t kSubBuffers = 8;
    const std::uint64_t least = std::bit_ceil(2 * std::uint64_t{plan.write_bytes});
    const std::uint64_t sub_buffer = std::max<std::uint64_t>(
        std::max(least, plan.buffer_bytes / kSubBuffers), abi::kMinSubBufferBytes);
    auto opened = relay::Producer::open({.streams = 1,
                                         .sub_buffer_bytes = static_cast<std::uint32_t>(sub_buffer),
                                         .sub_buffers = kSubBuffers,
                                         .item_bytes = plan.write_bytes,
                                         .keep = true});
    if (!opened) return;
    memfd_.reset(::dup(opened->fd()));
    bytes_ = opened->bytes();
    producer_.emplace(std::move(*opened));
  }
  bool made() const noexcept { return static_cast<bool>(memfd_); }

  bool produce() noexcept { return true; }
  bool consume() {
    auto connected = relay::Consumer::connect(std::move(memfd_), bytes_);
    if (connected) consumer_.emplace(std::move(*connected));
    return consumer_.has_value();
  }
  bool send(Bytes message, Watch& watch) noexcept {
    while (!producer_->has_room(message.size())) {
      if (!watch.pause()) return false;
    }
    return producer_->write(0, 0, message.data(), message.size()) == relay::Written::kDone;
  }
  // A reader at the writer's heels takes its cache lines away with every message, and both are ten
  // times slower than they could be: so one that found little lets some more come.
  Bytes receive() {
    consumer_->take();
    if (small_ && found_ < kLittle && found_ + message_ <= most_) {
      for (const std::uint64_t now = relay::stamp(); relay::stamp() - now < kRestTicks;) {
      }
    }
    const auto look = consumer_->read(piece_, most_);
    found_ = look && *look == relay::Look::kPiece ? piece_.data.size() : 0;
    return Bytes(piece_.data).first(found_);
  }

 private:
  static constexpr std::size_t kLittle = 4096;       // bytes
  static constexpr std::uint64_t kRestTicks = 3000;  // a microsecond, or somewhat more

  const std::size_t most_;
  const std::size_t message_;
  const bool small_ = message_ < kLittle / 4;
  std::size_t found_ = 0;
  base::Fd memfd_;
  std::uint64_t bytes_ = 0;
  std::optional<relay::Producer> producer_;
  std::optional<relay::Consumer> consumer_;
  relay::StreamPiece piece_;
};

// A stream of bytes in the kernel: what its users call, each message whole.
class KernelCarrier {
 public:
  explicit KernelCarrier(const MessageStreamPlan& plan)
      : kind_(plan.carrier), room_(plan.read_bytes == 0 ? plan.write_bytes : plan.read_bytes) {
    int ends[2] = {-1, -1};
    if (kind_ == Carrier::kTcp) {
      connect_loopback(ends);
    } else if (kind_ == Carrier::kUnix) {
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    } else if (::pipe2(ends, O_CLOEXEC) != 0 ||
               ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(plan.buffer_bytes)) < 0) {
      return;
    }
    out_.reset(ends[0]);
    in_.reset(ends[1]);
  }
  bool made() const noexcept { return out_ && in_; }

  bool produce() noexcept {
    out_.reset();
    return true;
  }
  bool consume() noexcept {
    in_.reset();
    return true;
  }
  bool send(Bytes message, Watch&) noexcept {
    for (std::size_t done = 0; done < message.size();) {
      const ssize_t put =
          kind_ == Carrier::kPipe
              ? ::write(in_.get(), message.data() + done, message.size() - done)
              : ::send(in_.get(), message.data() + done, message.size() - done, MSG_NOSIGNAL);
      if (put <= 0) return false;
      done += static_cast<std::size_t>(put);
    }
    return true;
  }
  // Whole reads of what was asked for, as message by message wants.
  Bytes receive() noexcept {
    std::size_t done = 0;
    while (done < room_.size()) {
      const ssize_t got =
          kind_ == Carrier::kPipe
              ? ::read(out_.get(), room_.data() + done, room_.size() - done)
              : ::recv(out_.get(), room_.data() + done, room_.size() - done, MSG_WAITALL);
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    return Bytes(room_).first(done);
  }

 private:
  static void connect_loopback(int (&ends)[2]) {
    const base::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const at = reinterpret_cast<sockaddr*>(&address);
    base::Fd sender(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(listener.get(), at, length) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), at, &length) != 0 ||
        ::connect(sender.get(), at, length) != 0) {
      return;
    }
    ends[0] = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
    ends[1] = sender.release();
  }

  const Carrier kind_;
  base::Fd in_;
  base::Fd out_;
  std::vector<std::byte> room_;
};

// Copied into a ring by the one, out of it by the other, message by message: no more can be had
// without a copy less.
class MemcpyCarrier {
 public:
  explicit MemcpyCarrier(const MessageStreamPlan& plan)
      : message_(plan.write_bytes),
        slots_(std::bit_floor(std::max<std::uint64_t>(plan.buffer_bytes / message_, 4))),
        room_(message_) {
    void* const at = ::mmap(nullptr, sizeof(Positions) + slots_ * message_, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return;
    positions_ = new (at) Positions;
    ring_ = static_cast<std::byte*>(at) + sizeof(Positions);
  }
  MemcpyCarrier(const MemcpyCarrier&) = delete;
  MemcpyCarrier& operator=(const MemcpyCarrier&) = delete;
  ~MemcpyCarrier() {
    if (made()) ::munmap(positions_, sizeof(Positions) + slots_ * message_);
  }
  bool made() const noexcept { return positions_ != nullptr; }

  bool produce() noexcept { return true; }
  bool consume() noexcept { return true; }
  bool send(Bytes message, Watch& watch) noexcept {
    while (mine_ - other_ == slots_) {
      other_ = positions_->out.load(std::memory_order_acquire);
      if (mine_ - other_ == slots_ && !watch.pause()) return false;
    }
    std::memcpy(ring_ + mine_ % slots_ * message_, message.data(), message_);
    positions_->in.store(++mine_, std::memory_order_release);
    return true;
  }
  Bytes receive() noexcept {
    if (mine_ == other_) other_ = positions_->in.load(std::memory_order_acquire);
    if (mine_ == other_) return {};
    std::memcpy(room_.data(), ring_ + mine_ % slots_ * message_, message_);
    positions_->out.store(++mine_, std::memory_order_release);
    return room_;
  }

 private:
  struct Positions {
    alignas(128) std::atomic<std::uint64_t> in{0};
    alignas(128) std::atomic<std::uint64_t> out{0};
  };

  const std::size_t message_;
  const std::uint64_t slots_;  // power of two
  std::vector<std::byte> room_;
  Positions* positions_ = nullptr;
  std::byte* ring_ = nullptr;
  std::uint64_t mine_ = 0;
  std::uint64_t other_ = 0;  // as last seen
};

}  // namespace fairlead::apps
