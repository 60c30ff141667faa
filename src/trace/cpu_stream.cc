// SPDX-License-Identifier: Apache-2.0
#include "trace/cpu_stream.h"

#include <algorithm>
#include <charconv>

namespace fairlead::trace {

using abi::TraceLossCause;

std::optional<std::uint64_t> parse_lost(std::string_view stats) noexcept {
  std::uint64_t sum = 0;
  for (const std::string_view label : {"\noverrun: ", "\ncommit overrun: ", "\ndropped events: "}) {
    const std::size_t at = stats.find(label);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view digits = stats.substr(at + label.size());
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc()) return std::nullopt;
    sum += value;
  }
  return sum;
}

void CpuStream::tell(std::uint64_t records, std::uint64_t last_stamp, TraceLossCause cause,
                     EventSink& sink) const {
  abi::TraceLoss loss{};
  loss.records = records;
  loss.first_stamp = last_stamp_;
  loss.last_stamp = last_stamp;
  loss.cause = cause;
  sink.loss(cpu_, loss);
}

void CpuStream::tell_missing(std::uint64_t records, std::uint64_t last_stamp, EventSink& sink) {
  if (records == 0) return;
  told_ += records;
  tell(records, last_stamp, TraceLossCause::kKernel, sink);
}

void CpuStream::take(RingPage page, std::optional<std::uint64_t> lost, NameBook& names,
                     EventSink& sink) {
  std::uint64_t ahead = 0;
  if (const auto missing = page.missing()) {
    tell_missing(*missing - std::min(ahead_, *missing), page.stamp(), sink);
  } else if (page.misses_events() && lost && *lost > told_) {
    ahead = *lost - told_;
    tell_missing(ahead, page.stamp(), sink);
  }
  ahead_ = ahead;
  for (RingEvent raw; page.next(raw);) {
    const auto decoded = decoder_->decode(raw.data, cpu_);
    if (!decoded) {
      ++unreadable_;
      tell(1, raw.stamp, TraceLossCause::kCorrupt, sink);
      continue;
    }
    if (const auto name = names.news(decoded->event.pid, decoded->comm)) sink.name(*name);
    ++events_;
    last_stamp_ = raw.stamp;
    sink.event(cpu_, raw.stamp, decoded->event);
  }
  if (page.broken()) {
    ++unreadable_;
    tell(1, page.stamp(), TraceLossCause::kCorrupt, sink);
  }
}

void CpuStream::end(std::uint64_t lost, std::uint64_t stamp, EventSink& sink) {
  if (lost > told_) tell_missing(lost - told_, stamp, sink);
}

}  // namespace fairlead::trace
