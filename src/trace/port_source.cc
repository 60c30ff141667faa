// SPDX-License-Identifier: Apache-2.0
#include "trace/port_source.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "trace/relayed_record.h"

namespace fairlead::trace {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kReadBytes = 64 << 10;
constexpr int kMostReads = 64;            // in one poll: other sources wait
constexpr int kRounds = 16;               // of questions
constexpr milliseconds kFirstAnswer(20);  // the guest looks at its port every few milliseconds
constexpr milliseconds kNextAnswer(5);
constexpr milliseconds kSilence(2000);  // at the end, until nothing more is expected
constexpr std::int64_t kMostAtEndNs = 10 * base::kNanosPerSecond;
constexpr std::int64_t kAskAgainNs = base::kNanosPerSecond;
constexpr std::int64_t kAskSilentNs = base::kNanosPerSecond / 10;

std::int64_t difference(std::uint64_t one, std::uint64_t other) {
  return static_cast<std::int64_t>(one - other);
}

}  // namespace

// Rounds begin with the session's number: an answer to another recorder's question is none to ours.
PortSource::PortSource(std::string name, base::Fd socket, std::uint64_t session)
    : name_(std::move(name)),
      socket_(std::move(socket)),
      reader_(session),
      room_(kReadBytes),
      round_(session) {}

void PortSource::introduce(TraceFileWriter& file) {
  number_ = file.add_source(SourceKind::kGuest, name_, true);
  measure_ns_ = 0;  // what is known belongs into this file, too
}

base::Result<bool> PortSource::poll(TraceFileWriter& file) {
  measure_clock(file);
  for (int i = 0; i < kMostReads && receive(file); ++i) {
  }
  return !over_;
}

base::Status PortSource::finish(TraceFileWriter& file) {
  const std::int64_t until_ns = base::monotonic_ns() + kMostAtEndNs;
  while (!over_ && base::monotonic_ns() < until_ns && await(kSilence)) receive(file);
  end(file, false);
  socket_.reset();
  return {};
}

// Whether there was something.
bool PortSource::receive(TraceFileWriter& file) {
  if (over_) return false;
  ssize_t got = 0;
  do got = ::recv(socket_.get(), room_.data(), room_.size(), MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  const std::uint64_t arrived = relay::ordered_stamp();
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    end(file, false);
    return false;
  }
  take(file, std::span(room_).first(static_cast<std::size_t>(got)), arrived);
  return true;
}

void PortSource::take(TraceFileWriter& file, std::span<const std::byte> bytes,
                      std::uint64_t arrived) {
  PortFrame frame;
  while (!over_ && !bytes.empty()) {
    bytes = bytes.subspan(reader_.push(bytes));
    for (auto look = reader_.next(frame); look != PortReader::Look::kMore && !over_;
         look = reader_.next(frame)) {
      switch (look) {
        case PortReader::Look::kFrame: write_frame(file, frame); break;
        case PortReader::Look::kAnswer: {
          abi::PortAnswer answer;
          std::memcpy(&answer, frame.payload, sizeof answer);
          answer_ = {answer.round, frame.record.stamp, arrived};
          break;
        }
        default: end(file, look == PortReader::Look::kEnd);
      }
    }
  }
}

void PortSource::write_frame(TraceFileWriter& file, const PortFrame& frame) {
  const std::uint64_t stamp = frame.record.stamp;
  if (!write_record(file, number_, 0, frame.record, std::as_bytes(std::span(frame.payload)))) {
    file.loss(number_, 0,
              {.records = 1,
               .bytes = sizeof frame.payload,
               .first_stamp = stamp,
               .last_stamp = stamp,
               .cause = abi::TraceLossCause::kCorrupt,
               .reserved = {}});
  }
  last_stamp_ = stamp;
}

void PortSource::end(TraceFileWriter& file, bool whole) {
  if (over_) return;
  over_ = true;
  if (!whole) write_broken(file, number_, 0, last_stamp_);
}

// Until there is something to read.
bool PortSource::await(milliseconds patience) const {
  pollfd one{socket_.get(), POLLIN, 0};
  return ::poll(&one, 1, static_cast<int>(patience.count())) > 0;
}

void PortSource::measure_clock(TraceFileWriter& file) {
  const std::int64_t now_ns = base::monotonic_ns();
  if (over_ || now_ns < measure_ns_) return;
  std::optional<relay::ClockInterval> known = ask(file, kFirstAnswer);
  measure_ns_ = now_ns + (known ? kAskAgainNs : kAskSilentNs);
  if (!known) return;
  for (int i = 1; i < kRounds; ++i) {
    const auto more = ask(file, kNextAnswer);
    if (!more) break;
    const auto common = relay::intersection(*known, *more);
    known = common ? common : more;  // it stepped just now: what came last is true
  }
  clock_.add(*known);
  write_clock(file, number_, clock_);
}

// One question.  What else arrives meanwhile is written down.
std::optional<relay::ClockInterval> PortSource::ask(TraceFileWriter& file, milliseconds patience) {
  const abi::PortQuestion question{abi::kPortQuestionMagic, ++round_};
  const std::int64_t until_ns = base::monotonic_ns() + std::chrono::nanoseconds(patience).count();
  const std::uint64_t asked = relay::ordered_stamp();
  // A guest that reads none has a full socket at some time, and is asked no more until then.
  if (::send(socket_.get(), &question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) !=
      sizeof question) {
    return std::nullopt;
  }
  while (!over_) {
    const std::int64_t left_ms = (until_ns - base::monotonic_ns()) / base::kNanosPerMilli;
    if (left_ms <= 0 || !await(milliseconds(left_ms))) break;
    receive(file);
    if (answer_.round == round_) {
      return relay::ClockInterval{difference(answer_.stamp, answer_.arrived),
                                  difference(answer_.stamp, asked)};
    }
  }
  return std::nullopt;
}

}  // namespace fairlead::trace
