// SPDX-License-Identifier: Apache-2.0
#include "disk/mechanical_model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fairlead::disk {

MechanicalModel::MechanicalModel(const MechanicalShape& shape)
    : shape_(shape), cache_(shape.cache) {
  FL_CHECK(shape_.heads > 0 && !shape_.zones.empty() && shape_.rotation_ns > 0);
  std::uint64_t sector = 0;
  std::uint32_t cylinder = 0;
  for (const Zone& zone : shape_.zones) {
    FL_CHECK(zone.cylinders > 0 && zone.sectors_per_track > 0);
    zone_sector_.push_back(sector);
    zone_cylinder_.push_back(cylinder);
    sector += std::uint64_t{zone.cylinders} * shape_.heads * zone.sectors_per_track;
    cylinder += zone.cylinders;
  }
  FL_CHECK(shape_.sectors > 0 && shape_.sectors <= sector);
  // Three equations: one cylinder, a third, all.
  const double all = std::max(cylinder - 1.0, 2.0);
  const double third = std::max(all / 3, 1.5);
  const auto one_ns = static_cast<double>(shape_.seek_one_ns);
  const double middle = static_cast<double>(shape_.seek_average_ns) - one_ns;
  const double full = static_cast<double>(shape_.seek_full_ns) - one_ns;
  const double m1 = std::sqrt(third) - 1;
  const double f1 = std::sqrt(all) - 1;
  c_ = (full * m1 - middle * f1) / ((all - 1) * m1 - (third - 1) * f1);
  b_ = (middle - c_ * (third - 1)) / m1;
  a_ = one_ns - b_ - c_;
}

std::int64_t MechanicalModel::seek_ns(std::uint32_t cylinders) const noexcept {
  if (cylinders == 0) return 0;
  const double d = cylinders;
  return std::llround(std::max(a_ + b_ * std::sqrt(d) + c_ * d, 0.0));
}

MechanicalModel::Place MechanicalModel::place(std::uint64_t sector) const noexcept {
  const auto after = std::ranges::upper_bound(zone_sector_, sector);
  const auto zone = static_cast<std::size_t>(after - zone_sector_.begin()) - 1;
  const std::uint32_t per_track = shape_.zones[zone].sectors_per_track;
  const std::uint64_t offset = sector - zone_sector_[zone];
  const std::uint64_t track = offset / per_track;
  const auto cylinder = static_cast<std::uint32_t>(track / shape_.heads) + zone_cylinder_[zone];
  const auto head = static_cast<std::uint32_t>(track % shape_.heads);
  return {.cylinder = cylinder,
          .head = head,
          .sectors_per_track = per_track,
          .sector = static_cast<std::uint32_t>(offset % per_track),
          .track = std::uint64_t{cylinder} * shape_.heads + head};
}

// How much later than the first track's this track's first sector comes by.
std::int64_t MechanicalModel::skew_ns(std::uint64_t track) const noexcept {
  const std::uint64_t cylinder = track / shape_.heads;
  __extension__ using Wide = __int128;  // of many cylinders the skews add up
  const Wide sum =
      Wide{track - cylinder} * shape_.head_switch_ns + Wide{cylinder} * shape_.cylinder_skew_ns;
  return static_cast<std::int64_t>(sum % shape_.rotation_ns);
}

// When, in each rotation, the sector comes by.
std::int64_t MechanicalModel::position_ns(const Place& place) const noexcept {
  const std::int64_t within = shape_.rotation_ns * place.sector / place.sectors_per_track;
  return (within + skew_ns(place.track)) % shape_.rotation_ns;
}

std::int64_t MechanicalModel::bus_ns(std::uint32_t count) const noexcept {
  return std::llround(double{kSectorBytes} * count * 1e9 / shape_.bus_bytes_per_second);
}

// As long as the media need, with the skews at the ends of tracks.  Zones end at tracks: those of
// the first zone count for all that one transfer reads.
std::int64_t MechanicalModel::media_ns(const Place& place, std::uint32_t count) const noexcept {
  const std::uint32_t last = place.sector + count - 1;
  const std::uint64_t crossed = last / place.sectors_per_track;
  const std::uint64_t cylinders = (place.head + crossed) / shape_.heads;
  const auto switches = static_cast<std::int64_t>(crossed - cylinders);
  return shape_.rotation_ns * count / place.sectors_per_track + switches * shape_.head_switch_ns +
         static_cast<std::int64_t>(cylinders) * shape_.cylinder_skew_ns;
}

Access MechanicalModel::access(const Transfer& transfer, std::int64_t begin_ns) {
  if (transfer.op == IoOp::kRead &&
      cache_.ready_ns(transfer.sector, transfer.sector_count, begin_ns)) {
    moved_ = false;
    return hit(transfer, begin_ns);
  }
  moved_ = true;
  return move(transfer, begin_ns);
}

Access MechanicalModel::hit(const Transfer& transfer, std::int64_t begin_ns) {
  Access access;
  access.hit = true;
  const auto ready = cache_.ready_ns(transfer.sector, transfer.sector_count, begin_ns);
  access.transfer_ns = bus_ns(transfer.sector_count);
  access.end_ns = std::max(begin_ns + shape_.hit_overhead_ns, *ready) + access.transfer_ns;
  access.free_ns = access.end_ns;
  cache_.given(transfer.sector, transfer.sector_count, access.end_ns);
  return access;
}

Access MechanicalModel::move(const Transfer& transfer, std::int64_t begin_ns) {
  const bool writes = transfer.op != IoOp::kRead;
  const Place to = place(transfer.sector);
  cache_.stop(begin_ns);
  Access access;
  const std::uint32_t distance =
      to.cylinder > cylinder_ ? to.cylinder - cylinder_ : cylinder_ - to.cylinder;
  access.seek_ns = seek_ns(distance);
  if (distance == 0 && to.head != head_) access.seek_ns = shape_.head_switch_ns;
  if (writes && access.seek_ns > 0) access.seek_ns += shape_.write_settle_ns;
  const std::int64_t there_ns =
      begin_ns + (writes ? shape_.write_overhead_ns : shape_.read_overhead_ns) + access.seek_ns;
  const std::int64_t angle = there_ns % shape_.rotation_ns;
  access.rotation_ns = (position_ns(to) - angle + shape_.rotation_ns) % shape_.rotation_ns;
  access.transfer_ns = media_ns(to, transfer.sector_count);
  access.end_ns = there_ns + access.rotation_ns + access.transfer_ns;
  access.free_ns = access.end_ns;
  const Place last = place(transfer.end() - 1);
  cylinder_ = last.cylinder;
  head_ = last.head;
  if (writes) {
    cache_.written(transfer.sector, transfer.sector_count);
  } else {
    const double sector_ns = static_cast<double>(shape_.rotation_ns) / last.sectors_per_track;
    cache_.filled(transfer.sector, transfer.sector_count, access.end_ns, sector_ns, shape_.sectors);
  }
  return access;
}

}  // namespace fairlead::disk
