// SPDX-License-Identifier: Apache-2.0
#include "trace/relay_source.h"

#include <cstring>
#include <span>
#include <utility>

#include "base/clock.h"
#include "fairlead/abi/relay.h"
#include "trace/relayed_record.h"

namespace fairlead::trace {
namespace {

using abi::TraceLossCause;

constexpr int kMostPieces = 4096;  // in one poll: other sources wait

template <typename T>
T read_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

RelaySource::RelaySource(SourceKind kind, std::string name, relay::Consumer consumer,
                         bool same_clock, Lives lives)
    : kind_(kind),
      name_(std::move(name)),
      consumer_(std::move(consumer)),
      same_clock_(same_clock),
      lives_(std::move(lives)),
      last_stamps_(consumer_.shape().streams) {}

base::Result<std::unique_ptr<RelaySource>> RelaySource::make(SourceKind kind, std::string name,
                                                             relay::Consumer consumer,
                                                             bool same_clock, Lives lives) {
  if (consumer.shape().item_bytes != 0) {
    return base::fail(base::ErrorKind::kInvalid,
                      "the relay channel of " + name + " holds bare items, no events");
  }
  return std::unique_ptr<RelaySource>(
      new RelaySource(kind, std::move(name), std::move(consumer), same_clock, std::move(lives)));
}

void RelaySource::introduce(TraceFileWriter& file) {
  number_ = file.add_source(kind_, name_, !same_clock_);
  if (kind_ == SourceKind::kService) {
    file.device(number_, {abi::kServiceFrontDevice, "clients"});
    file.device(number_, {abi::kServiceBackDevice, "service"});
  }
  measure_ns_ = 0;  // what is known belongs into this file, too
  settle_clock(file);
}

// Before there is work that keeps a guest from answering.  One that answers late, as its host has
// other work, is asked for longer.
void RelaySource::settle_clock(TraceFileWriter& file) {
  constexpr std::int64_t kSilentNs = 300 * base::kNanosPerMilli;
  constexpr std::int64_t kLateNs = 2 * base::kNanosPerSecond;
  const std::int64_t began_ns = base::monotonic_ns();
  while (!same_clock_ && !clock_is_good() &&
         base::monotonic_ns() - began_ns < (clock_.known() ? kLateNs : kSilentNs)) {
    measure_ns_ = 0;
    measure_clock(file);
  }
}

// Whether more questions would hardly better the bound: two microseconds.
bool RelaySource::clock_is_good() const noexcept {
  return clock_.known() && clock_.interval().half_width() <= relay::stamp_hz() / 500'000;
}

base::Result<bool> RelaySource::poll(TraceFileWriter& file) {
  measure_clock(file);
  const bool over = consumer_.ended();
  FL_TRY(const bool all, read_all(file, kMostPieces));
  if (over) return !all;
  if (!has_died()) return true;
  FL_TRY_STATUS(read_all(file, kMostPieces));
  write_broken(file, number_, 0, last_stamps_[0]);
  return false;
}

bool RelaySource::has_died() {
  if (!lives_) return false;
  const std::int64_t now_ns = base::monotonic_ns();
  if (const std::uint64_t beat = consumer_.heartbeat(); beat != heartbeat_) {
    heartbeat_ = beat;
    ask_ns_ = now_ns + base::kNanosPerSecond;
  }
  if (now_ns < ask_ns_) return false;
  ask_ns_ = now_ns + base::kNanosPerSecond;
  return !lives_();
}

// Whether nothing is left; at most so many pieces.
base::Result<bool> RelaySource::read_all(TraceFileWriter& file, int pieces) {
  relay::StreamPiece piece;
  for (int i = 0; i < pieces; ++i) {
    FL_TRY(const relay::Look look, consumer_.read(piece));
    if (look == relay::Look::kEmpty) return true;
    if (look == relay::Look::kBroken) {
      // It is read no further.
      write_broken(file, number_, static_cast<std::uint16_t>(piece.stream),
                   last_stamps_[piece.stream]);
      continue;
    }
    write_down(file, piece);
    consumer_.take();
  }
  return false;
}

base::Status RelaySource::finish(TraceFileWriter& file) {
  FL_TRY_STATUS(read_all(file, kMostPieces));
  return consumer_.disconnect();
}

// The producer looks for questions every few milliseconds, and answers the rest of a burst at once.
void RelaySource::measure_clock(TraceFileWriter& file) {
  constexpr int kBurst = 64;
  constexpr std::chrono::milliseconds kPatience(20);
  constexpr std::int64_t kSoonNs = 20 * base::kNanosPerMilli;
  const std::int64_t now_ns = base::monotonic_ns();
  if (same_clock_ || now_ns < measure_ns_) return;
  const auto measured = consumer_.measure_clock(kBurst, kPatience);
  if (!measured) return;  // again at the next poll
  clock_.add(*measured);
  // A guest that did not run just then answered late: the next answer may be better.
  measure_ns_ = now_ns + (clock_is_good() ? base::kNanosPerSecond : kSoonNs);
  write_clock(file, number_, clock_);
}

void RelaySource::write_down(TraceFileWriter& file, const relay::StreamPiece& piece) {
  write_losses(file, piece);
  write_records(file, piece);
}

void RelaySource::write_records(TraceFileWriter& file, const relay::StreamPiece& piece) {
  abi::TraceLoss strange{.records = 0,
                         .bytes = 0,
                         .first_stamp = 0,
                         .last_stamp = 0,
                         .cause = TraceLossCause::kCorrupt,
                         .reserved = {}};
  const auto stream = static_cast<std::uint16_t>(piece.stream);
  // The reader has checked the headers: whole records, one after the other.
  for (std::span<const std::byte> rest = piece.data; rest.size() >= sizeof(abi::RelayRecord);) {
    const auto header = read_as<abi::RelayRecord>(rest.data());
    const auto payload = rest.subspan(sizeof header, header.bytes - sizeof header);
    if (!write_record(file, number_, stream, header, payload)) {
      if (strange.records++ == 0) strange.first_stamp = header.stamp;
      strange.last_stamp = header.stamp;
    }
    last_stamps_[piece.stream] = header.stamp;
    rest = rest.subspan((header.bytes + 7U) & ~7U);
  }
  if (strange.records > 0) file.loss(number_, stream, strange);
}

// One for each cause; the bytes are told with the first.  What was overwritten has no stamps of its
// own: it lies between what was seen before and what is seen now.
void RelaySource::write_losses(TraceFileWriter& file, const relay::StreamPiece& piece) {
  const relay::Losses& losses = piece.losses;
  const std::uint64_t before = last_stamps_[piece.stream];
  const std::uint64_t after =
      piece.data.empty() ? 0 : read_as<abi::RelayRecord>(piece.data.data()).stamp;
  const bool told = losses.first_stamp != 0 && losses.overwritten == 0;
  const std::pair<std::uint64_t, TraceLossCause> causes[] = {
      {losses.full, TraceLossCause::kFull},
      {losses.big, TraceLossCause::kBig},
      {losses.state, TraceLossCause::kState},
      {losses.nested, TraceLossCause::kNested},
      {losses.overwritten, TraceLossCause::kOverwritten},
      {losses.corrupt, TraceLossCause::kCorrupt}};
  std::uint64_t bytes = losses.bytes;
  for (const auto& [records, cause] : causes) {
    if (records == 0) continue;
    file.loss(number_, static_cast<std::uint16_t>(piece.stream),
              {.records = records,
               .bytes = std::exchange(bytes, 0),
               .first_stamp = told ? losses.first_stamp : before,
               .last_stamp = told ? losses.last_stamp : after,
               .cause = cause,
               .reserved = {}});
  }
}

}  // namespace fairlead::trace
