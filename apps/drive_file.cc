// SPDX-License-Identifier: Apache-2.0
#include "apps/drive_file.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "apps/toml_keys.h"
#include "base/file.h"
#include "base/quote.h"
#include "base/units.h"

namespace fairlead::apps {
namespace {

constexpr std::size_t kMostDriveBytes = 1 << 20;
constexpr std::uint64_t kMostSectors = std::uint64_t{1} << 40;
constexpr std::int64_t kMostNs = 60'000'000'000;
constexpr std::size_t kMostZones = 1000;
constexpr std::uint32_t kMostOfAZone = 1'000'000;
constexpr double kLeastRate = 0.001;
constexpr std::uint32_t kMostSegmentSectors = 1 << 24;

Setter duration(std::int64_t& to, std::int64_t least_ns = 0) {
  return [&to, least_ns](const toml::node& node) -> base::Status {
    const auto text = node.value_exact<std::string>();
    const auto value = text ? base::parse_duration_ns(*text) : base::Result<std::int64_t>(-1);
    if (!value || *value < least_ns || *value > kMostNs) {
      return refuse(fmt::format("a time from {} to 60s is expected, as \"4ms\"",
                                least_ns == 0 ? "0s" : "1ns"));
    }
    to = *value;
    return {};
  };
}

Setter sectors(std::uint64_t& to) {
  return [&to](const toml::node& node) -> base::Status {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || static_cast<std::uint64_t>(*value) > kMostSectors) {
      return refuse(fmt::format("a number of sectors from 1 to {} is expected", kMostSectors));
    }
    to = static_cast<std::uint64_t>(*value);
    return {};
  };
}

Setter text(std::string& to) {
  return [&to](const toml::node& node) -> base::Status {
    const auto value = node.value_exact<std::string>();
    if (!value) return refuse("a text is expected");
    to = *value;
    return {};
  };
}

Setter zones(std::vector<disk::Zone>& to) {
  return [&to](const toml::node& node) -> base::Status {
    const toml::array* const list = node.as_array();
    const auto wrong = [] {
      return refuse("a list of [cylinders, sectors of a track] is expected, as [[9000, 720], …]");
    };
    if (list == nullptr || list->empty() || list->size() > kMostZones) return wrong();
    for (const toml::node& one : *list) {
      const toml::array* const pair = one.as_array();
      if (pair == nullptr || pair->size() != 2) return wrong();
      const auto cylinders = (*pair)[0].value_exact<std::int64_t>();
      const auto track = (*pair)[1].value_exact<std::int64_t>();
      if (!cylinders || !track || *cylinders < 1 || *cylinders > kMostOfAZone || *track < 1 ||
          *track > kMostOfAZone) {
        return wrong();
      }
      to.push_back({static_cast<std::uint32_t>(*cylinders), static_cast<std::uint32_t>(*track)});
    }
    return {};
  };
}

Setter cache(const std::string& origin, disk::CacheShape& to) {
  return [&, origin](const toml::node& node) -> base::Status {
    const toml::table* const table = node.as_table();
    if (table == nullptr) return refuse("a table [cache] is expected");
    FL_TRY_STATUS(take_keys(origin, *table, "[cache]",
                            {{"segments", count(to.segments, 1 << 16)},
                             {"segment_sectors", count(to.segment_sectors, kMostSegmentSectors)},
                             {"ahead_sectors", count(to.ahead_sectors, kMostSegmentSectors)}}));
    if (to.segments > 0 && to.segment_sectors == 0) {
      return refuse("segment_sectors: segments of no sectors hold nothing; write segments = 0");
    }
    return {};
  };
}

// A kind of model: its keys, and those of them that have to be there.
struct Keys {
  Setters setters;
  std::vector<std::string> required;
};

Keys keys_of(disk::LinearShape& s, const std::string& origin) {
  s.cache.segments = 0;
  return {{{"sectors", sectors(s.sectors)},
           {"rotation", duration(s.rotation_ns)},
           {"full_stroke", duration(s.full_stroke_ns)},
           {"hit", duration(s.hit_ns)},
           {"sector_ns", number(s.sector_ns, 0, 1e9)},
           {"cache", cache(origin, s.cache)}},
          {"sectors", "rotation", "full_stroke"}};
}

Keys keys_of(disk::MechanicalShape& s, const std::string& origin) {
  s.cache.segments = 0;
  return {{{"sectors", sectors(s.sectors)},
           {"heads", count(s.heads, 1000)},
           {"zones", zones(s.zones)},
           {"rotation", duration(s.rotation_ns, 1)},
           {"seek_one", duration(s.seek_one_ns)},
           {"seek_average", duration(s.seek_average_ns)},
           {"seek_full", duration(s.seek_full_ns)},
           {"write_settle", duration(s.write_settle_ns)},
           {"head_switch", duration(s.head_switch_ns)},
           {"cylinder_skew", duration(s.cylinder_skew_ns)},
           {"read_overhead", duration(s.read_overhead_ns)},
           {"hit_overhead", duration(s.hit_overhead_ns)},
           {"write_overhead", duration(s.write_overhead_ns)},
           {"bus_bytes_per_second", number(s.bus_bytes_per_second, 1, 1e12)},
           {"cache", cache(origin, s.cache)}},
          {"sectors", "heads", "zones", "rotation", "seek_one", "seek_average", "seek_full"}};
}

Keys keys_of(disk::RateShape& s, const std::string&) {
  return {{{"sectors", sectors(s.sectors)},
           {"read", duration(s.read_ns)},
           {"write", duration(s.write_ns)},
           {"transfers_per_second", number(s.transfers_per_second, 0, 1e9)},
           {"bytes_per_second", number(s.bytes_per_second, 0, 1e12)}},
          {"sectors"}};
}

// What no key alone can tell.
std::string absurd(const disk::LinearShape&) { return ""; }
std::string absurd(const disk::RateShape& s) {
  const auto slow = [](double rate) { return rate > 0 && rate < kLeastRate; };
  if (slow(s.transfers_per_second) || slow(s.bytes_per_second)) {
    return fmt::format("a rate is 0, which is no limit, or {} at least", kLeastRate);
  }
  return s.read_ns + s.write_ns == 0 && s.transfers_per_second == 0 && s.bytes_per_second == 0
             ? "a disk that takes no time: give read, write, transfers_per_second or "
               "bytes_per_second"
             : "";
}
std::string absurd(const disk::MechanicalShape& s) {
  std::uint64_t held = 0;
  for (const disk::Zone& zone : s.zones) {
    held += std::uint64_t{zone.cylinders} * zone.sectors_per_track * s.heads;
  }
  if (s.heads == 0) return "heads: a drive has one at least";
  if (s.sectors > held)
    return fmt::format("sectors: {} are more than the zones' {}", s.sectors, held);
  if (s.seek_one_ns > s.seek_average_ns || s.seek_average_ns > s.seek_full_ns) {
    return "seek_one, seek_average, seek_full: none is less than the one before";
  }
  return "";
}

template <typename Shape>
base::Result<Drive> read(const toml::table& file, const std::string& origin) {
  Drive drive;
  Shape shape;
  std::string model;
  Keys keys = keys_of(shape, origin);
  keys.setters.emplace("about", text(drive.about));
  keys.setters.emplace("model", text(model));
  FL_TRY_STATUS(take_keys(origin, file, "a drive", keys.setters));
  for (const std::string& key : keys.required) {
    if (!file.contains(key)) {
      return base::fail(base::ErrorKind::kInvalid,
                        fmt::format("{}: {} is missing, a {} drive needs it", origin, key, model));
    }
  }
  const std::string why = absurd(shape);
  if (!why.empty()) {
    return base::fail(base::ErrorKind::kInvalid, fmt::format("{}: {}", origin, why));
  }
  drive.shape = shape;
  return drive;
}

std::string names() {
  std::string all;
  for (const BuiltInDrive& one : kBuiltInDrives)
    all.append(all.empty() ? "" : ", ").append(one.name);
  return all;
}

}  // namespace

base::Result<Drive> parse_drive(const std::string& text, const std::string& origin) {
  FL_TRY(const toml::table file, parse_toml(text, origin));
  const toml::node* const node = file.get("model");
  const auto model = node == nullptr ? std::nullopt : node->value_exact<std::string>();
  if (model == "linear") return read<disk::LinearShape>(file, origin);
  if (model == "mechanical") return read<disk::MechanicalShape>(file, origin);
  if (model == "rate") return read<disk::RateShape>(file, origin);
  const std::string why = "model = \"linear\", \"mechanical\" or \"rate\" is expected";
  if (node != nullptr) return base::fail(wrong_at(origin, *node, why));
  return base::fail(base::ErrorKind::kInvalid, fmt::format("{}: {}", origin, why));
}

base::Result<Drive> find_drive(const std::string& name) {
  const auto found = std::ranges::find(
      kBuiltInDrives, name, [](const BuiltInDrive& one) { return std::string(one.name); });
  if (found == kBuiltInDrives.end() && name.find_first_of("/.") == std::string::npos) {
    return base::fail(base::ErrorKind::kNotFound,
                      fmt::format("no drive {}; there is {}, or name a file as ./{}.toml",
                                  base::quoted(name), names(), name));
  }
  if (found != kBuiltInDrives.end()) {
    FL_TRY(Drive drive, parse_drive(found->text, name));
    drive.name = name;
    return drive;
  }
  FL_TRY(const std::string text, base::read_file(name, kMostDriveBytes));
  FL_TRY(Drive drive, parse_drive(text, name));
  drive.name = name;
  return drive;
}

}  // namespace fairlead::apps
