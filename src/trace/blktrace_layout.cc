// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_layout.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include <fmt/format.h>

namespace fairlead::trace {
namespace {

constexpr std::uint32_t kFirstGuestMajor = 512;
constexpr std::uint32_t kMajors = 4096;
constexpr std::uint32_t kPidsOfSource = 10'000'000;

constexpr std::uint32_t major_of(std::uint32_t device) noexcept { return device >> 20; }

// The device that a remap came from; none if the number cannot be one.
bool names_device(const Event& event) noexcept {
  return event.act() == abi::BlockAct::kRemap &&
         event.block.request <= std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

base::Result<BlktraceLayout> BlktraceLayout::of(const Trace& trace) {
  BlktraceLayout layout(trace);
  FL_TRY_STATUS(layout.check_sources());
  layout.choose_host();
  layout.make_parts();
  layout.list_devices();
  FL_TRY_STATUS(layout.number_devices());
  layout.place_losses();
  FL_TRY_STATUS(layout.look_at_times());
  return layout;
}

base::Status BlktraceLayout::check_sources() const {
  const auto known = [&](const auto& what) { return what.source < trace_->sources.size(); };
  if (std::ranges::all_of(trace_->events, known) && std::ranges::all_of(trace_->losses, known) &&
      std::ranges::all_of(trace_->devices, known) && std::ranges::all_of(trace_->names, known)) {
    return {};
  }
  return base::fail(base::ErrorKind::kInvalid, "the trace names a source that it does not have");
}

void BlktraceLayout::choose_host() {
  for (std::size_t i = 0; i < trace_->sources.size(); ++i) {
    if (trace_->sources[i].kind == SourceKind::kHost) {
      host_ = static_cast<std::uint16_t>(i);
      return;
    }
  }
}

// The parts of one stream stand together, and those of the first source first.
void BlktraceLayout::make_parts() {
  using Key = std::tuple<std::uint16_t, std::uint16_t, std::uint32_t>;
  std::map<Key, std::vector<std::size_t>> parts;
  for (std::size_t i = 0; i < trace_->events.size(); ++i) {
    const Event& event = trace_->events[i];
    parts[{event.source, event.stream, event.block.device}].push_back(i);
  }
  // A stream of which nothing is left but its losses has a file to tell them.
  const auto need = [&](std::uint16_t source, std::uint16_t stream) {
    const auto next = parts.lower_bound({source, stream, 0});
    if (next != parts.end() && std::get<0>(next->first) == source &&
        std::get<1>(next->first) == stream) {
      return;
    }
    const auto device = std::ranges::find(trace_->devices, source, &Device::source);
    parts[{source, stream, device == trace_->devices.end() ? 0 : device->device}];
  };
  for (const Loss& loss : trace_->losses) need(loss.source, loss.stream);
  if (parts.empty()) need(0, 0);
  for (auto& [key, events] : parts) {
    const auto [source, stream, device] = key;
    parts_.push_back({source, stream, device, std::move(events), {}});
  }
}

void BlktraceLayout::list_devices() {
  for (const BlktracePart& part : parts_) devices_[{part.source, part.device}];
  for (const Device& device : trace_->devices) devices_[{device.source, device.device}];
  for (const Event& event : trace_->events) {
    if (!names_device(event)) continue;
    const auto from = static_cast<std::uint32_t>(event.block.request);
    if (shown_guest(from) == nullptr) devices_[{event.source, from}];
  }
}

const std::uint32_t* BlktraceLayout::shown_guest(std::uint32_t device) const {
  for (const auto& [key, shown] : devices_) {
    const bool guest = trace_->sources[key.first].kind == SourceKind::kGuest;
    if (guest && key.second == device) return &shown;
  }
  return nullptr;
}

std::uint32_t BlktraceLayout::shown_origin(std::uint16_t source, std::uint32_t device) const {
  const auto own = devices_.find({source, device});
  if (own != devices_.end()) return own->second;
  const std::uint32_t* guest = shown_guest(device);
  return guest == nullptr ? device : *guest;
}

base::Status BlktraceLayout::number_devices() {
  std::set<std::uint32_t> taken;
  for (auto& [key, shown] : devices_) {
    if (key.first == host_) taken.insert(major_of(shown = key.second));
  }
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint32_t> majors;
  std::uint32_t next = kFirstGuestMajor;
  for (auto& [key, shown] : devices_) {
    if (key.first == host_) continue;
    const auto [major, fresh] = majors.try_emplace({key.first, major_of(key.second)}, 0);
    if (fresh) {
      while (taken.contains(next)) ++next;
      if (next >= kMajors) {
        return base::fail(base::ErrorKind::kLimit, "blktrace has too few majors for these guests");
      }
      major->second = next++;
    }
    shown = major->second << 20 | (key.second & 0xfffff);
  }
  return {};
}

// A hole can be shown only between two records of one file: a loss belongs to the part of its
// stream that goes on first, of those that had begun before, if there are any.
void BlktraceLayout::place_losses() {
  const auto& events = trace_->events;
  for (std::size_t i = 0; i < trace_->losses.size(); ++i) {
    const Loss& loss = trace_->losses[i];
    BlktracePart* best = nullptr;
    std::tuple<bool, bool, std::size_t> best_rank;
    const auto of_stream = [](const BlktracePart& part) {
      return std::pair(part.source, part.stream);
    };
    for (BlktracePart& part :
         std::ranges::equal_range(parts_, std::pair(loss.source, loss.stream), {}, of_stream)) {
      const auto after = std::ranges::partition_point(
          part.events, [&](std::size_t at) { return events[at].time_ns < loss.last_ns; });
      const bool ends = after == part.events.end();
      const std::tuple rank{ends, after == part.events.begin(), ends ? 0 : *after};
      if (best == nullptr || rank < best_rank) {
        best = &part;
        best_rank = rank;
      }
    }
    best->losses.push_back(i);
  }
}

base::Status BlktraceLayout::look_at_times() {
  constexpr std::int64_t kLatestWritten = std::numeric_limits<std::int64_t>::max();
  std::int64_t first = 0;
  for (const Event& event : trace_->events) {
    first = std::min(first, event.time_ns);
    end_ns_ = std::max(end_ns_, event.time_ns);
  }
  for (const Loss& loss : trace_->losses) {
    first = std::min(first, loss.last_ns);
    end_ns_ = std::max(end_ns_, loss.last_ns);
  }
  if (first < -kLatestWritten || end_ns_ > kLatestWritten + first) {
    return base::fail(base::ErrorKind::kInvalid, "the trace's times are 292 years apart");
  }
  zero_ns_ = -first;
  return {};
}

std::uint32_t BlktraceLayout::pids_from(std::uint16_t source) const noexcept {
  if (source == host_) return 0;
  return (source + (source < host_ ? 1U : 0U)) * kPidsOfSource;
}

}  // namespace fairlead::trace
