// SPDX-License-Identifier: Apache-2.0
//
// zipf_replay: the reads of `client --pattern zipf:S --seed X`, one after the other, through the
// service's cache and through an LRU of the same bytes.  Streams are SEED:COUNT; the hits of the
// last one count, the ones before warm the caches.
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "apps/command_line.h"
#include "base/random.h"
#include "disk/lru_cache.h"
#include "disk/sector_cache.h"
#include "disk/zipf.h"
#include "report.h"

namespace {

using namespace fairlead;

struct Stream {
  std::uint64_t seed = 0;
  std::uint64_t count = 0;
};

Stream parse(const std::string& text) {
  Stream stream;
  const char* end = text.data() + text.size();
  const auto seed = std::from_chars(text.data(), end, stream.seed);
  if (seed.ec == std::errc() && seed.ptr != end && *seed.ptr == ':') {
    const auto count = std::from_chars(seed.ptr + 1, end, stream.count);
    if (count.ec == std::errc() && count.ptr == end && stream.count > 0) return stream;
  }
  bench::die("'" + text + "' is no SEED:COUNT");
}

struct Image {
  std::uint64_t sectors = 0;
  double skew = 0.99;
};

// As block/workload.cc chooses: the n-th sector is a function of seed and n.
template <typename Cache>
double hit_ratio(Cache& cache, const std::vector<Stream>& streams, const Image& image) {
  const disk::Zipf zipf(image.sectors, image.skew);
  const disk::Scatter scatter(image.sectors);
  const std::byte bytes[512]{};
  std::uint64_t hits = 0;
  std::uint64_t lookups = 0;
  for (const Stream& stream : streams) {
    hits = cache.hits();
    lookups = cache.lookups();
    for (std::uint64_t n = 0; n < stream.count; ++n) {
      base::Random random(stream.seed + n * 0x9e3779b97f4a7c15);
      const std::uint64_t sector = scatter(zipf.rank(random));
      if (cache.lookup(sector) == nullptr) cache.insert(sector, bytes);
    }
  }
  return static_cast<double>(cache.hits() - hits) / static_cast<double>(cache.lookups() - lookups);
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("replay a Zipf stream through two caches", "zipf_replay");
  Image image;
  std::uint64_t budget = 0;
  std::vector<std::string> texts;
  app.add_option("--sectors", image.sectors).required().check(apps::positive());
  app.add_option("--budget", budget, "bytes of a cache").required().check(apps::positive());
  app.add_option("--skew", image.skew).capture_default_str();
  app.add_option("streams", texts, "SEED:COUNT").required();
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  std::vector<Stream> streams;
  for (const auto& text : texts) streams.push_back(parse(text));

  disk::SectorCache ours(budget);
  disk::LruCache lru(budget);
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("ours", hit_ratio(ours, streams, image))
      .member("lru", hit_ratio(lru, streams, image))
      .member("ours_sectors", ours.capacity())
      .member("lru_sectors", lru.capacity())
      .end_object();
  std::puts(out.c_str());
  return 0;
}
