// SPDX-License-Identifier: Apache-2.0
#include "apps/drive_text.h"

#include <fmt/format.h>

#include "base/quote.h"

namespace fairlead::apps {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

std::string time_text(std::int64_t ns) { return fmt::format("\"{}ns\"", ns); }
// A number in TOML has a point or an exponent, if it is none of the whole ones.
std::string real_text(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

Values values_of(const disk::LinearShape& s) {
  return {{"sectors", fmt::format("{}", s.sectors)},
          {"rotation", time_text(s.rotation_ns)},
          {"full_stroke", time_text(s.full_stroke_ns)},
          {"hit", time_text(s.hit_ns)},
          {"sector_ns", real_text(s.sector_ns)}};
}

Values values_of(const disk::MechanicalShape& s) {
  return {{"sectors", fmt::format("{}", s.sectors)},
          {"heads", fmt::format("{}", s.heads)},
          {"rotation", time_text(s.rotation_ns)},
          {"seek_one", time_text(s.seek_one_ns)},
          {"seek_average", time_text(s.seek_average_ns)},
          {"seek_full", time_text(s.seek_full_ns)},
          {"write_settle", time_text(s.write_settle_ns)},
          {"head_switch", time_text(s.head_switch_ns)},
          {"cylinder_skew", time_text(s.cylinder_skew_ns)},
          {"read_overhead", time_text(s.read_overhead_ns)},
          {"write_overhead", time_text(s.write_overhead_ns)},
          {"hit_overhead", time_text(s.hit_overhead_ns)},
          {"bus_bytes_per_second", real_text(s.bus_bytes_per_second)}};
}

Values values_of(const disk::RateShape& s) {
  return {{"sectors", fmt::format("{}", s.sectors)},
          {"read", time_text(s.read_ns)},
          {"write", time_text(s.write_ns)},
          {"transfers_per_second", real_text(s.transfers_per_second)},
          {"bytes_per_second", real_text(s.bytes_per_second)}};
}

std::string cache_text(const disk::CacheShape& cache) {
  if (cache.segments == 0) return "";
  return fmt::format("\n[cache]\nsegments = {}\nsegment_sectors = {}\nahead_sectors = {}\n",
                     cache.segments, cache.segment_sectors, cache.ahead_sectors);
}

std::string rest_of(const disk::LinearShape& s) { return cache_text(s.cache); }
std::string rest_of(const disk::RateShape&) { return ""; }
std::string rest_of(const disk::MechanicalShape& s) {
  std::string zones = "zones = [";
  for (const disk::Zone& zone : s.zones) {
    zones += fmt::format("\n  [{}, {}],", zone.cylinders, zone.sectors_per_track);
  }
  return zones + "\n]\n" + cache_text(s.cache);
}

std::string string_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : base::printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

const char* model_name(const disk::DriveShape& shape) {
  constexpr const char* kNames[] = {"linear", "mechanical", "rate"};  // in the variant's order
  return kNames[shape.index()];
}

Values drive_values(const disk::DriveShape& shape) {
  return std::visit([](const auto& one) { return values_of(one); }, shape);
}

std::string drive_text(const Drive& drive) {
  std::string out = fmt::format("about = {}\nmodel = \"{}\"\n", string_text(drive.about),
                                model_name(drive.shape));
  for (const auto& [key, value] : drive_values(drive.shape)) {
    out += fmt::format("{} = {}\n", key, value);
  }
  return out + std::visit([](const auto& one) { return rest_of(one); }, drive.shape);
}

}  // namespace fairlead::apps
