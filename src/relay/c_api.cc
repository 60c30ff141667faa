// SPDX-License-Identifier: Apache-2.0
#include "relay/c_api.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "daemon/runtime_dir.h"
#include "relay/consumer.h"
#include "relay/producer.h"
#include "relay/registry.h"

using fairlead::base::Error;
using fairlead::base::ErrorKind;
using fairlead::daemon::RuntimeDir;
using fairlead::relay::Announcement;
using fairlead::relay::ChannelOptions;
using fairlead::relay::Consumer;
using fairlead::relay::Look;
using fairlead::relay::Producer;
using fairlead::relay::StreamPiece;
namespace abi = fairlead::abi;
namespace base = fairlead::base;
namespace relay = fairlead::relay;

// NOLINTBEGIN(readability-identifier-naming): names as C has them
struct fl_relay_producer {
  Producer producer;
  std::optional<Announcement> announcement;  // after the producer: withdrawn before it closes
};

struct fl_relay_consumer {
  Consumer consumer;
  StreamPiece piece;     // being handed out record by record
  bool holding = false;  // it is, and has not been taken
  std::size_t at = 0;    // of the next record in its data
  std::uint64_t number = 0;
};
// NOLINTEND(readability-identifier-naming)

namespace {

thread_local std::string last_error;

int errno_of(const Error& error) {
  if (error.system_errno() != 0) return error.system_errno();
  switch (error.kind()) {
    case ErrorKind::kInvalid: return EINVAL;
    case ErrorKind::kNotFound: return ENOENT;
    case ErrorKind::kExists: return EEXIST;
    case ErrorKind::kBusy: return EBUSY;
    case ErrorKind::kTimeout: return ETIMEDOUT;
    case ErrorKind::kClosed: return ENOTCONN;
    case ErrorKind::kCorrupt: return EPROTO;
    case ErrorKind::kLimit: return ENOSPC;
    case ErrorKind::kUnsupported: return ENOSYS;
    case ErrorKind::kDenied: return EACCES;
    case ErrorKind::kIo: return EIO;
  }
  return EIO;
}

int failed(const Error& error) {
  last_error = error.message();
  return -errno_of(error);
}

// No exception leaves into C; out of memory is the only one there is.
template <typename Body>
int guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::exception&) {
    last_error = "out of memory";  // short enough to need none
    return -ENOMEM;
  }
}

ChannelOptions options_of(const fl_relay_options* given) {
  ChannelOptions options;
  if (given == nullptr) return options;
  if (given->streams != 0) options.streams = given->streams;
  if (given->sub_buffer_bytes != 0) options.sub_buffer_bytes = given->sub_buffer_bytes;
  if (given->sub_buffers != 0) options.sub_buffers = given->sub_buffers;
  options.item_bytes = given->item_bytes;
  options.overwrite = given->overwrite != 0;
  options.keep = given->keep != 0;
  return options;
}

base::Result<Announcement> announce(const char* name, const Producer& producer) {
  FL_TRY(const RuntimeDir folder, RuntimeDir::open(RuntimeDir::Purpose::kServe));
  return Announcement::make(folder, name, producer);
}

base::Result<Consumer> connect(const char* name) {
  FL_TRY(const RuntimeDir folder, RuntimeDir::open(RuntimeDir::Purpose::kUse));
  return relay::connect_by_name(folder, name);
}

int give(base::Result<Consumer> consumer, fl_relay_consumer** to) {
  if (!consumer) return failed(consumer.error());
  *to = new fl_relay_consumer{std::move(*consumer), {}};
  return 0;
}

fl_relay_losses losses_of(const relay::Losses& losses) noexcept {
  return {losses.full,    losses.big,   losses.state,       losses.nested,    losses.overwritten,
          losses.corrupt, losses.bytes, losses.first_stamp, losses.last_stamp};
}

// The record at `at`: the reader has checked that all are whole.
void hand_out(fl_relay_consumer& from, fl_relay_record& record) noexcept {
  const std::byte* at = from.piece.data.data() + from.at;
  const std::uint32_t item = from.consumer.shape().item_bytes;
  if (item != 0) {
    const bool words = from.consumer.shape().mode == abi::RelayMode::kOverwrite;
    record.payload = at;
    record.bytes = item;
    from.at += words ? relay::round_up_8(item) : item;
  } else {
    abi::RelayRecord header;
    std::memcpy(&header, at, sizeof header);
    record.type = header.type;
    record.stamp = header.stamp;
    record.payload = at + sizeof header;
    record.bytes = header.bytes - sizeof header;
    from.at += relay::round_up_8(header.bytes);
  }
  record.stream = from.piece.stream;
  record.number = from.number++;
}

// 1 with a piece in hand; else what fl_relay_read() says.
int fetch(fl_relay_consumer& from, fl_relay_record& record) {
  if (std::exchange(from.holding, false)) from.consumer.take();
  const bool ended = from.consumer.ended();  // before the look: nothing comes after it
  const auto look = from.consumer.read(from.piece);
  if (!look) return failed(look.error());
  if (*look == Look::kEmpty) {
    if (!ended) return 0;
    last_error = "the producer of this relay channel has ended, and all is read";
    return -EPIPE;
  }
  if (*look == Look::kBroken) {
    last_error = "a stream of this relay channel has positions that make no sense";
    return -EPROTO;
  }
  from.holding = true;
  from.at = 0;
  from.number = from.piece.first;
  record.stream = from.piece.stream;
  record.losses = losses_of(from.piece.losses);
  return *look == Look::kLosses ? 2 : 1;
}

}  // namespace

int fl_relay_open(const char* name, const fl_relay_options* options, fl_relay_producer** producer) {
  return guarded([&] {
    auto opened = Producer::open(options_of(options));
    if (!opened) return failed(opened.error());
    std::optional<Announcement> announcement;
    if (name != nullptr) {
      auto made = announce(name, *opened);
      if (!made) return failed(made.error());
      announcement.emplace(std::move(*made));
    }
    *producer = new fl_relay_producer{std::move(*opened), std::move(announcement)};
    return 0;
  });
}

fl_relay_written fl_relay_write(fl_relay_producer* producer, std::uint16_t type,
                                const void* payload, std::size_t bytes) {
  return static_cast<fl_relay_written>(producer->producer.write(type, payload, bytes));
}

int fl_relay_fd(const fl_relay_producer* producer, std::uint64_t* bytes) {
  if (bytes != nullptr) *bytes = producer->producer.bytes();
  return producer->producer.fd();
}

int fl_relay_close(fl_relay_producer* producer, std::uint32_t drain_ms) {
  return guarded([&] {
    const auto drained = producer->producer.close(std::chrono::milliseconds(drain_ms));
    producer->announcement.reset();  // it can be found while it waits
    if (!drained) return failed(drained.error());
    return *drained ? 1 : 0;
  });
}

void fl_relay_producer_free(fl_relay_producer* producer) { delete producer; }

int fl_relay_connect(const char* name, fl_relay_consumer** consumer) {
  return guarded([&] { return give(connect(name), consumer); });
}

int fl_relay_connect_fd(int fd, std::uint64_t bytes, fl_relay_consumer** consumer) {
  return guarded([&] {
    base::Fd own(::dup(fd));
    if (!own) return failed(Error::from_errno(errno, "take over a relay channel's descriptor"));
    return give(Consumer::connect(std::move(own), bytes), consumer);
  });
}

int fl_relay_read(fl_relay_consumer* consumer, fl_relay_record* record) {
  return guarded([&] {
    *record = {};
    if (!consumer->holding || consumer->at == consumer->piece.data.size()) {
      const int found = fetch(*consumer, *record);
      if (found != 1) return found;
    }
    hand_out(*consumer, *record);
    return 1;
  });
}

int fl_relay_wait(fl_relay_consumer* consumer, std::uint32_t ms) {
  return guarded([&] {
    const bool more = consumer->holding && consumer->at != consumer->piece.data.size();
    return more || consumer->consumer.wait(std::chrono::milliseconds(ms)) ? 1 : 0;
  });
}

int fl_relay_poll_fd(fl_relay_consumer* consumer) {
  return guarded([&] {
    const auto fd = consumer->consumer.poll_fd();
    return fd ? *fd : failed(fd.error());
  });
}

std::uint64_t fl_relay_stamps_per_second(const fl_relay_consumer* consumer) {
  return consumer->consumer.shape().clock_hz;
}

std::uint64_t fl_relay_no_stream(const fl_relay_consumer* consumer) {
  return consumer->consumer.no_stream();
}

int fl_relay_disconnect(fl_relay_consumer* consumer) {
  return guarded([&] {
    // What was handed out to the end has been dealt with.
    const bool all = consumer->at == consumer->piece.data.size();
    if (std::exchange(consumer->holding, false) && all) consumer->consumer.take();
    const auto status = consumer->consumer.disconnect();
    return status ? 0 : failed(status.error());
  });
}

void fl_relay_consumer_free(fl_relay_consumer* consumer) {
  if (consumer != nullptr && consumer->holding) fl_relay_disconnect(consumer);
  delete consumer;
}

const char* fl_relay_error() { return last_error.c_str(); }
