// SPDX-License-Identifier: Apache-2.0
//
// For tests: traces that are planted event by event.
//
//     TraceBuilder planted;
//     const auto host = planted.source(SourceKind::kHost, "host");
//     planted.at(1000).of(host, 7 << 20).read(8, 16).queue();
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "trace/time_order.h"
#include "trace/trace.h"

namespace fairlead::trace {

class TraceBuilder {
 public:
  std::uint16_t source(SourceKind kind, const std::string& name) {
    trace_.sources.push_back({.kind = kind, .name = name, .steps = {}});
    return static_cast<std::uint16_t>(trace_.sources.size() - 1);
  }

  TraceBuilder& at(std::int64_t ns) { return event_.time_ns = ns, *this; }
  TraceBuilder& of(std::uint16_t source, std::uint32_t device) {
    event_.source = source;
    event_.block.device = device;
    return *this;
  }
  TraceBuilder& on(std::uint16_t stream) {
    event_.stream = stream;
    event_.block.cpu = stream;
    return *this;
  }
  TraceBuilder& by(std::uint32_t pid) { return event_.block.pid = pid, *this; }
  TraceBuilder& id(std::uint64_t request, std::uint16_t queue = 0) {
    event_.block.request = request;
    event_.block.queue = queue;
    return *this;
  }
  TraceBuilder& read(std::uint64_t sector, std::uint32_t sectors) {
    return span(abi::BlockCategory::kRead, sector, sectors);
  }
  TraceBuilder& write(std::uint64_t sector, std::uint32_t sectors) {
    return span(abi::BlockCategory::kWrite, sector, sectors);
  }

  TraceBuilder& queue() { return add(abi::BlockAct::kQueue, abi::BlockCategory::kQueue); }
  TraceBuilder& back_merge() { return add(abi::BlockAct::kBackMerge, abi::BlockCategory::kQueue); }
  TraceBuilder& front_merge() {
    return add(abi::BlockAct::kFrontMerge, abi::BlockCategory::kQueue);
  }
  TraceBuilder& split(std::uint64_t sector) {
    event_.block.aux = sector;
    add(abi::BlockAct::kSplit, abi::BlockCategory::kQueue);
    event_.block.aux = 0;
    return *this;
  }
  TraceBuilder& issue() { return add(abi::BlockAct::kIssue, abi::BlockCategory::kIssue); }
  TraceBuilder& requeue() { return add(abi::BlockAct::kRequeue, abi::BlockCategory::kRequeue); }
  TraceBuilder& complete() { return add(abi::BlockAct::kComplete, abi::BlockCategory::kComplete); }

  // One request that is one bio.
  TraceBuilder& whole(std::int64_t queue_ns, std::int64_t issue_ns, std::int64_t complete_ns) {
    return at(queue_ns).queue().at(issue_ns).issue().at(complete_ns).complete();
  }

  void lose(std::uint16_t source, std::int64_t first_ns, std::int64_t last_ns,
            std::uint64_t records) {
    trace_.losses.push_back({.first_ns = first_ns,
                             .last_ns = last_ns,
                             .records = records,
                             .source = source,
                             .cause = abi::TraceLossCause::kFull});
  }

  // In order of time, as every reader gives it.
  Trace& trace() {
    order_by(trace_.events, &Event::time_ns);
    order_by(trace_.losses, &Loss::last_ns);
    return trace_;
  }

 private:
  TraceBuilder& span(abi::BlockCategory direction, std::uint64_t sector, std::uint32_t sectors) {
    direction_ = 1U << (16 + static_cast<unsigned>(direction));
    event_.block.sector = sector;
    event_.block.bytes = sectors * 512;
    return *this;
  }
  TraceBuilder& add(abi::BlockAct act, abi::BlockCategory kind) {
    event_.block.action =
        static_cast<std::uint32_t>(act) | direction_ | 1U << (16 + static_cast<unsigned>(kind));
    trace_.events.push_back(event_);
    return *this;
  }

  Trace trace_;
  Event event_;
  std::uint32_t direction_ = 0;
};

}  // namespace fairlead::trace
