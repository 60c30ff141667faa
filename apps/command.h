// SPDX-License-Identifier: Apache-2.0
//
// What every program of the house does alike: --version, exit codes, one line for an error.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace fairlead::apps {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Prints "PROGRAM: MESSAGE"; returns the exit code for main.
inline int fail(const std::string& program, const base::Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), error.message().c_str());
  return kFailed;
}

// Parses, then runs `body`.  Help and version end with 0, a wrong command line with 2 and one line.
inline int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", app.get_name() + " " FAIRLEAD_VERSION);
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "%s: %s (try --help)\n", app.get_name().c_str(), error.what());
    return kUsage;
  }
  return body();
}

// A CLI11 check from a parser of src/base: accepted if parse(text) gives a value.
template <typename Parse>
CLI::Validator accepts(Parse parse, const std::string& kind) {
  return CLI::Validator(
      [parse](const std::string& text) {
        auto value = parse(text);
        return value ? std::string() : value.error().message();
      },
      kind);
}

}  // namespace fairlead::apps
