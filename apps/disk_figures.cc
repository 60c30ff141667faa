// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_figures.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text_table.h"

namespace fairlead::apps {
namespace {

// Where the head goes, request by request: one line each.
std::string drawing(const sim::ExampleTable& table) {
  constexpr std::uint64_t kWidth = 100;
  constexpr std::uint64_t kStep = 2;  // distance of a column
  std::string out;
  std::uint64_t head = sim::kExampleHead;
  for (const sim::ExampleRow& row : table.rows) {
    std::string line(kWidth / kStep + 1, ' ');
    const auto [low, high] = std::minmax({head / kStep, row.place / kStep});
    for (std::uint64_t i = low; i <= high; ++i) line[i] = '-';
    line[row.place / kStep] = row.place > head ? '>' : '<';
    line[head / kStep] = '|';
    line.erase(line.find_last_not_of(' ') + 1);
    out += fmt::format("  {:>3} {}\n", row.response(), line);
    head = row.place;
  }
  return out;
}

}  // namespace

std::string example_text(const std::vector<sim::ExampleTable>& tables) {
  std::string text = fmt::format("requests {}; the head at {}\n",
                                 fmt::join(sim::kExamplePlaces, ", "), sim::kExampleHead);
  for (const sim::ExampleTable& table : tables) {
    base::TextTable out({table.name, "service", "wait", "response"});
    for (const sim::ExampleRow& row : table.rows) {
      out.add({fmt::format("{}", row.place), fmt::format("{}", row.service),
               fmt::format("{}", row.wait), fmt::format("{}", row.response())});
    }
    out.add({"mean", fmt::format("{:.2f}", table.mean_service),
             fmt::format("{:.2f}", table.mean_wait), fmt::format("{:.2f}", table.mean_response)});
    text += "\n" + out.text() + "\n" + drawing(table);
  }
  return text;
}

void add_example(base::JsonWriter& json, const std::vector<sim::ExampleTable>& tables) {
  json.member("head", sim::kExampleHead).key("tables").begin_array();
  for (const sim::ExampleTable& table : tables) {
    json.begin_object().member("name", table.name).member("scheduler", table.scheduler);
    json.member("mean_service", table.mean_service).member("mean_wait", table.mean_wait);
    json.member("mean_response", table.mean_response).key("rows").begin_array();
    for (const sim::ExampleRow& row : table.rows) {
      json.begin_object().member("request", row.place).member("service", row.service);
      json.member("wait", row.wait).member("response", row.response()).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
}

base::Histogram all_responses(const std::vector<sim::DiskRun>& runs) {
  base::Histogram all;
  for (const sim::DiskRun& run : runs) all.merge(run.response_ns);
  return all;
}

std::string shares_in_time(const base::Histogram& responses) {
  std::string lines;
  for (int share = 0; share <= 1000; share += 5) {
    lines += fmt::format("{} {}\n", ms(responses.quantile(share / 1000.0)), share / 10.0);
  }
  return lines;
}

}  // namespace fairlead::apps
