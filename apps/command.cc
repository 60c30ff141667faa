// SPDX-License-Identifier: Apache-2.0
#include "apps/command.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/standard_streams.h"
#include "base/terminal.h"
#include "base/units.h"

namespace fairlead::apps {
namespace {

int first_errno = 0;  // of the first write to standard output that failed

}  // namespace

int fail(const std::string& program, const base::Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), error.message().c_str());
  return kFailed;
}

int fail_usage(const std::string& program, const std::string& what) {
  std::fprintf(stderr, "%s: %s (try --help)\n", program.c_str(), what.c_str());
  return kUsage;
}

int fail_by_signal(const std::string& program, base::Error error, int signal_number) {
  fail(program, std::move(error).at(signal_number == SIGINT ? "SIGINT" : "SIGTERM"));
  return 128 + signal_number;
}

void show_step(std::string_view step) {
  if (base::is_terminal(2)) std::fprintf(stderr, "%s\n", std::string(step).c_str());
}

base::Error advise_start(base::Error error, const std::string& service) {
  if (error.kind() != base::ErrorKind::kNotFound) return error;
  return std::move(error).advise("start one: fairlead service start" +
                                 (service == kDefaultService ? "" : " --name " + service));
}

bool flush_stdout() {
  if (std::fflush(stdout) != 0 && first_errno == 0) first_errno = errno;
  return first_errno == 0 && std::ferror(stdout) == 0;
}

int stdout_errno() { return first_errno == 0 ? EIO : first_errno; }

int ended(const std::string& program, int code) {
  if (flush_stdout()) return code;
  const int failed =
      fail(program, base::Error::from_errno(stdout_errno(), "write standard output"));
  return code == kDone ? failed : code;
}

namespace {

// A file of somebody else may ask for more memory than there is.
int run_in_memory(const std::string& program, const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(program, base::Error(base::ErrorKind::kLimit, "there is not enough memory for it"));
  }
}

}  // namespace

int run(const CommandLine& line, int argc, char** argv, const std::function<int()>& body) {
  base::hold_standard_streams();
  ::signal(SIGXFSZ, SIG_IGN);  // a file over its limit is an error of write(), with a line
  const std::string program = line.name();
  const Parsed parsed = line.parse(argc, argv, program + " " FAIRLEAD_VERSION);
  if (parsed.kind == Parsed::Kind::kWrong) return fail_usage(program, parsed.text);
  if (parsed.kind == Parsed::Kind::kRun) return ended(program, run_in_memory(program, body));
  std::fputs(parsed.text.c_str(), stdout);
  return ended(program, kDone);
}

void add_output_option(Command command, std::string& output) {
  command.add_option("-o,--output", output, "form of the result")
      .check(one_of({"text", "json"}))
      .type_name("text|json")
      .capture_default_str();
}

Option add_count(Command command, const std::string& name, std::uint32_t& to, std::uint32_t least,
                 std::uint32_t most, const std::string& help) {
  return command.add_option(name, to, help)
      .check(within(least, most))
      .type_name("N")
      .capture_default_str();
}

Option add_count(Command command, const std::string& name, std::uint64_t& to, std::uint64_t least,
                 std::uint64_t most, const std::string& help) {
  return command.add_option(name, to, help)
      .check(within(least, most))
      .type_name("N")
      .capture_default_str();
}

Option add_number(Command command, const std::string& name, double& to, double least, double most,
                  const std::string& help) {
  const auto parse = [=](const std::string& text) { return base::parse_real(text, least, most); };
  return command.add_option(name, to, help)
      .check(accepts(parse))
      .type_name("X")
      .capture_default_str();
}

Option add_duration(Command command, const std::string& name, std::int64_t& to_ns,
                    const std::string& help, const std::string& standard) {
  const auto parse = [](const std::string& text) { return base::parse_duration_ns(text); };
  return command
      .add_option_function(
          name, [&to_ns, parse](const std::string& text) { to_ns = *parse(text); }, help)
      .check(accepts(parse))
      .type_name("DURATION")
      .default_str(standard);
}

}  // namespace fairlead::apps
