// SPDX-License-Identifier: Apache-2.0
#include "sim/document_report.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text_table.h"

namespace fairlead::sim {
namespace {

constexpr const char* kBetweenBlocks = "\n\n";

double percent(double share) { return share * 100; }

// "2.96 %" without ever "-0.00 %".
std::string percent_text(double share) { return fmt::format("{:.1f} %", percent(share) + 0.0); }

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// The panels' places are fixed, so that all are alike and the legend lies above them.
std::string head(std::string_view name, std::string_view title, std::string_view size,
                 std::string_view layout) {
  return fmt::format(
      "set encoding utf8\n"
      "set terminal svg size {} background rgb 'white'\n"
      "set output '{}.svg'\n"
      "set datafile separator \"\\t\"\n"
      "set grid\n"
      "set multiplot layout {} title \"{}\" font ',16'\n",
      size, name, layout, title);
}

std::string balanced_text(const CpuOutcome& outcome) {
  if (!outcome.intervals_to_balance) return "never balanced";
  return plural(*outcome.intervals_to_balance, "interval") + " to balance";
}

// Thinner and thinner, so that lines that coincide are all seen.
std::string cpu_curves(const CpuCase& one, std::size_t block) {
  constexpr std::size_t kFirst = 7;  // column of pCPU 0
  std::string curves;
  for (std::uint32_t p = 0; p < one.pcpus; ++p) {
    curves +=
        fmt::format("'{0}.tsv' index {1} using 2:{2} with steps linewidth {3} title 'pCPU {4}', ",
                    one.name, block, kFirst + p, 2 * (one.pcpus - p), p);
  }
  return curves +
         fmt::format(
             "'{0}.tsv' index {1} using ($2 + 1):($6 > 0 ? 108 : NaN) with points pointtype 11 "
             "linecolor 'black' title 'pins', "
             "'{0}.tsv' index {1} using ($2 + 1):($6 > 1 ? 118 : NaN):6 with labels notitle\n",
             one.name, block);
}

// Alike in the panels and in the legend.
constexpr const char* kUsed = "with filledcurves y1=0 linecolor '#9ecae1'";
constexpr const char* kSize = "with lines linewidth 2 linecolor '#08519c'";
constexpr const char* kTarget = "with lines linewidth 1.5 dashtype 2 linecolor '#e6550d'";
constexpr const char* kKilled = "with points pointtype 2 pointsize 1.2 linewidth 3 linecolor 'red'";
constexpr const char* kAvailable = "with lines linewidth 2 linecolor '#31a354'";
constexpr const char* kReserve = "with lines dashtype 3 linewidth 2 linecolor 'black'";

std::string guest_curves(const MemoryCase& one, std::size_t block, std::uint32_t guest) {
  const std::size_t size = 5 + std::size_t{5} * guest;  // its first column
  const std::string from = fmt::format("'{}.tsv' index {} using 3:", one.name, block);
  return fmt::format("{0}{1} {2}, {0}{3} {4}, {0}{5} {6}, {0}(${7} > 0 ? ${3} : NaN) {8}\n", from,
                     size + 1, kUsed, size, kSize, size + 3, kTarget, size + 4, kKilled);
}

std::string host_curves(const MemoryCase& one, std::size_t block) {
  const double reserve =
      std::max(200.0, static_cast<double>(one.host_bytes) / manage::kMiB / 20);  // or 5 %
  return fmt::format("'{}.tsv' index {} using 3:4 {}, {:.0f} {}\n", one.name, block, kAvailable,
                     reserve, kReserve);
}

// A panel of its own above all others, as wide as the picture.
std::string memory_legend() {
  return fmt::format(
      "set lmargin at screen 0.02\nset rmargin at screen 0.98\n"
      "set bmargin at screen 0.935\nset tmargin at screen 0.96\n"
      "unset border\nunset tics\nunset title\nunset xlabel\nunset ylabel\nunset grid\n"
      "set xrange [0:1]\nset yrange [0:1]\nset key center center horizontal\n"
      "plot NaN {} title 'used', NaN {} title 'size', NaN {} title 'target', "
      "NaN {} title 'load killed', NaN {} title 'available on the host', "
      "NaN {} title \"the host's reserve\"\n",
      kUsed, kSize, kTarget, kKilled, kAvailable, kReserve);
}

std::string kills_text(const MemoryOutcome& outcome) {
  return fmt::format("{} killed below, {} at maximum", outcome.killed_below_maximum,
                     outcome.killed_at_maximum);
}

// Of all guests and policies, so that the panels can be compared.
double largest_mib(const std::vector<MemoryOutcome>& outcomes) {
  constexpr double kStep = 500;
  double most = 0;
  for (const MemoryOutcome& outcome : outcomes) {
    for (const MemoryInterval& interval : outcome.intervals) {
      for (const auto& guest : interval.guests) {
        most = std::max({most, guest.size_mib, guest.target_mib});
      }
    }
  }
  return (static_cast<int>(most / kStep) + 1) * kStep;
}

// Likewise of the host's available memory.
std::pair<double, double> host_range(const std::vector<MemoryOutcome>& outcomes) {
  constexpr double kMargin = 0.05;
  double least = 0;
  double most = 0;
  for (const MemoryOutcome& outcome : outcomes) {
    for (const MemoryInterval& interval : outcome.intervals) {
      least = std::min(least, interval.least_available_mib);
      most = std::max(most, interval.least_available_mib);
    }
  }
  return {least - (least < 0 ? kMargin * most : 0), most * (1 + kMargin)};
}

}  // namespace

std::string samples_tsv(const std::vector<CpuOutcome>& outcomes) {
  std::string text = "policy\tinterval\tmean\tdeviation\twaiting\tpins";
  for (std::size_t p = 0; p < outcomes[0].intervals[0].utilisation.size(); ++p) {
    text += fmt::format("\tpcpu{}_percent", p);
  }
  text += '\n';
  for (const CpuOutcome& outcome : outcomes) {
    if (&outcome != &outcomes.front()) text += kBetweenBlocks;
    for (std::size_t i = 0; i < outcome.intervals.size(); ++i) {
      const CpuInterval& seen = outcome.intervals[i];
      text += fmt::format("{}\t{}\t{:.4f}\t{:.4f}\t{:.4f}\t{}", outcome.policy, i, seen.mean,
                          seen.deviation, seen.waiting, seen.pins);
      for (const double used : seen.utilisation) text += fmt::format("\t{:.2f}", percent(used));
      text += '\n';
    }
  }
  return text;
}

std::string samples_tsv(const std::vector<MemoryOutcome>& outcomes) {
  std::string text = "policy\tinterval\tseconds\thost_available_mib";
  for (std::size_t g = 0; g < outcomes[0].intervals[0].guests.size(); ++g) {
    text += fmt::format(
        "\tg{0}_size_mib\tg{0}_used_mib\tg{0}_usable_mib\tg{0}_target_mib"
        "\tg{0}_killed",
        g);
  }
  text += '\n';
  for (const MemoryOutcome& outcome : outcomes) {
    if (&outcome != &outcomes.front()) text += kBetweenBlocks;
    for (std::size_t i = 0; i < outcome.intervals.size(); ++i) {
      const MemoryInterval& seen = outcome.intervals[i];
      text += fmt::format("{}\t{}\t{}\t{:.1f}", outcome.policy, i, (i + 1) * kCaseIntervalSeconds,
                          seen.least_available_mib);
      for (std::uint32_t g = 0; g < seen.guests.size(); ++g) {
        const MemoryGuestInterval& guest = seen.guests[g];
        text += fmt::format("\t{:.1f}\t{:.1f}\t{:.1f}\t{:.1f}\t{}", guest.size_mib, guest.used_mib,
                            guest.usable_mib, guest.target_mib,
                            std::ranges::count(outcome.killed[i], g));
      }
      text += '\n';
    }
  }
  return text;
}

std::string gnuplot_script(const CpuCase& one, const std::vector<CpuOutcome>& outcomes) {
  std::string script =
      head(one.name, fmt::format("{} (case {})", one.title, one.name), "900,840",
           fmt::format("{},1 margins 0.09,0.97,0.075,0.87 spacing 0,0.085", outcomes.size()));
  script += fmt::format(
      "set xrange [0:{0}]\nset yrange [0:130]\nset ytics 25\nset ylabel 'utilisation, %'\n"
      "set arrow from {1}, graph 0 to {1}, graph 1 nohead dashtype 2\n"
      "set arrow from {2}, graph 0 to {2}, graph 1 nohead dashtype 2\n",
      kIdlePart + kSteadyPart + kJitterPart, kIdlePart, kIdlePart + kSteadyPart);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const CpuOutcome& outcome = outcomes[i];
    script +=
        i == 0 ? "set key at screen 0.5, screen 0.945 center top horizontal\n" : "unset key\n";
    if (i + 1 == outcomes.size()) {
      script += fmt::format(
          "set xlabel 'interval of {} s (dashed: the loads begin; then they vary by ±{:.0f} %)'\n",
          kCaseIntervalSeconds, percent(kCaseJitter));
    }
    script += fmt::format("set title \"{}: {}, {}; {} while it varies\"\nplot ", outcome.policy,
                          plural(outcome.moves, "pin"), balanced_text(outcome),
                          plural(outcome.jitter_moves, "pin"));
    script += cpu_curves(one, i);
  }
  return script + "unset multiplot\n";
}

std::string gnuplot_script(const MemoryCase& one, const std::vector<MemoryOutcome>& outcomes) {
  std::string script = head(one.name, fmt::format("{} (case {})", one.title, one.name), "1200,1080",
                            fmt::format("{},{} columnsfirst margins 0.07,0.985,0.055,0.87 "
                                        "spacing 0.05,0.03",
                                        one.guests + 1, outcomes.size()));
  script += fmt::format("set xrange [0:{}]\nunset key\n", one.intervals * kCaseIntervalSeconds);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const MemoryOutcome& outcome = outcomes[i];
    script += fmt::format(
        "set title \"{}: {}\\nhost: at least {:.0f} MiB available\"\n"
        "set format x ''\nunset xlabel\nset yrange [0:{:.0f}]\n",
        outcome.policy, kills_text(outcome), outcome.least_available_mib, largest_mib(outcomes));
    for (std::uint32_t g = 0; g < one.guests; ++g) {
      script += i == 0 ? fmt::format("set ylabel 'guest {}, MiB'\n", g) : "unset ylabel\n";
      script += "plot " + guest_curves(one, i, g) + "unset title\n";
    }
    const auto [least, most] = host_range(outcomes);
    script += fmt::format("set yrange [{:.0f}:{:.0f}]\nset format x '%g'\nset xlabel 'seconds'\n",
                          least, most);
    if (i == 0) script += "set ylabel 'host, MiB'\n";
    script += "plot " + host_curves(one, i);
  }
  return script + memory_legend() + "unset multiplot\n";
}

std::string figures_text(const std::vector<CpuResult>& results) {
  base::TextTable table({"vCPU scheduler", "policy", "pins", "intervals", "deviation", "waiting",
                         fmt::format("pins in {} more", kJitterPart)});
  table.align_left(1);
  for (const CpuResult& result : results) {
    for (const CpuOutcome& outcome : result.outcomes) {
      table.add(
          {&outcome == &result.outcomes.front() ? std::string(result.one.name) : "",
           std::string(outcome.policy), std::to_string(outcome.moves),
           outcome.intervals_to_balance ? std::to_string(*outcome.intervals_to_balance) : "never",
           percent_text(outcome.deviation), fmt::format("{:.2f}", outcome.waiting),
           std::to_string(outcome.jitter_moves)});
    }
  }
  return table.text();
}

std::string figures_text(const std::vector<MemoryResult>& results) {
  base::TextTable table({"memory coordinator", "policy", "comfortable", "killed below max",
                         "killed at max", "host's least", "reversals"});
  table.align_left(1);
  for (const MemoryResult& result : results) {
    for (const MemoryOutcome& outcome : result.outcomes) {
      table.add({&outcome == &result.outcomes.front() ? std::string(result.one.name) : "",
                 std::string(outcome.policy), percent_text(outcome.comfortable),
                 std::to_string(outcome.killed_below_maximum),
                 std::to_string(outcome.killed_at_maximum),
                 fmt::format("{:.0f} MiB", outcome.least_available_mib),
                 std::to_string(outcome.reversals)});
    }
  }
  return table.text();
}

}  // namespace fairlead::sim
