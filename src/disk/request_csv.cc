// SPDX-License-Identifier: Apache-2.0
#include "disk/request_csv.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/units.h"

namespace fairlead::disk {
namespace {

constexpr std::size_t kMostLineBytes = 4096;
constexpr std::uint64_t kMostSector = std::uint64_t{1} << 40;
constexpr std::uint32_t kMostSectors = 1 << 22;
constexpr std::int64_t kNone = RecordedRequest::kUnknown;

// "time_us": the name and what counts there, in nanoseconds; 0: it has no unit.
std::pair<std::string_view, std::int64_t> split_unit(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> kUnits = {
      {{"_s", base::kNanosPerSecond}, {"_ms", base::kNanosPerMilli}, {"_us", 1000}, {"_ns", 1}}};
  for (const auto& [suffix, ns] : kUnits) {
    if (name.ends_with(suffix)) return {name.substr(0, name.size() - suffix.size()), ns};
  }
  return {name, 0};
}

// Calls take(cell) with each cell, as long as it is content.
template <typename Take>
base::Status for_cells(std::string_view line, Take&& take) {
  for (;;) {
    const std::size_t comma = line.find(',');
    FL_TRY_STATUS(take(line.substr(0, comma)));
    if (comma == std::string_view::npos) return {};
    line.remove_prefix(comma + 1);
  }
}

base::Result<IoOp> parse_op(std::string_view text) {
  if (text == "read" || text == "R") return IoOp::kRead;
  if (text == "write" || text == "W") return IoOp::kWrite;
  return base::fail(base::ErrorKind::kInvalid,
                    base::quoted(text) + " is neither read nor write: leave other kinds out");
}

}  // namespace

// A line's cells, as far as they are there.
struct RequestCsv::Row {
  RecordedRequest request;
  std::int64_t service_ns = kNone;
  std::int64_t response_ns = kNone;
};

void append_csv(std::string& to, const RequestStory& story) {
  fmt::format_to(std::back_inserter(to), "{},{},{},{},{},{},{},{},{}\n", story.number,
                 story.request.owner, story.request.op == IoOp::kRead ? "read" : "write",
                 story.request.sector, story.request.sector_count, story.arrived_ns,
                 story.dispatched_ns, story.ended_ns, story.hit ? 1 : 0);
}

base::Status RequestCsv::take(std::string_view bytes) {
  for (;;) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    if (rest_.empty()) {
      FL_TRY_STATUS(take_line(bytes.substr(0, end)));
    } else {
      rest_ += bytes.substr(0, end);
      FL_TRY_STATUS(take_line(std::exchange(rest_, {})));
    }
    bytes.remove_prefix(end + 1);
  }
  rest_ += bytes;
  if (rest_.size() <= kMostLineBytes) return {};
  ++line_;
  return base::fail(wrong("a line of more than 4096 bytes: no CSV of requests"));
}

base::Result<RequestTrace> RequestCsv::finish() && {
  if (!rest_.empty()) FL_TRY_STATUS(take_line(std::exchange(rest_, {})));
  return in_order(std::move(trace_));
}

base::Status RequestCsv::take_line(std::string_view line) {
  ++line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty() || line.front() == '#') return {};
  return columns_.empty() ? take_header(line) : take_row(line);
}

base::Status RequestCsv::take_header(std::string_view line) {
  FL_TRY_STATUS(for_cells(line, [&](std::string_view name) -> base::Status {
    auto column = column_of(name);
    if (!column) return base::fail(wrong(column.error().message()));
    if (has(column->field)) {
      return base::fail(wrong(base::quoted(name) + " tells what another column told already"));
    }
    columns_.push_back(*std::move(column));
    return {};
  }));
  for (const auto& [field, name] :
       {std::pair(Field::kArrived, "arrived_ns (or time_s and so on)"),
        std::pair(Field::kSector, "sector"), std::pair(Field::kSectors, "sectors")}) {
    if (!has(field)) return base::fail(wrong(fmt::format("no column {}", name)));
  }
  return {};
}

base::Result<RequestCsv::Column> RequestCsv::column_of(std::string_view name) {
  struct Known {
    std::string_view name;
    Field field;
    bool time;
  };
  constexpr std::array<Known, 13> kKnown = {{{"number", Field::kNumber, false},
                                             {"owner", Field::kOwner, false},
                                             {"process", Field::kOwner, false},
                                             {"op", Field::kOp, false},
                                             {"sector", Field::kSector, false},
                                             {"sectors", Field::kSectors, false},
                                             {"hit", Field::kHit, false},
                                             {"arrived", Field::kArrived, true},
                                             {"time", Field::kArrived, true},
                                             {"dispatched", Field::kDispatched, true},
                                             {"ended", Field::kEnded, true},
                                             {"service", Field::kService, true},
                                             {"response", Field::kResponse, true}}};
  const auto [word, unit_ns] = split_unit(name);
  for (const Known& one : kKnown) {
    if (one.name == word && one.time == (unit_ns != 0)) {
      return Column{one.field, unit_ns, std::string(name)};
    }
  }
  return base::fail(base::ErrorKind::kInvalid,
                    fmt::format("no column {} is known; there is number, owner, op, sector, "
                                "sectors, hit, and with _s, _ms, _us or _ns behind them arrived, "
                                "dispatched, ended, service, response",
                                base::quoted(name)));
}

base::Status RequestCsv::take_row(std::string_view line) {
  Row row;
  row.request.number = trace_.requests.size();
  row.request.line = line_;
  std::size_t at = 0;
  FL_TRY_STATUS(for_cells(line, [&](std::string_view text) -> base::Status {
    if (at == columns_.size()) return base::fail(wrong("more cells than columns"));
    const Column& column = columns_[at++];
    auto done = set(row, column, text);
    if (!done) return base::fail(wrong(fmt::format("{}: {}", column.name, done.error().message())));
    return {};
  }));
  if (at != columns_.size()) {
    return base::fail(wrong(fmt::format("{} cells where {} are expected", at, columns_.size())));
  }
  return add(row);
}

base::Status RequestCsv::set(Row& row, const Column& column, std::string_view text) const {
  RecordedRequest& request = row.request;
  const auto time = [&](std::int64_t& to) -> base::Status {
    FL_TRY(to, base::parse_duration_ns(text, column.unit_ns));
    return {};
  };
  const auto count = [&](auto& to, std::uint64_t least, std::uint64_t most) -> base::Status {
    FL_TRY(const std::uint64_t value, base::parse_unsigned(text, least, most));
    to = static_cast<std::remove_reference_t<decltype(to)>>(value);
    return {};
  };
  switch (column.field) {
    case Field::kNumber: return count(request.number, 0, INT64_MAX);
    case Field::kOwner: return count(request.owner, 0, UINT32_MAX - 1);
    case Field::kSector: return count(request.sector, 0, kMostSector);
    case Field::kSectors: return count(request.sector_count, 1, kMostSectors);
    case Field::kArrived: return time(request.arrived_ns);
    case Field::kDispatched: return time(request.dispatched_ns);
    case Field::kEnded: return time(request.ended_ns);
    case Field::kService: return time(row.service_ns);
    case Field::kResponse: return time(row.response_ns);
    case Field::kOp: {
      FL_TRY(request.op, parse_op(text));
      return {};
    }
    case Field::kHit:
    case Field::kFields: break;
  }
  return {};
}

// The end from whatever tells it, then the dispatch.
base::Status RequestCsv::add(const Row& row) {
  RecordedRequest request = row.request;
  if (request.ended_ns == kNone && row.response_ns != kNone) {
    request.ended_ns = request.arrived_ns + row.response_ns;
  }
  if (request.ended_ns != kNone && request.dispatched_ns == kNone && row.service_ns != kNone) {
    request.dispatched_ns = request.ended_ns - row.service_ns;
  }
  if (request.ended_ns == kNone && row.service_ns != kNone) {
    if (request.dispatched_ns == kNone) request.dispatched_ns = request.arrived_ns;
    request.ended_ns = request.dispatched_ns + row.service_ns;
  }
  const auto before = [](std::int64_t time_ns, std::int64_t earlier_ns) {
    return time_ns != kNone && time_ns < earlier_ns;
  };
  if (before(request.dispatched_ns, request.arrived_ns) ||
      before(request.ended_ns, std::max(request.arrived_ns, request.dispatched_ns))) {
    return base::fail(
        wrong("time runs backwards: arrived, dispatched and ended in this order are "
              "expected"));
  }
  if (trace_.requests.size() == RequestTrace::kMostRequests) {
    return base::fail(base::ErrorKind::kLimit, fmt::format("{}: more than {} requests", trace_.name,
                                                           RequestTrace::kMostRequests));
  }
  trace_.requests.push_back(request);
  return {};
}

bool RequestCsv::has(Field field) const noexcept {
  return std::ranges::find(columns_, field, &Column::field) != columns_.end();
}

base::Error RequestCsv::wrong(std::string_view why) const {
  return {base::ErrorKind::kInvalid, fmt::format("{} line {}: {}", trace_.name, line_, why)};
}

}  // namespace fairlead::disk
