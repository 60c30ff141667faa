// SPDX-License-Identifier: Apache-2.0
//
// fairlead reproduce: what a course document found, found again.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/reproduce.h"
#include "base/file.h"
#include "base/quote.h"
#include "base/standard_streams.h"
#include "base/units.h"

namespace {

using namespace fairlead;
using apps::kReproduce;
using apps::ReproduceOptions;

struct Given {
  bool seed = false;
  bool rounds = false;
  bool folder = false;
};

struct Document {
  std::string_view name;
  int (*reproduce)(const ReproduceOptions& options);
  bool simulated;  // takes a seed
  bool several;    // takes rounds
};

constexpr Document kDocuments[] = {
    {.name = "001", .reproduce = apps::reproduce_managers, .simulated = true, .several = false},
    {.name = "003", .reproduce = apps::reproduce_relay, .simulated = false, .several = true},
#ifdef FL_HAVE_DRIVES
    {.name = "004-disk", .reproduce = apps::reproduce_disk, .simulated = true, .several = true},
#endif
};

std::string names(bool (*of)(const Document& document)) {
  std::string all;
  for (const Document& one : kDocuments) {
    if (of(one)) all.append(all.empty() ? "" : " ").append(one.name);
  }
  return all;
}

int reproduce(ReproduceOptions options, const Given& given) {
  const auto* const document = std::ranges::find(kDocuments, options.document, &Document::name);
  if (document == std::end(kDocuments)) {
    return apps::fail_usage(
        kReproduce, fmt::format("no document {} to reproduce; there are {}",
                                base::quoted(options.document), names([](auto&) { return true; })));
  }
  if (given.folder && options.folder.empty()) {
    return apps::fail_usage(kReproduce, "--out: no folder named");
  }
  if (given.rounds && !document->several) {
    return apps::fail_usage(kReproduce,
                            "--rounds: only for " + names([](auto& one) { return one.several; }));
  }
  if (given.seed && !document->simulated) {
    return apps::fail_usage(kReproduce, "--seed: only for " + names([](auto& one) {
                                          return one.simulated;
                                        }) + ", which are simulated");
  }
  if (options.folder.empty()) options.folder = "reproduce-" + options.document;
  return document->reproduce(options);
}

}  // namespace

namespace fairlead::apps {

void say_not_drawn(const char* what) {
  std::fprintf(stderr, "%s: gnuplot is missing: no plots, %s are there\n", kReproduce, what);
}

base::Status make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(error.value(), "make the folder " + base::quoted(folder));
  const std::string trial = folder + "/trial";
  FL_TRY_STATUS(base::write_file_atomic(trial, "room?\n"));
  std::filesystem::remove(trial, error);
  return {};
}

}  // namespace fairlead::apps

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  apps::CommandLine app("what a course document found, found again and drawn", kReproduce);
  ReproduceOptions options;
  Given given;
  app.add_option("document", options.document,
                 "001: the managers' cases, simulated; 003: the relay and a guest's I/O, measured; "
                 "004-disk: the disk study, simulated")
      .required()
      .option_text("DOCUMENT");
  app.add_option_function(
         "--out",
         [&](const std::string& text) {
           options.folder = text;
           given.folder = true;
         },
         "folder for figures and plots, made if it is missing [reproduce-DOCUMENT]")
      .type_name("DIR");
  app.add_option_function(
         "--seed",
         [&](const std::string& text) {
           options.seed = *base::parse_unsigned(text);
           given.seed = true;
         },
         "of the simulated worlds' chance [1]")
      .check(apps::accepts([](const std::string& text) { return base::parse_unsigned(text); }))
      .option_text("N");
  app.add_option_function(
         "--rounds",
         [&](const std::string& text) {
           options.rounds = static_cast<std::uint32_t>(*base::parse_unsigned(text));
           given.rounds = true;
         },
         "of measurements, of which medians are shown, or of simulated runs [5]")
      .check(apps::accepts(
          [](const std::string& text) { return base::parse_unsigned(text, 1, 1000); }))
      .option_text("N");
  app.add_option("--case", options.only, "only this one [all]").type_name("NAME");
  apps::add_output_option(app, options.output);
  return apps::run(app, argc, argv, [&] { return reproduce(options, given); });
}
