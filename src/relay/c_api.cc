// SPDX-License-Identifier: Apache-2.0
#include "relay/c_api.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "daemon/runtime_dir.h"
#include "relay/clock_sync.h"
#include "relay/consumer.h"
#include "relay/presence.h"
#include "relay/producer.h"
#include "relay/registry.h"
#include "relay/stamp.h"

using fairlead::base::Error;
using fairlead::base::ErrorKind;
using fairlead::daemon::RuntimeDir;
using fairlead::relay::Announcement;
using fairlead::relay::ChannelOptions;
using fairlead::relay::ClockCertificate;
using fairlead::relay::ClockInterval;
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
  fl_relay_consumer(Consumer connected, bool same)
      : consumer(std::move(connected)),
        item_bytes(consumer.shape().item_bytes),
        stride(stride_of(consumer.shape())),
        same_clock(same) {}
  static std::size_t stride_of(const abi::RelayShape& shape) noexcept {
    if (shape.item_bytes == 0) return 0;
    const bool words = shape.mode == abi::RelayMode::kOverwrite;
    return relay::stride_of({.item_bytes = shape.item_bytes, .overwrite = words}, 0);
  }

  Consumer consumer;
  const std::uint32_t item_bytes;
  const std::size_t stride;    // of items; 0: records
  const bool same_clock;       // as the producer's: it runs under our kernel
  ClockCertificate clock;      // of another's
  std::uint64_t measured = 0;  // when that last grew
  std::int64_t asked_ns = 0;   // when we last asked for the producer's life
  StreamPiece piece;           // being handed out
  bool holding = false;        // it is, and has not been taken
  std::size_t at = 0;          // of the next record in its data
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

int failed(const Error& error, int number) {
  last_error = error.message();
  return -number;
}
int failed(const Error& error) { return failed(error, errno_of(error)); }

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

int no_object() noexcept {
  return guarded([] {
    return failed(relay::refused({ErrorKind::kInvalid, "there is no such relay channel: null"}),
                  EBADF);
  });
}

int no_place() noexcept {
  return guarded(
      [] { return failed({ErrorKind::kInvalid, "there is no place for the answer: null"}); });
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

int give(base::Result<Producer> producer, const char* name, fl_relay_producer** to) {
  if (!producer) return failed(producer.error());
  std::optional<Announcement> announcement;
  if (name != nullptr) {
    auto made = announce(name, *producer);
    if (!made) return failed(made.error());
    announcement.emplace(std::move(*made));
  }
  *to = new fl_relay_producer{std::move(*producer), std::move(announcement)};
  return 0;
}

int give(base::Result<Consumer> consumer, bool same_clock, fl_relay_consumer** to) {
  if (!consumer) return failed(consumer.error());
  *to = new fl_relay_consumer(std::move(*consumer), same_clock);
  return 0;
}

fl_relay_losses losses_of(const relay::Losses& losses) noexcept {
  return {losses.full,    losses.big,   losses.state,       losses.nested,    losses.overwritten,
          losses.corrupt, losses.bytes, losses.first_stamp, losses.last_stamp};
}

// What the record at `at` takes: the reader has checked that all are whole.
std::size_t record_bytes(const fl_relay_consumer& from, std::size_t at) noexcept {
  std::uint32_t bytes;
  std::memcpy(&bytes, from.piece.data.data() + at + offsetof(abi::RelayRecord, bytes),
              sizeof bytes);
  return relay::round_up_8(bytes);
}

// The next of what is in hand: whole records of `most` bytes together, or the first.
void hand_out(fl_relay_consumer& from, std::size_t most, fl_relay_batch& batch) noexcept {
  const std::size_t there = from.piece.data.size() - from.at;
  batch.stream = from.piece.stream;
  batch.data = reinterpret_cast<const unsigned char*>(from.piece.data.data()) + from.at;
  batch.first = from.number;
  batch.item_bytes = from.item_bytes;
  batch.stride = from.stride;
  if (from.stride != 0) {
    const std::size_t fit = std::min(most, there);
    batch.records = fit < 2 * from.stride ? 1 : static_cast<std::uint32_t>(fit / from.stride);
    batch.bytes = batch.records * from.stride;
  } else if (from.at == 0 && there <= most) {
    batch.records = from.piece.records;
    batch.bytes = there;
  } else {
    do {
      batch.bytes += record_bytes(from, from.at + batch.bytes);
      ++batch.records;
    } while (batch.bytes != there && most > batch.bytes &&
             record_bytes(from, from.at + batch.bytes) <= most - batch.bytes);
  }
  from.at += batch.bytes;
  from.number += batch.records;
}

// Whether the producer has ended, and all is read.  The kernel alone knows of a death, and to ask
// it costs more than all else of a look: once in a millisecond.
bool ended(fl_relay_consumer& of) noexcept {
  const std::int64_t now_ns = base::monotonic_ns();
  if (!of.consumer.closed() && now_ns - of.asked_ns < base::kNanosPerMilli) return false;
  of.asked_ns = now_ns;
  return of.consumer.ended();
}

// 1 with a piece in hand; else what fl_relay_read() says.
int fetch(fl_relay_consumer& from, std::size_t most, std::uint32_t& stream,
          fl_relay_losses& losses) {
  if (std::exchange(from.holding, false)) from.consumer.take();
  const auto look = from.consumer.read(from.piece, most);
  if (!look) return failed(look.error());
  if (*look == Look::kEmpty) {
    if (!ended(from)) return 0;
    last_error = "the producer of this relay channel has ended, and all is read";
    return -EPIPE;
  }
  stream = from.piece.stream;
  if (*look == Look::kBroken) {
    last_error = "a stream of this relay channel has positions that make no sense";
    return -EPROTO;
  }
  from.holding = true;
  from.at = 0;
  from.number = from.piece.first;
  losses = losses_of(from.piece.losses);
  return *look == Look::kLosses ? 2 : 1;
}

bool in_hand(const fl_relay_consumer& consumer) noexcept {
  return consumer.holding && consumer.at != consumer.piece.data.size();
}

// What is known of the producer's clock; false: nothing.
bool known_clock(const fl_relay_consumer& of, fl_relay_clock& clock) noexcept {
  if (!of.same_clock && !of.clock.known()) return false;
  const ClockInterval known = of.same_clock ? ClockInterval{} : of.clock.interval();
  clock = {known.middle(), known.half_width(), of.measured, of.clock.epoch()};
  return true;
}

int clock_is_unknown() {
  return failed({ErrorKind::kNotFound, "the producer's clock has not been measured yet"}, ENODATA);
}

}  // namespace

int fl_relay_open(const char* name, const fl_relay_options* options, fl_relay_producer** producer) {
  if (producer == nullptr) return no_place();
  *producer = nullptr;
  return guarded([&] { return give(Producer::open(options_of(options)), name, producer); });
}

int fl_relay_open_in(void* memory, std::uint64_t bytes, const fl_relay_options* options,
                     fl_relay_producer** producer) {
  if (producer == nullptr) return no_place();
  *producer = nullptr;
  if (memory == nullptr) return no_object();
  return guarded([&] {
    return give(Producer::open_in(static_cast<std::byte*>(memory), bytes, options_of(options)),
                nullptr, producer);
  });
}

std::uint64_t fl_relay_bytes(const fl_relay_options* options) {
  std::uint64_t bytes = 0;
  guarded([&] {
    const auto right = relay::check_options(options_of(options));
    if (!right) return failed(right.error());
    bytes = relay::channel_bytes(options_of(options));
    return 0;
  });
  return bytes;
}

fl_relay_written fl_relay_write(fl_relay_producer* producer, std::uint16_t type,
                                const void* payload, std::size_t bytes) {
  if (producer == nullptr) [[unlikely]] {
    no_object();
    return FL_RELAY_CLOSED;
  }
  return static_cast<fl_relay_written>(producer->producer.write(type, payload, bytes));
}

int fl_relay_has_room(fl_relay_producer* producer, std::size_t bytes) {
  if (producer == nullptr) return no_object();
  return producer->producer.has_room(bytes) ? 1 : 0;
}

int fl_relay_connected(const fl_relay_producer* producer) {
  if (producer == nullptr) return no_object();
  return producer->producer.connected() ? 1 : 0;
}

int fl_relay_answer_clock(fl_relay_producer* producer, std::uint32_t spin_us) {
  if (producer == nullptr) return no_object();
  if (producer->producer.answer_clock(std::chrono::microseconds(spin_us))) return 1;
  if (!producer->producer.closed()) return 0;
  return guarded([] {
    return failed({ErrorKind::kClosed, "this relay channel is closed: its clock is nobody's"});
  });
}

int fl_relay_fd(const fl_relay_producer* producer, std::uint64_t* bytes) {
  if (producer == nullptr) return no_object();
  if (bytes != nullptr) *bytes = producer->producer.bytes();
  return producer->producer.fd();
}

int fl_relay_close(fl_relay_producer* producer, std::uint32_t drain_ms) {
  if (producer == nullptr) return no_object();
  return guarded([&] {
    const auto drained = producer->producer.close(std::chrono::milliseconds(drain_ms));
    producer->announcement.reset();  // it can be found while it waits
    if (!drained) return failed(drained.error());
    return *drained ? 1 : 0;
  });
}

std::uint64_t fl_relay_producer_wrong_calls(const fl_relay_producer* producer) {
  return producer == nullptr ? 0 : producer->producer.wrong_calls();
}

void fl_relay_producer_free(fl_relay_producer* producer) { delete producer; }

int fl_relay_connect(const char* name, fl_relay_consumer** consumer) {
  if (consumer == nullptr) return no_place();
  *consumer = nullptr;
  if (name == nullptr) return no_object();
  return guarded([&] { return give(connect(name), true, consumer); });
}

int fl_relay_connect_fd(int fd, std::uint64_t bytes, fl_relay_consumer** consumer) {
  if (consumer == nullptr) return no_place();
  *consumer = nullptr;
  return guarded([&] {
    base::Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!own) return failed(Error::from_errno(errno, "take over a relay channel's descriptor"));
    return give(Consumer::connect(std::move(own), bytes), true, consumer);
  });
}

int fl_relay_connect_in(void* memory, std::uint64_t bytes, fl_relay_consumer** consumer) {
  if (consumer == nullptr) return no_place();
  *consumer = nullptr;
  if (memory == nullptr) return no_object();
  return guarded([&] {
    return give(Consumer::connect_in(static_cast<std::byte*>(memory), bytes), false, consumer);
  });
}

std::uint64_t fl_relay_refused_calls() { return relay::refused_calls(); }

int fl_relay_read(fl_relay_consumer* consumer, fl_relay_record* record) {
  if (record == nullptr) return no_place();
  *record = {};
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    if (!in_hand(*consumer)) {
      const int found = fetch(*consumer, relay::kAllThereIs, record->stream, record->losses);
      if (found != 1) return found;
    }
    fl_relay_batch one{};
    hand_out(*consumer, 0, one);
    return fl_relay_next(&one, record);
  });
}

int fl_relay_read_many(fl_relay_consumer* consumer, std::size_t most, fl_relay_batch* batch) {
  if (batch == nullptr) return no_place();
  *batch = {};
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    if (!in_hand(*consumer)) {
      const int found = fetch(*consumer, most, batch->stream, batch->losses);
      if (found != 1) return found;
    }
    hand_out(*consumer, most, *batch);
    return 1;
  });
}

int fl_relay_wait(fl_relay_consumer* consumer, std::uint32_t ms) {
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    return in_hand(*consumer) || consumer->consumer.wait(std::chrono::milliseconds(ms)) ? 1 : 0;
  });
}

int fl_relay_poll_fd(fl_relay_consumer* consumer) {
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    const auto fd = consumer->consumer.poll_fd();
    return fd ? *fd : failed(fd.error());
  });
}

std::uint64_t fl_relay_stamps_per_second(const fl_relay_consumer* consumer) {
  return consumer == nullptr ? 0 : consumer->consumer.shape().clock_hz;
}

std::uint64_t fl_relay_no_stream(const fl_relay_consumer* consumer) {
  return consumer == nullptr ? 0 : consumer->consumer.no_stream();
}

std::uint64_t fl_relay_heartbeat(const fl_relay_consumer* consumer) {
  return consumer == nullptr ? 0 : consumer->consumer.heartbeat();
}

int fl_relay_measure_clock(fl_relay_consumer* consumer, std::uint32_t rounds, std::uint32_t ms,
                           fl_relay_clock* clock) {
  constexpr std::uint32_t kRounds = 64;
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    const auto measured = consumer->consumer.measure_clock(
        static_cast<int>(std::min<std::uint32_t>(rounds == 0 ? kRounds : rounds, INT_MAX)),
        std::chrono::milliseconds(ms));
    if (!measured) return failed(measured.error());
    const bool fits = consumer->clock.add(*measured);
    consumer->measured = relay::stamp();
    if (clock != nullptr) known_clock(*consumer, *clock);
    return fits ? 0 : 1;
  });
}

int fl_relay_clock_of(const fl_relay_consumer* consumer, fl_relay_clock* clock) {
  if (consumer == nullptr) return no_object();
  if (clock == nullptr) return no_place();
  return guarded([&] { return known_clock(*consumer, *clock) ? 0 : clock_is_unknown(); });
}

int fl_relay_time_of(const fl_relay_consumer* consumer, std::uint64_t stamp, fl_relay_time* time) {
  if (consumer == nullptr) return no_object();
  if (time == nullptr) return no_place();
  return guarded([&] {
    fl_relay_clock clock{};
    if (!known_clock(*consumer, clock)) return clock_is_unknown();
    const std::uint64_t ours = stamp - static_cast<std::uint64_t>(clock.offset);
    const relay::MonotonicTime then = relay::monotonic_of(ours);
    *time = {ours, clock.half_width, then.ns, then.half_width_ns + relay::ns_in(clock.half_width),
             clock.steps};
    return 0;
  });
}

int fl_relay_disconnect(fl_relay_consumer* consumer) {
  if (consumer == nullptr) return no_object();
  return guarded([&] {
    // What was handed out to the end has been dealt with.
    const bool all = !in_hand(*consumer);
    if (std::exchange(consumer->holding, false) && all) consumer->consumer.take();
    const auto status = consumer->consumer.disconnect();
    return status ? 0 : failed(status.error());
  });
}

std::uint64_t fl_relay_consumer_wrong_calls(const fl_relay_consumer* consumer) {
  return consumer == nullptr ? 0 : consumer->consumer.wrong_calls();
}

void fl_relay_consumer_free(fl_relay_consumer* consumer) {
  if (consumer != nullptr && consumer->holding) fl_relay_disconnect(consumer);
  delete consumer;
}

const char* fl_relay_error() { return last_error.c_str(); }

// The two views of a record's header are one.
static_assert(sizeof(fl_relay_header) == sizeof(abi::RelayRecord) &&
              offsetof(fl_relay_header, bytes) == offsetof(abi::RelayRecord, bytes) &&
              offsetof(fl_relay_header, type) == offsetof(abi::RelayRecord, type) &&
              offsetof(fl_relay_header, sequence) == offsetof(abi::RelayRecord, sequence) &&
              offsetof(fl_relay_header, stamp) == offsetof(abi::RelayRecord, stamp));
