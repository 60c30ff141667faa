// SPDX-License-Identifier: Apache-2.0
#include "disk/mechanical_fit.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include <fmt/format.h>

#include "disk/cache_shadow.h"
#include "disk/nelder_mead.h"
#include "disk/robust_fit.h"

namespace fairlead::disk {
namespace {

constexpr std::size_t kMostFitted = 10'000;  // transfers: more tell little more
constexpr std::size_t kLeastTold = 50;       // of a kind, for a figure that only it tells
constexpr std::size_t kFirstStretch = 120;   // misses, for the rotation
constexpr double kNearRotation = 0.35;       // of it: how near the first step comes
constexpr double kShortest = 0.005;    // so many of the waits are shorter than this share of a turn
constexpr double kMostTried = 50'000;  // rotations, either side
constexpr double kLongHit = 5;         // times the median hit: no hit
constexpr double kShortMiss = 2;       // as many times: no miss
constexpr int kRoughCalls = 120;       // of a function that is searched
constexpr int kFineCalls = 700;
constexpr double kLeastStepNs = 50'000;

// What the cache of the drive that is like it says, and what the time does: kMoved is said to be a
// hit, but took so long that the heads must have moved; said to be a miss, but short, is a hit.
enum class Kind : std::uint8_t { kMiss, kMoved, kHit };

// All are misses, if those said to be hits are not much faster: the drive has no such cache.
std::vector<Kind> kinds_of(const FitTrace& trace, std::size_t end, const CacheShape& cache) {
  CacheShadow shadow(cache);
  std::vector<Kind> kinds(end, Kind::kMiss);
  std::vector<double> hits;
  std::vector<double> misses;
  for (std::size_t i = 0; i < end; ++i) {
    const FitTransfer& one = trace.transfers[i];
    if (one.op != IoOp::kRead) shadow.write(one.sector, one.sector_count);
    if (one.op == IoOp::kRead && shadow.read(one.sector, one.sector_count)) kinds[i] = Kind::kHit;
    (kinds[i] == Kind::kHit ? hits : misses).push_back(one.service_ns());
  }
  const double hit_ns = quantile_of(hits, 0.5);
  const bool cached = hit_ns < quantile_of(misses, 0.5) / 2;
  for (std::size_t i = 0; i < end; ++i) {
    const double time_ns = trace.transfers[i].service_ns();
    if (!cached) {
      kinds[i] = Kind::kMiss;
    } else if (kinds[i] == Kind::kHit && time_ns > kLongHit * hit_ns) {
      kinds[i] = Kind::kMoved;
    } else if (time_ns < kShortMiss * hit_ns) {
      kinds[i] = Kind::kHit;
    }
  }
  return kinds;
}

class Fitter {
 public:
  Fitter(const FitTrace& trace, const MechanicalShape& like)
      : trace_(trace), shape_(like), most_ns_(2 * static_cast<double>(like.rotation_ns)) {
    std::size_t used = 0;
    while (end_ < trace.held_out_from && used < kMostFitted) used += trace.trains(end_++) ? 1 : 0;
    kinds_ = kinds_of(trace, end_, like.cache);
    if (std::ranges::find(kinds_, Kind::kHit) == kinds_.end()) shape_.cache.segments = 0;
  }

  std::size_t misses() const {
    std::size_t count = 0;
    run(shape_, end_, [&](const FitTransfer&, const Access&, double) { ++count; });
    return count;
  }

  void fit() {
    fit_hits();
    see_writes();
    for (const double reach : {0.25, 0.1}) {
      search(&Fitter::error_of_halves, reach, kRoughCalls);
      shape_.rotation_ns = rotation_of_what_is_left();
    }
    search(&Fitter::error_of_halves, 0.05, kRoughCalls);
    find_rotation();
    fit_overhead();
    search(&Fitter::error_of_turns, 0.1, kFineCalls);
  }

  DriveFit result() const {
    return {.shape = shape_,
            .phase_ns = coherence_ >= kLeastCoherence ? phase_ns_ : 0,
            .coherence = coherence_};
  }

 private:
  using Error = double (Fitter::*)(const MechanicalShape&) const;

  // Those that are sure to have moved the heads: calls visit(transfer, access, service).
  template <typename Visit>
  void run(const MechanicalShape& shape, std::size_t end, Visit&& visit) const {
    MechanicalShape bare = shape;
    bare.cache.segments = 0;
    MechanicalModel model(bare);
    for (std::size_t i = 0; i < end; ++i) {
      if (kinds_[i] == Kind::kHit) continue;
      const FitTransfer& one = trace_.transfers[i];
      const Access access = model.access(transfer_of(one), one.begin_ns);
      if (kinds_[i] != Kind::kMiss || !trace_.trains(i)) continue;
      visit(one, access, static_cast<double>(access.end_ns - one.begin_ns));
    }
  }

  // Of hits; some of them had to wait for the drive to read.
  void fit_hits() {
    std::vector<double> times;
    for (std::size_t i = 0; i < end_; ++i) {
      const FitTransfer& one = trace_.transfers[i];
      if (kinds_[i] != Kind::kHit || !trace_.trains(i)) continue;
      const double bytes = double{kSectorBytes} * one.sector_count;
      times.push_back(one.service_ns() - bytes * 1e9 / shape_.bus_bytes_per_second);
    }
    if (times.size() < kLeastTold) return;
    shape_.hit_overhead_ns = std::max(std::llround(quantile_of(times, 0.25)), 0LL);
  }

  void see_writes() {
    std::size_t writes = 0;
    run(shape_, end_, [&](const FitTransfer& one, const Access& access, double) {
      writes += one.op != IoOp::kRead && access.seek_ns > 0 ? 1 : 0;
    });
    tells_settle_ = writes >= kLeastTold;
  }

  // Overhead and seek are one time, but where there is no seek.  There the shortest wait is next to
  // none.  What moves into the overhead goes from the shortest seek.
  void fit_overhead() {
    std::vector<double> times;
    run(shape_, end_, [&](const FitTransfer& one, const Access& access, double service_ns) {
      if (one.op != IoOp::kRead || access.seek_ns != 0) return;
      const double media_ns =
          service_ns - static_cast<double>(access.rotation_ns + shape_.read_overhead_ns);
      times.push_back(one.service_ns() - media_ns);
    });
    if (times.size() < kLeastTold) return;
    const double wait_ns = kShortest * static_cast<double>(shape_.rotation_ns);
    const auto sum_ns = shape_.read_overhead_ns + shape_.seek_one_ns;
    shape_.read_overhead_ns =
        std::clamp<std::int64_t>(std::llround(quantile_of(times, kShortest) - wait_ns), 0, sum_ns);
    shape_.seek_one_ns = sum_ns - shape_.read_overhead_ns;
  }

  // What is searched for.  Times that grow are told by how much.
  std::vector<double> numbers() const {
    const auto real = [](std::int64_t ns) { return static_cast<double>(ns); };
    std::vector<double> all{real(shape_.seek_one_ns),
                            real(shape_.seek_average_ns - shape_.seek_one_ns),
                            real(shape_.seek_full_ns - shape_.seek_average_ns)};
    if (tells_settle_) all.push_back(real(shape_.write_settle_ns));
    return all;
  }

  MechanicalShape with(const std::vector<double>& numbers) const {
    MechanicalShape shape = shape_;
    const auto ns = [&](std::size_t at) { return std::llround(std::abs(numbers[at])); };
    shape.seek_one_ns = ns(0);
    shape.seek_average_ns = shape.seek_one_ns + ns(1);
    shape.seek_full_ns = shape.seek_average_ns + ns(2);
    if (tells_settle_) shape.write_settle_ns = ns(3);
    return shape;
  }

  void search(Error error, double reach, int most_calls) {
    const std::vector<double> begin = numbers();
    std::vector<double> steps;
    steps.reserve(begin.size());
    for (const double one : begin) steps.push_back(std::max(reach * one, kLeastStepNs));
    const auto function = [&](const std::vector<double>& at) { return (this->*error)(with(at)); };
    shape_ = with(nelder_mead(function, begin, steps, most_calls).at);
  }

  // What is left of a time if half a rotation stands for whatever it took.
  static double left_of_halves(const MechanicalShape& shape, const FitTransfer& one,
                               const Access& access, double service_ns) {
    const double half = static_cast<double>(shape.rotation_ns) / 2;
    return one.service_ns() - (service_ns - static_cast<double>(access.rotation_ns) + half);
  }

  double error_of_halves(const MechanicalShape& shape) const {
    return mean(shape, [&](const FitTransfer& one, const Access& access, double service_ns) {
      return std::min(std::abs(left_of_halves(shape, one, access, service_ns)), most_ns_);
    });
  }

  // A wait of less than nothing, or of more than one rotation, there cannot be.
  double error_of_turns(const MechanicalShape& shape) const {
    const auto turn = static_cast<double>(shape.rotation_ns);
    return mean(shape, [&](const FitTransfer& one, const Access& access, double service_ns) {
      const double wait_ns =
          one.service_ns() - (service_ns - static_cast<double>(access.rotation_ns));
      return std::min(std::max({-wait_ns, wait_ns - turn, 0.0}), most_ns_);
    });
  }

  template <typename Of>
  double mean(const MechanicalShape& shape, Of&& of) const {
    double sum = 0;
    std::size_t count = 0;
    run(shape, end_, [&](const FitTransfer& one, const Access& access, double service_ns) {
      sum += of(one, access, service_ns);
      ++count;
    });
    return sum / static_cast<double>(std::max(count, std::size_t{1}));
  }

  std::int64_t rotation_of_what_is_left() const {
    std::vector<double> left;
    run(shape_, end_, [&](const FitTransfer& one, const Access& access, double service_ns) {
      left.push_back(left_of_halves(shape_, one, access, service_ns));
    });
    const double upper = quantile_of(left, 0.75);
    const double between = upper - quantile_of(left, 0.25);
    return left.size() < kLeastTold ? shape_.rotation_ns : std::max(std::llround(2 * between), 1LL);
  }

  // Of the sectors passing by and the ends observed, over the first transfers.
  std::complex<double> together(std::int64_t rotation_ns, std::size_t end) const {
    MechanicalShape shape = shape_;
    shape.rotation_ns = rotation_ns;
    std::complex<double> sum = 0;
    std::size_t count = 0;
    run(shape, end, [&](const FitTransfer& one, const Access& access, double) {
      const auto late = static_cast<double>((one.end_ns - access.end_ns) % rotation_ns);
      sum += std::polar(1.0, 2 * std::numbers::pi * late / static_cast<double>(rotation_ns));
      ++count;
    });
    return count == 0 ? 0 : sum / static_cast<double>(count);
  }

  std::size_t first_stretch() const {
    std::size_t misses = 0;
    std::size_t end = 0;
    while (end < end_ && misses < kFirstStretch) misses += kinds_[end++] == Kind::kMiss ? 1 : 0;
    return end;
  }

  // The time by which sectors pass that is longest in rotations: of the trace's end, or of the last
  // track's skew.
  double longest_ns(std::size_t end) const {
    double cylinders = 0;
    for (const Zone& zone : shape_.zones) cylinders += zone.cylinders;
    const double skew_ns = static_cast<double>(shape_.cylinder_skew_ns) +
                           (shape_.heads - 1.0) * static_cast<double>(shape_.head_switch_ns);
    const FitTransfer& last = trace_.transfers[end - 1];
    return cylinders * skew_ns +
           static_cast<double>(last.end_ns - trace_.transfers.front().begin_ns);
  }

  void find_rotation() {
    const auto about = static_cast<double>(shape_.rotation_ns);
    double centre = about;
    double range = kNearRotation * about;
    double step = range;
    for (std::size_t end = first_stretch(); step > 1 || end < end_;) {
      // A quarter of a rotation where it matters most; then as near as it goes.
      const double quarter = about * about / (4 * longest_ns(end));
      step = std::max(std::min(quarter, step / 4), 1.0);
      centre = best_rotation(centre, std::min(range, kMostTried * step), step, end);
      range = 2 * step;
      end = std::min(2 * end, end_);
    }
    take_rotation(std::llround(centre));
  }

  void take_rotation(std::int64_t found_ns) {
    const auto sum = together(found_ns, end_);
    coherence_ = std::abs(sum);
    if (coherence_ < kLeastCoherence) return;
    shape_.rotation_ns = found_ns;
    const double share = std::arg(sum) / (2 * std::numbers::pi);  // of a rotation
    phase_ns_ = std::llround((share > 0 ? 1 - share : -share) * static_cast<double>(found_ns));
  }

  double best_rotation(double centre, double range, double step, std::size_t end) const {
    double best = centre;
    double most = -1;
    for (double at = centre - range; at <= centre + range; at += step) {
      const double value = std::abs(together(std::max(std::llround(at), 1LL), end));
      if (value <= most) continue;
      most = value;
      best = at;
    }
    return best;
  }

  const FitTrace& trace_;
  MechanicalShape shape_;
  double most_ns_;       // that one transfer's error counts
  std::size_t end_ = 0;  // of what is fitted to
  std::vector<Kind> kinds_;
  bool tells_settle_ = false;
  double coherence_ = 0;
  std::int64_t phase_ns_ = 0;
};

}  // namespace

base::Result<DriveFit> fit_mechanical(const FitTrace& trace, const MechanicalShape& like) {
  Fitter fitter(trace, like);
  if (const std::size_t misses = fitter.misses(); misses < kLeastTold) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("{} transfers moved the heads, {} are needed to tell how long "
                                  "that takes",
                                  misses, kLeastTold));
  }
  fitter.fit();
  return fitter.result();
}

}  // namespace fairlead::disk
