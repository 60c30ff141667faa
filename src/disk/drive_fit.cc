// SPDX-License-Identifier: Apache-2.0
#include "disk/drive_fit.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "disk/mechanical_fit.h"
#include "disk/robust_fit.h"

namespace fairlead::disk {
namespace {

constexpr std::size_t kLeastHits = 10;
constexpr double kUnitStroke = 1e9;  // a seek in these units is the share of the disk

// Whether the lengths differ enough to tell what a sector takes.
bool lengths_differ(const FitTrace& trace) {
  std::vector<double> lengths;
  for (std::size_t i = 0; i < trace.held_out_from; ++i) {
    if (trace.trains(i)) lengths.push_back(trace.transfers[i].sector_count);
  }
  const double short_one = quantile_of(lengths, 0.1);
  return quantile_of(lengths, 0.9) >= 2 * short_one;
}

std::int64_t whole_ns(double ns, std::int64_t least = 0) {
  return std::max(std::llround(ns), static_cast<long long>(least));
}

struct Seen {
  std::vector<FitPoint> misses;                 // 1, share of the disk, sectors
  std::vector<std::pair<double, double>> hits;  // time, sectors
};

// The model's cache and head do not depend on what is to be fitted.
Seen look(const FitTrace& trace, LinearShape shape) {
  shape.full_stroke_ns = static_cast<std::int64_t>(kUnitStroke);
  LinearModel model(shape);
  Seen seen;
  replay(trace, model, trace.held_out_from, 0, [&](std::size_t at, const Access& access, double) {
    if (!trace.trains(at)) return;
    const FitTransfer& one = trace.transfers[at];
    const double share = static_cast<double>(access.seek_ns) / kUnitStroke;
    const double sectors = one.sector_count;
    if (access.hit) {
      seen.hits.emplace_back(one.service_ns(), sectors);
    } else {
      seen.misses.push_back({{1, share, sectors}, one.service_ns()});
    }
  });
  return seen;
}

LinearShape fit_to(const FitTrace& trace, LinearShape shape) {
  const Seen seen = look(trace, shape);
  auto line = lengths_differ(trace) ? robust_fit(seen.misses, 3) : std::nullopt;
  if (!line || (*line)[2] < 0) line = robust_fit(seen.misses, 2);
  if (line) {
    shape.rotation_ns = whole_ns(2 * (*line)[0], 1);
    shape.full_stroke_ns = whole_ns((*line)[1]);
    shape.sector_ns = line->size() == 3 ? (*line)[2] : 0;
  }
  std::vector<double> hits;
  hits.reserve(seen.hits.size());
  for (const auto& [time_ns, sectors] : seen.hits) {
    hits.push_back(time_ns - shape.sector_ns * sectors);
  }
  if (hits.size() >= kLeastHits) shape.hit_ns = whole_ns(quantile_of(hits, 0.5));
  return shape;
}

double mean_error(const FitTrace& trace, const LinearShape& shape) {
  LinearModel model(shape);
  double sum = 0;
  replay(trace, model, trace.held_out_from, 0, [&](std::size_t at, const Access&, double ns) {
    if (trace.trains(at)) sum += std::abs(ns - trace.transfers[at].service_ns());
  });
  return sum;
}

base::Result<DriveFit> fit(const FitTrace& trace, const LinearShape& like) {
  const LinearShape with = fit_to(trace, like);
  LinearShape bare = like;
  bare.cache.segments = 0;
  bare = fit_to(trace, bare);
  return DriveFit{.shape = mean_error(trace, bare) < mean_error(trace, with) ? bare : with};
}

base::Result<DriveFit> fit(const FitTrace& trace, RateShape shape) {
  std::vector<FitPoint> reads;  // 1, bytes
  std::vector<FitPoint> writes;
  std::vector<FitPoint> both;  // reads, writes, bytes
  for (std::size_t i = 0; i < trace.held_out_from; ++i) {
    if (!trace.trains(i)) continue;
    const FitTransfer& one = trace.transfers[i];
    const bool read = one.op == IoOp::kRead;
    const double bytes = double{kSectorBytes} * one.sector_count;
    (read ? reads : writes).push_back({{1, bytes}, one.service_ns()});
    both.push_back({{read ? 1.0 : 0.0, read ? 0.0 : 1.0, bytes}, one.service_ns()});
  }
  double byte_ns = 0;
  if (lengths_differ(trace)) {
    const bool mixed = !reads.empty() && !writes.empty();
    const auto line = mixed ? robust_fit(both, 3) : robust_fit(reads.empty() ? writes : reads, 2);
    if (line) byte_ns = std::max(line->back(), 0.0);
  }
  const auto latency = [&](std::vector<FitPoint>& points, std::int64_t& to_ns) {
    for (FitPoint& one : points) one.y -= byte_ns * one.x[1];
    if (const auto line = robust_fit(points, 1)) to_ns = whole_ns(line->front());
  };
  latency(reads, shape.read_ns);
  latency(writes, shape.write_ns);
  shape.bytes_per_second = byte_ns > 0 ? 1e9 / byte_ns : 0;
  shape.transfers_per_second = 0;  // one after the other tells none
  return DriveFit{.shape = shape};
}

base::Result<DriveFit> fit(const FitTrace& trace, const MechanicalShape& like) {
  return fit_mechanical(trace, like);
}

}  // namespace

void replay(const FitTrace& trace, DiskModel& model, std::size_t most, std::int64_t phase_ns,
            const FitVisit& visit) {
  for (std::size_t i = 0; i < std::min(most, trace.transfers.size()); ++i) {
    const FitTransfer& one = trace.transfers[i];
    const std::int64_t begin_ns = one.begin_ns + phase_ns;
    const Access access = model.access(transfer_of(one), begin_ns);
    model.ended(one.end_ns + phase_ns);
    visit(i, access, static_cast<double>(access.end_ns - begin_ns));
  }
}

FitError held_out_error(const FitTrace& trace, const DriveShape& shape, std::int64_t phase_ns) {
  const auto model = make_model(shape);
  std::vector<double> observed;
  std::vector<double> predicted;
  replay(trace, *model, trace.transfers.size(), phase_ns,
         [&](std::size_t at, const Access&, double service_ns) {
           if (!trace.tests(at)) return;
           observed.push_back(trace.transfers[at].service_ns());
           predicted.push_back(service_ns);
         });
  return fit_error(std::move(observed), std::move(predicted));
}

base::Result<DriveFit> fit_drive(const FitTrace& trace, const DriveShape& like) {
  if (trace.counted < kLeastFitted) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("{} transfers can be fitted to, {} are needed: {} requests have "
                                  "no times of dispatch and end, {} transfers had others in flight",
                                  trace.counted, kLeastFitted, trace.untimed, trace.crowded));
  }
  FL_TRY(DriveFit done, std::visit([&](const auto& shape) { return fit(trace, shape); }, like));
  for (std::size_t i = 0; i < trace.held_out_from; ++i) done.fitted += trace.trains(i) ? 1 : 0;
  done.error = held_out_error(trace, done.shape, done.phase_ns);
  return done;
}

}  // namespace fairlead::disk
