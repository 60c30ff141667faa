// SPDX-License-Identifier: Apache-2.0
#include "disk/cats_scheduler.h"

#include <algorithm>

namespace fairlead::disk {
namespace {

constexpr const char* kDocument = "document 004, CATS";
constexpr const char* kOurs = "ours; not published";
constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint32_t kEnoughSamples = 4;

}  // namespace

std::vector<Parameter> CatsScheduler::parameters() {
  return {{"segments", 64, Unit::kCount, kDocument, 0, 1 << 16},
          {"segment_sectors", 221, Unit::kSectors, kDocument, 1, 1 << 24},
          {"ahead_sectors", 64, Unit::kSectors, kDocument, 0, 1 << 24},
          {"out_wait", 5 * kMs, Unit::kNs, kDocument},
          {"gate", 1, Unit::kCount, kOurs, 0, 1},
          {"min_write_delay", 100 * kMs, Unit::kNs, kOurs},
          {"max_write_delay", 1000 * kMs, Unit::kNs, kOurs},
          {"write_burst", 16, Unit::kCount, kOurs, 1, 1 << 20},
          {"age_unit", 0, Unit::kNs, "ours; 0: all weigh the same"},
          {"hit_age_cap", 0, Unit::kNs, "ours; 0: hits always go first"},
          {"age_limit", 0, Unit::kNs, "ours; 0: none"}};
}

std::vector<Parameter> CatsScheduler::aged_parameters() {
  std::vector<Parameter> all = parameters();
  for (Parameter& one : all) {
    if (std::string_view(one.name) == "age_unit") one.value = 100 * kMs;
    if (std::string_view(one.name) == "hit_age_cap") one.value = 800 * kMs;
    if (std::string_view(one.name) == "age_limit") one.value = 900 * kMs;
  }
  return all;
}

CatsScheduler::CatsScheduler(const SchedulerShape& shape, const Parameters& parameters)
    : out_wait_ns_(parameters["out_wait"]),
      gate_(parameters["gate"] != 0),
      min_write_delay_ns_(parameters["min_write_delay"]),
      max_write_delay_ns_(parameters["max_write_delay"]),
      write_burst_(parameters.count("write_burst")),
      hit_age_cap_ns_(parameters["hit_age_cap"]),
      age_limit_ns_(parameters["age_limit"]),
      reads_(shape),
      writes_(shape),
      best_(shape.slots, parameters["age_unit"]),
      cache_({.segments = parameters.count("segments"),
              .segment_sectors = parameters.count("segment_sectors"),
              .ahead_sectors = parameters.count("ahead_sectors")}),
      readers_(shape.owners) {}

void CatsScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  if (request.op != IoOp::kRead) {
    writes_.add(slot, request, now_ns);
    return;
  }
  Reader& reader = readers_[request.owner];
  if (reader.ended_ns >= 0 && reader.waiting == 0) {
    const auto think = static_cast<double>(now_ns - reader.ended_ns);
    const auto step = static_cast<double>(sectors_apart(request.sector, reader.next_sector));
    const double share = reader.samples == 0 ? 1 : 0.125;
    reader.think_ns += share * (think - reader.think_ns);
    reader.step_sectors += share * (step - reader.step_sectors);
    ++reader.samples;
  }
  ++reader.waiting;
  reader.next_sector = request.sector + request.sector_count;
  reads_.add(slot, request, now_ns);
}

Decision CatsScheduler::next(std::int64_t now_ns) {
  if (burst_ > 0 && !writes_.empty()) return write();
  burst_ = 0;
  if (burst_due(now_ns)) {
    burst_ = write_burst_;
    return write();
  }
  if (!reads_.empty()) {
    if (const auto hit = predicted_hit(now_ns)) return read(*hit);
    const Slot best = first_read(now_ns);
    if (const auto until = awaited_until(now_ns, &best)) return Decision::wait(*until);
    return read(best);
  }
  const auto until = awaited_until(now_ns, nullptr);
  if (writes_.empty()) return until ? Decision::wait(*until) : Decision{};
  const std::int64_t written_ns = writes_.arrived_ns(writes_.oldest()) + min_write_delay_ns_;
  const std::int64_t wait_ns = std::max(until.value_or(now_ns), written_ns);
  if (wait_ns > now_ns) return Decision::wait(wait_ns);
  burst_ = write_burst_;
  return write();
}

// Of those that are no hits.
Slot CatsScheduler::first_read(std::int64_t now_ns) {
  const Slot oldest = reads_.oldest();
  const bool late = age_limit_ns_ != 0 && now_ns >= reads_.arrived_ns(oldest) + age_limit_ns_;
  return late ? oldest : best_.of(reads_, head_, now_ns);
}

bool CatsScheduler::burst_due(std::int64_t now_ns) const noexcept {
  return !writes_.empty() && now_ns >= writes_.arrived_ns(writes_.oldest()) + max_write_delay_ns_;
}

// Of several the oldest.
std::optional<Slot> CatsScheduler::predicted_hit(std::int64_t now_ns) const {
  const Slot oldest = reads_.oldest();
  if (hit_age_cap_ns_ != 0 && now_ns >= reads_.arrived_ns(oldest) + hit_age_cap_ns_) return {};
  std::optional<Slot> found;
  for (const CacheShadow::Range& range : cache_.ranges()) {
    for (std::uint32_t i = reads_.below(range.begin); i < reads_.size(); ++i) {
      const Slot slot = reads_.at(i);
      if (reads_.sector(slot) >= range.end) break;
      if (reads_.end(slot) > range.end) continue;
      if (!found || reads_.number(slot) < reads_.number(*found)) found = slot;
    }
  }
  return found;
}

// How long to wait for the last reader; `instead`: what would be read otherwise.
std::optional<std::int64_t> CatsScheduler::awaited_until(std::int64_t now_ns,
                                                         const Slot* instead) const {
  if (out_wait_ns_ == 0 || !last_reader_ || in_flight_ > 0) return {};
  const Reader& reader = readers_[*last_reader_];
  const std::int64_t until = reader.ended_ns + out_wait_ns_;
  if (reader.waiting > 0 || now_ns >= until) return {};
  if (!gate_) return until;
  if (reader.samples < kEnoughSamples || reader.think_ns >= static_cast<double>(out_wait_ns_)) {
    return {};
  }
  if (instead != nullptr &&
      static_cast<double>(sectors_apart(reads_.sector(*instead), head_)) <= reader.step_sectors) {
    return {};
  }
  return until;
}

Decision CatsScheduler::read(Slot slot) {
  const Transfer transfer = reads_.take(slot);
  for (const Slot one : transfer.slots) --readers_[reads_.owner(one)].waiting;
  // What the cache answers does not move the head.
  if (!cache_.read(transfer.sector, transfer.sector_count)) head_ = transfer.end();
  ++in_flight_;
  last_reader_ = transfer.owner;
  return Decision::dispatch(transfer);
}

Decision CatsScheduler::write() {
  --burst_;
  const Transfer transfer = writes_.take(writes_.upwards_from(head_));
  cache_.write(transfer.sector, transfer.sector_count);
  head_ = transfer.end();
  return Decision::dispatch(transfer);
}

void CatsScheduler::completed(const Transfer& transfer, std::int64_t now_ns) {
  if (transfer.op != IoOp::kRead) return;
  --in_flight_;
  readers_[transfer.owner].ended_ns = now_ns;
}

}  // namespace fairlead::disk
