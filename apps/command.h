// SPDX-License-Identifier: Apache-2.0
//
// What every program of the house does alike: --version, exit codes, one line for an error, and no
// success if what was printed did not arrive.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/quote.h"
#include "base/result.h"
#include "base/standard_streams.h"

namespace fairlead::apps {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

inline constexpr const char* kDefaultService = "block";
inline constexpr const char* kUnits =
    "A DURATION is written as 20ms, 1.5s or 2min; a bare number counts seconds.\n"
    "A SIZE is written as 4096, 64K or 1.5G, in powers of 1024.";

// Prints "PROGRAM: MESSAGE"; returns the exit code for main.
inline int fail(const std::string& program, const base::Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), error.message().c_str());
  return kFailed;
}

inline int fail_usage(const std::string& program, const std::string& what) {
  std::fprintf(stderr, "%s: %s (try --help)\n", program.c_str(), what.c_str());
  return kUsage;
}

// The same advice wherever there is no service.
inline base::Error advise_start(base::Error error, const std::string& service) {
  if (error.kind() != base::ErrorKind::kNotFound) return error;
  return std::move(error).advise("start one: fairlead service start" +
                                 (service == kDefaultService ? "" : " --name " + service));
}

inline int stdout_errno = 0;  // of the first write that failed

// False if anything that was printed did not arrive.
inline bool flush_stdout() {
  if (std::fflush(stdout) != 0 && stdout_errno == 0) stdout_errno = errno;
  return stdout_errno == 0 && std::ferror(stdout) == 0;
}

// The exit code of a program that would end with `code`.
inline int ended(const std::string& program, int code) {
  if (flush_stdout()) return code;
  const int number = stdout_errno == 0 ? EIO : stdout_errno;
  const int failed = fail(program, base::Error::from_errno(number, "write standard output"));
  return code == kDone ? failed : code;
}

// "; there are start, stop, status" for a program whose subcommand was not understood.
inline std::string subcommands_of(const CLI::App& app) {
  std::string names;
  if (!app.get_subcommands().empty()) return names;
  for (const CLI::App* sub : app.get_subcommands({})) {
    names += (names.empty() ? "; there are " : ", ") + sub->get_name();
  }
  return names;
}

// What was wrong, on one line.
inline std::string explain(const CLI::ParseError& error, const CLI::App& app) {
  std::string what = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) what += subcommands_of(app);
  // CLI11 speaks of INI, and marks the opening of a section with "++".
  const std::string unknown = "INI was not able to parse ";
  if (what.starts_with(unknown)) {
    what.erase(0, unknown.size());
    if (what.ends_with(".++")) what.resize(what.size() - 3);
    what = "--config: " + base::quoted(what) + " is no option; --print-config shows them all";
  }
  std::replace(what.begin(), what.end(), '\n', ' ');
  return what;
}

// Parses, then runs `body`.  Help and version end with 0, a wrong command line with 2 and one line.
inline int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  base::hold_standard_streams();
  app.set_version_flag("--version", app.get_name() + " " FAIRLEAD_VERSION);
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      std::ostringstream text;
      app.exit(error, text, text);
      std::fputs(text.str().c_str(), stdout);
      return ended(app.get_name(), kDone);
    }
    return fail_usage(app.get_name(), explain(error, app));
  }
  return ended(app.get_name(), body());
}

// A CLI11 check from a parser of the house: accepted if parse(text) gives a value.
template <typename Parse>
CLI::Validator accepts(Parse parse) {
  return CLI::Validator(
      [parse](const std::string& text) {
        auto value = parse(text);
        return value ? std::string() : value.error().message();
      },
      "");
}

// For a file's name: an empty one is no way to leave the option out.
inline CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& text) {
        return text.empty() ? std::string("it is empty") : std::string();
      },
      "");
}

// A number from `least` to `most`, and one of these words.  The help shows them as the option's
// type_name().
template <typename Number>
CLI::Validator within(Number least, Number most) {
  return CLI::Range(least, most).description("");
}
inline CLI::Validator one_of(const std::vector<std::string>& words) {
  return CLI::IsMember(words).description("");
}

inline void add_output_option(CLI::App& app, std::string& output) {
  app.add_option("-o,--output", output, "form of the result")
      ->check(one_of({"text", "json"}))
      ->type_name("text|json")
      ->capture_default_str();
}

}  // namespace fairlead::apps
