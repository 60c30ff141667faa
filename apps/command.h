// SPDX-License-Identifier: Apache-2.0
//
// What every program of the house does alike: --version, exit codes, one line for an error, and no
// success if what was printed did not arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apps/command_line.h"
#include "base/error.h"

namespace fairlead::apps {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

inline constexpr const char* kDefaultService = "block";
inline constexpr const char* kUnits =
    "A DURATION is written as 20ms, 1.5s or 2min; a bare number counts seconds.\n"
    "A SIZE is written as 4096, 64K or 1.5G, in powers of 1024.";

// Prints "PROGRAM: MESSAGE"; returns the exit code for main.
int fail(const std::string& program, const base::Error& error);
int fail_usage(const std::string& program, const std::string& what);

// What a program that SIGINT or SIGTERM ended says of it, and its exit code, as a shell has it.
int fail_by_signal(const std::string& program, base::Error error, int signal_number);

// What is being done, for somebody who waits at a terminal.
void show_step(std::string_view step);

// The same advice wherever there is no service.
base::Error advise_start(base::Error error, const std::string& service);

// False if anything that was printed did not arrive; then stdout_errno() says why.
bool flush_stdout();
int stdout_errno();

// The exit code of a program that would end with `code`.
int ended(const std::string& program, int code);

// Parses, then runs `body`.  Help and version end with 0, a wrong command line with 2 and one line.
int run(const CommandLine& line, int argc, char** argv, const std::function<int()>& body);

// A check from a parser of the house: accepted if parse(text) gives a value.
template <typename Parse>
Check accepts(Parse parse) {
  return {.why_not = [parse](const std::string& text) {
    auto value = parse(text);
    return value ? std::string() : value.error().message();
  }};
}

void add_output_option(Command command, std::string& output);

// Options that show their default: a whole number, a number, a DURATION.
Option add_count(Command command, const std::string& name, std::uint32_t& to, std::uint32_t least,
                 std::uint32_t most, const std::string& help);
Option add_count(Command command, const std::string& name, std::uint64_t& to, std::uint64_t least,
                 std::uint64_t most, const std::string& help);
Option add_number(Command command, const std::string& name, double& to, double least, double most,
                  const std::string& help);
Option add_duration(Command command, const std::string& name, std::int64_t& to_ns,
                    const std::string& help, const std::string& standard);

}  // namespace fairlead::apps
