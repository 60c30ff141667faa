// SPDX-License-Identifier: Apache-2.0
#include "apps/trace_plot.h"

#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/gnuplot.h"
#include "base/file.h"
#include "base/quote.h"

namespace fairlead::apps {
namespace {

constexpr double kQuantiles[] = {0.01, 0.05, 0.1, 0.2, 0.3,  0.4,  0.5,
                                 0.6,  0.7,  0.8, 0.9, 0.95, 0.99, 0.999};

double us(double ns) { return ns / 1000; }

// A title in gnuplot's double quotes, between which it runs what stands in backquotes: names may
// come from a guest.
std::string title(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == '`') continue;
    out += c == '_' ? std::string("\\\\_") : std::string(1, c);
  }
  return out;
}

std::string pair_title(const trace::Trace& trace, const trace::PairReport& pair) {
  const trace::Pairing& pairing = pair.staged.pairing;
  return title(trace::device_title(trace, pairing.front_source, pairing.front_device) + " on " +
               trace::device_title(trace, pairing.back_source, pairing.back_device));
}

// One row a pair with the means; then one block a pair with the quantiles.
std::string stages_data(const trace::Trace& trace, const trace::Report& report) {
  std::string out = "# pair";
  for (const auto name : trace::kStageNames) out += fmt::format("\t{}_us", name);
  out += '\n';
  for (const auto& pair : report.pairs) {
    out += fmt::format("\"{}\"", pair_title(trace, pair));
    for (const auto& stage : pair.stages) out += fmt::format("\t{:.3f}", us(stage.mean()));
    out += '\n';
  }
  for (const auto& pair : report.pairs) {
    out += "\n\n";
    for (const double q : kQuantiles) {
      out += fmt::format("{}", q);
      for (const auto& stage : pair.stages) {
        out += fmt::format("\t{:.3f}", us(static_cast<double>(stage.ns.quantile(q))));
      }
      out += '\n';
    }
  }
  return out;
}

std::string stages_script(const trace::Trace& trace, const trace::Report& report) {
  std::string out = fmt::format(
      "set terminal svg size 900,{} dynamic\nset output 'stages.svg'\n"
      "set multiplot layout {},1\n"
      "set style data histograms\nset style histogram rowstacked\nset style fill solid 0.8\n"
      "set boxwidth 0.5\nset ylabel 'mean, microseconds'\nset yrange [0:*]\n"
      "set key outside\nplot ",
      300 * (report.pairs.size() + 1), report.pairs.size() + 1);
  for (std::size_t i = 0; i < trace::kStages; ++i) {
    out += fmt::format("{}'stages.tsv' index 0 using {}:xtic(1) title '{}'", i == 0 ? "" : ", ",
                       i + 2, trace::kStageNames[i]);
  }
  out +=
      "\nset ylabel 'microseconds'\nset xlabel 'share of I/Os'\nset logscale y\n"
      "set yrange [*:*]\nset xrange [0:1]\n";
  for (std::size_t pair = 0; pair < report.pairs.size(); ++pair) {
    out += fmt::format("set title \"{}\"\nplot ", pair_title(trace, report.pairs[pair]));
    for (std::size_t i = 0; i < trace::kStages; ++i) {
      out += fmt::format("{}'stages.tsv' index {} using 1:{} with linespoints title '{}'",
                         i == 0 ? "" : ", ", pair + 1, i + 2, trace::kStageNames[i]);
    }
    out += '\n';
  }
  return out + "unset multiplot\n";
}

struct Seeks {
  std::string data;
  std::vector<std::string> titles;
};

// One block a device: seconds and the sector in MiB, of what was issued; where nothing is issued,
// of what was queued.
Seeks seeks_of(const trace::Trace& trace) {
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> blocks;
  for (const trace::Event& event : trace.events) {
    if (event.act() != abi::BlockAct::kIssue) continue;
    blocks[{event.source, event.block.device}] +=
        fmt::format("{:.6f}\t{:.3f}\t{}\n", static_cast<double>(event.time_ns) * 1e-9,
                    static_cast<double>(event.block.sector) / 2048, event.writes() ? 1 : 0);
  }
  Seeks seeks;
  for (auto& [key, block] : blocks) {
    seeks.titles.push_back(title(trace::device_title(trace, key.first, key.second)));
    seeks.data += "# seconds\tMiB\twrites\n" + block + "\n\n";
  }
  return seeks;
}

std::string seeks_script(const Seeks& seeks) {
  std::string out = fmt::format(
      "set terminal svg size 900,{} dynamic\nset output 'seeks.svg'\nset multiplot layout {},1\n"
      "set xlabel 'seconds'\nset ylabel 'MiB'\nset key outside\n",
      300 * seeks.titles.size(), seeks.titles.size());
  for (std::size_t i = 0; i < seeks.titles.size(); ++i) {
    out += fmt::format(
        "set title \"{}\"\nplot 'seeks.tsv' index {} using 1:($3 == 0 ? $2 : 1/0) with points "
        "pointtype 7 pointsize 0.25 title 'reads', '' index {} using 1:($3 == 1 ? $2 : 1/0) with "
        "points pointtype 7 pointsize 0.25 title 'writes'\n",
        seeks.titles[i], i, i);
  }
  return out + "unset multiplot\n";
}

base::Result<bool> write_and_draw(const std::filesystem::path& folder, const std::string& name,
                                  const std::string& data, const std::string& script) {
  FL_TRY_STATUS(base::write_file_atomic(folder / (name + ".tsv"), data));
  FL_TRY_STATUS(base::write_file_atomic(folder / (name + ".gnuplot"), script));
  return draw(folder, name + ".gnuplot");
}

}  // namespace

base::Result<bool> plot_trace(const std::filesystem::path& folder, const trace::Trace& trace,
                              const trace::Report& report) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return base::fail_errno(error.value(), "make the folder " + base::quoted(folder.string()));
  }
  bool drawn = true;
  if (!report.pairs.empty()) {
    FL_TRY(const bool done, write_and_draw(folder, "stages", stages_data(trace, report),
                                           stages_script(trace, report)));
    drawn &= done;
  }
  if (const Seeks seeks = seeks_of(trace); !seeks.titles.empty()) {
    FL_TRY(const bool done, write_and_draw(folder, "seeks", seeks.data, seeks_script(seeks)));
    drawn &= done;
  }
  return drawn;
}

}  // namespace fairlead::apps
