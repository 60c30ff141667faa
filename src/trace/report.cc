// SPDX-License-Identifier: Apache-2.0
#include "trace/report.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/quote.h"
#include "base/text_table.h"
#include "base/units.h"
#include "trace/block_text.h"

namespace fairlead::trace {
namespace {

using base::format_ns;
using base::JsonWriter;

using ProcessNames = std::map<std::pair<std::uint16_t, std::uint32_t>, std::string>;

std::string process_title(const ProcessNames& names, std::uint16_t source, std::uint32_t pid) {
  const auto known = names.find({source, pid});
  return known == names.end() ? std::to_string(pid) : fmt::format("{} ({})", known->second, pid);
}

DeviceReport report_device(DeviceRequests& found, const ProcessNames& names) {
  DeviceReport report;
  for (const Request& request : found.requests) {
    const std::uint64_t bytes = std::uint64_t{request.sectors} * kSectorBytes;
    (request.writes ? report.written_bytes : report.read_bytes) += bytes;
    if (request.issue_ns != kNever) report.d2c.add(request.complete_ns - request.issue_ns);
  }
  for (const Bio& bio : found.bios) {
    const Request& request = found.requests[bio.request];
    const std::int64_t q2c = request.complete_ns - bio.queue_ns;
    if (request.issue_ns != kNever) report.q2d.add(request.issue_ns - bio.queue_ns);
    report.q2c.add(q2c);
    ProcessFigures& process = report.processes[bio.pid];
    ++process.bios;
    process.bytes += std::uint64_t{bio.sectors} * kSectorBytes;
    process.q2c.add(q2c);
  }
  for (auto& [pid, process] : report.processes) {
    process.title = process_title(names, found.source, pid);
  }
  report.requests = found.requests.size();
  report.request_bios = found.bios.size();
  found.requests = {};
  found.bios = {};
  report.found = std::move(found);
  return report;
}

PairReport report_pair(Staged staged) {
  PairReport report;
  for (const Chain& chain : staged.chains) {
    for (std::size_t i = 0; i < kStages; ++i) report.stages[i].add(chain.ns[i]);
    report.q2c.add(chain.q2c_ns);
  }
  report.staged = std::move(staged);
  return report;
}

const DeviceRequests* find(const std::vector<DeviceRequests>& devices, std::uint16_t source,
                           std::uint32_t device) {
  const auto at = std::ranges::find_if(devices, [&](const DeviceRequests& one) {
    return one.source == source && one.device == device;
  });
  return at == devices.end() ? nullptr : &*at;
}

bool crosses_clocks(std::size_t stage) {
  return Stage(stage) == Stage::kUT || Stage(stage) == Stage::kT;
}

std::string bounded(std::int64_t bound_ns, std::size_t stage) {
  return crosses_clocks(stage) && bound_ns > 0 ? " ± " + format_ns(bound_ns) : "";
}

std::string ns_text(double ns) { return format_ns(static_cast<std::int64_t>(ns)); }

std::vector<std::string> stage_row(std::string name, const StageFigures& figures, double whole,
                                   const std::string& bound) {
  const auto quantile = [&](double q) {
    return format_ns(static_cast<std::int64_t>(figures.ns.quantile(q)));
  };
  return {std::move(name),
          ns_text(figures.mean()) + bound,
          quantile(0.5),
          quantile(0.99),
          format_ns(static_cast<std::int64_t>(figures.ns.max())),
          whole > 0 ? fmt::format("{:.1f} %", 100 * figures.mean() / whole) : ""};
}

std::string pair_text(const Trace& trace, const PairReport& pair) {
  const Staged& staged = pair.staged;
  const Pairing& pairing = staged.pairing;
  std::string out = fmt::format("{} on {}: {} I/Os in {} requests\n",
                                device_title(trace, pairing.front_source, pairing.front_device),
                                device_title(trace, pairing.back_source, pairing.back_device),
                                staged.chains.size(), staged.front_requests);
  if (!staged.chains.empty()) {
    base::TextTable table({"stage", "mean", "p50", "p99", "max", "share"});
    const double whole = pair.q2c.mean();
    for (std::size_t i = 0; i < kStages; ++i) {
      table.add(stage_row(std::string(kStageNames[i]), pair.stages[i], whole,
                          bounded(staged.bound_ns, i)));
    }
    table.add(stage_row("Q2C", pair.q2c, whole, ""));
    out += table.text();
  }
  out += fmt::format(
      "residual {} ns; unmatched {}, ambiguous {}; back in time by more than the clocks' bound: "
      "{}\n",
      staged.residual_ns, staged.unmatched, staged.ambiguous, staged.violations);
  return out + '\n';
}

std::string devices_text(const Trace& trace, const Report& report) {
  base::TextTable table({"device", "Q", "D", "C", "merged", "split", "requests", "I/Os each",
                         "read", "written", "Q2D", "D2C", "Q2C", "unknown", "strange", "open"});
  for (const DeviceReport& device : report.devices) {
    const DeviceRequests& found = device.found;
    const double each = device.requests == 0 ? 0
                                             : static_cast<double>(device.request_bios) /
                                                   static_cast<double>(device.requests);
    table.add({device_title(trace, found.source, found.device), std::to_string(found.queued),
               std::to_string(found.issued), std::to_string(found.completed),
               std::to_string(found.back_merges + found.front_merges), std::to_string(found.splits),
               std::to_string(device.requests), fmt::format("{:.2f}", each),
               base::format_bytes(device.read_bytes), base::format_bytes(device.written_bytes),
               ns_text(device.q2d.mean()), ns_text(device.d2c.mean()), ns_text(device.q2c.mean()),
               std::to_string(found.unknown), std::to_string(found.strange),
               std::to_string(found.open_bios + found.open_requests)});
  }
  return table.text() + '\n';
}

std::string processes_text(const Trace& trace, const Report& report) {
  base::TextTable table({"process", "device", "I/Os", "bytes", "Q2C mean", "p99"});
  table.align_left(1);
  for (const DeviceReport& device : report.devices) {
    for (const auto& [pid, process] : device.processes) {
      table.add({process.title, device_title(trace, device.found.source, device.found.device),
                 std::to_string(process.bios), base::format_bytes(process.bytes),
                 ns_text(process.q2c.mean()),
                 format_ns(static_cast<std::int64_t>(process.q2c.ns.quantile(0.99)))});
    }
  }
  return table.text() + '\n';
}

std::string losses_text(const Trace& trace) {
  std::map<abi::TraceLossCause, std::uint64_t> causes;
  for (const Loss& loss : trace.losses) {
    causes[loss.cause] = with_lost(causes[loss.cause], loss.records);
  }
  std::string why;
  for (const auto& [cause, records] : causes) {
    why += fmt::format("{}{} {}", why.empty() ? ": " : ", ", records, explain(cause));
  }
  return fmt::format("{} events, {} lost{}{}\n", trace.events.size(), trace.lost(), why,
                     trace.cut ? "; the recording was cut off" : "");
}

void add_figures(JsonWriter& json, std::string_view key, const StageFigures& figures) {
  json.key(key)
      .begin_object()
      .member("count", figures.ns.count())
      .member("mean_ns", figures.mean())
      .member("p50_ns", figures.ns.quantile(0.5))
      .member("p90_ns", figures.ns.quantile(0.9))
      .member("p99_ns", figures.ns.quantile(0.99))
      .member("max_ns", figures.ns.max())
      .member("below_zero", figures.below_zero)
      .end_object();
}

void add_pair(JsonWriter& json, const Trace& trace, const PairReport& pair) {
  const Staged& staged = pair.staged;
  const Pairing& pairing = staged.pairing;
  json.begin_object()
      .member("front", device_title(trace, pairing.front_source, pairing.front_device))
      .member("back", device_title(trace, pairing.back_source, pairing.back_device))
      .member("ios", staged.chains.size())
      .member("requests", staged.front_requests)
      .member("bound_ns", staged.bound_ns)
      .member("residual_ns", staged.residual_ns)
      .member("unmatched", staged.unmatched)
      .member("ambiguous", staged.ambiguous)
      .member("violations", staged.violations);
  json.key("stages").begin_object();
  for (std::size_t i = 0; i < kStages; ++i) add_figures(json, kStageNames[i], pair.stages[i]);
  add_figures(json, "Q2C", pair.q2c);
  json.end_object().end_object();
}

void add_device(JsonWriter& json, const Trace& trace, const DeviceReport& device) {
  const DeviceRequests& found = device.found;
  json.begin_object()
      .member("device", device_title(trace, found.source, found.device))
      .member("queued", found.queued)
      .member("issued", found.issued)
      .member("completed", found.completed)
      .member("back_merges", found.back_merges)
      .member("front_merges", found.front_merges)
      .member("merged_bytes", found.merged_sectors * kSectorBytes)
      .member("splits", found.splits)
      .member("requeues", found.requeues)
      .member("requests", device.requests)
      .member("ios", device.request_bios)
      .member("read_bytes", device.read_bytes)
      .member("written_bytes", device.written_bytes)
      .member("unknown", found.unknown)
      .member("strange", found.strange)
      .member("open_ios", found.open_bios)
      .member("open_requests", found.open_requests);
  add_figures(json, "Q2D", device.q2d);
  add_figures(json, "D2C", device.d2c);
  add_figures(json, "Q2C", device.q2c);
  json.key("processes").begin_array();
  for (const auto& [pid, process] : device.processes) {
    json.begin_object()
        .member("pid", pid)
        .member("name", process.title)
        .member("ios", process.bios)
        .member("bytes", process.bytes);
    add_figures(json, "Q2C", process.q2c);
    json.end_object();
  }
  json.end_array().end_object();
}

}  // namespace

void StageFigures::add(std::int64_t value) noexcept {
  sum_ns += value;
  if (value < 0) ++below_zero;
  ns.record(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0)));
}

double StageFigures::mean() const noexcept {
  return ns.count() == 0 ? 0 : static_cast<double>(sum_ns) / static_cast<double>(ns.count());
}

Report make_report(const Trace& trace, std::vector<Pairing> pairings) {
  Report report;
  std::vector<DeviceRequests> devices = find_requests(trace);
  if (pairings.empty()) pairings = natural_pairings(trace, devices);
  for (const Pairing& pairing : pairings) {
    const DeviceRequests* front = find(devices, pairing.front_source, pairing.front_device);
    const DeviceRequests* back = find(devices, pairing.back_source, pairing.back_device);
    if (front == nullptr || back == nullptr) continue;
    report.pairs.push_back(report_pair(stage(trace, *front, *back, pairing)));
  }
  const ProcessNames names = process_names(trace);
  for (DeviceRequests& device : devices) report.devices.push_back(report_device(device, names));
  return report;
}

base::Result<Pairing> parse_pairing(const Trace& trace, std::string_view text) {
  std::set<std::pair<std::uint16_t, std::uint32_t>> devices;
  for (const Event& event : trace.events) devices.emplace(event.source, event.block.device);
  std::string known;
  Pairing pairing;
  bool front = false;
  bool back = false;
  const std::size_t equals = text.find('=');
  const std::size_t plus = text.rfind('+');
  const bool offset = plus != std::string_view::npos && equals < plus;
  const std::string_view behind =
      equals == std::string_view::npos
          ? ""
          : text.substr(equals + 1, offset ? plus - equals - 1 : text.npos);
  for (const auto& [source, device] : devices) {
    const std::string title = device_title(trace, source, device);
    known += (known.empty() ? "" : ", ") + base::quoted(title);
    if (equals != std::string_view::npos && text.substr(0, equals) == title) {
      pairing.front_source = source;
      pairing.front_device = device;
      front = true;
    }
    if (behind == title) {
      pairing.back_source = source;
      pairing.back_device = device;
      back = true;
    }
  }
  if (offset) {
    FL_TRY(const std::uint64_t sectors,
           base::parse_unsigned(text.substr(plus + 1), 0, std::uint64_t{1} << 54));
    pairing.sector_offset = static_cast<std::int64_t>(sectors);
  }
  if (front && back) return pairing;
  return base::fail(base::Error(base::ErrorKind::kInvalid,
                                "no pair of devices of this trace: " + base::quoted(text))
                        .advise("FRONT=BACK, each of " + (known.empty() ? "none" : known)));
}

namespace {

// Guests' devices that were used, and behind which there is none, though the host was traced.
std::string alone_text(const Trace& trace, const Report& report) {
  const auto kind_of = [&](std::uint16_t source) { return trace.sources[source].kind; };
  if (trace.events.empty()) return "nothing was read or written meanwhile\n";
  if (std::ranges::none_of(trace.sources,
                           [](const Source& source) { return source.kind == SourceKind::kHost; })) {
    return {};
  }
  std::string out;
  for (const DeviceReport& device : report.devices) {
    const DeviceRequests& found = device.found;
    const auto is_its = [&](const PairReport& pair) {
      const Pairing& pairing = pair.staged.pairing;
      return pairing.front_source == found.source && pairing.front_device == found.device;
    };
    if (kind_of(found.source) != SourceKind::kGuest || std::ranges::any_of(report.pairs, is_its)) {
      continue;
    }
    out += fmt::format(
        "no device of the host that was traced stands behind {}: an image in a file system has "
        "other sectors; give the guest a device, or say --pair\n",
        device_title(trace, found.source, found.device));
  }
  return out;
}

}  // namespace

std::string report_text(const Trace& trace, const Report& report) {
  std::string out;
  for (const PairReport& pair : report.pairs) out += pair_text(trace, pair);
  out += devices_text(trace, report);
  out += processes_text(trace, report);
  for (const Source& source : trace.sources) {
    if (!source.clock_known) {
      out += "the clock of " + base::printable(source.name) +
             " was never measured: its times stand for themselves\n";
    }
    if (!source.steps.empty()) {
      out += fmt::format("the clock of {} stepped {} times; nothing is paired across\n",
                         base::printable(source.name), source.steps.size());
    }
  }
  out += alone_text(trace, report);
  return out + losses_text(trace);
}

std::string report_json(const Trace& trace, const Report& report) {
  std::string line;
  JsonWriter json(line);
  json.begin_object()
      .member("events", trace.events.size())
      .member("lost", trace.lost())
      .member("cut", trace.cut);
  json.key("losses").begin_array();
  for (const Loss& loss : trace.losses) {
    json.begin_object()
        .member("source", source_name(trace, loss.source))
        .member("cause", cause_text(loss.cause))
        .member("records", loss.records)
        .member("first_ns", loss.first_ns)
        .member("last_ns", loss.last_ns)
        .end_object();
  }
  json.end_array().key("sources").begin_array();
  for (const Source& source : trace.sources) {
    json.begin_object()
        .member("name", source.name)
        .member("bound_ns", source.bound_ns)
        .member("clock_known", source.clock_known)
        .member("clock_steps", source.steps.size())
        .end_object();
  }
  json.end_array().key("pairs").begin_array();
  for (const PairReport& pair : report.pairs) add_pair(json, trace, pair);
  json.end_array().key("devices").begin_array();
  for (const DeviceReport& device : report.devices) add_device(json, trace, device);
  json.end_array().end_object();
  return line;
}

std::string device_title(const Trace& trace, std::uint16_t source, std::uint32_t device) {
  return device_name(trace, source, device) + " of " + source_name(trace, source);
}

const char* explain(abi::TraceLossCause cause) noexcept {
  switch (cause) {
    case abi::TraceLossCause::kFull: return "no room in the relay";
    case abi::TraceLossCause::kBig: return "too long for the relay";
    case abi::TraceLossCause::kState: return "nobody connected";
    case abi::TraceLossCause::kNested: return "in a signal handler";
    case abi::TraceLossCause::kOverwritten: return "overwritten";
    case abi::TraceLossCause::kCorrupt: return "not readable";
    case abi::TraceLossCause::kKernel: return "no room in the kernel's buffer";
  }
  return "unknown";
}

}  // namespace fairlead::trace
