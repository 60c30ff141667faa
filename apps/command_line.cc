// SPDX-License-Identifier: Apache-2.0
#include "apps/command_line.h"

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/quote.h"

namespace fairlead::apps {
namespace {

constexpr std::size_t kHelpColumn = 34;

// What the handles point to; the header does not know these types.
CLI::Option* cli_option(void* option) { return static_cast<CLI::Option*>(option); }
CLI::App* cli_app(void* app) { return static_cast<CLI::App*>(app); }

Check check_of(const CLI::Validator& validator, InHelp in_help) {
  return {.why_not = [validator](const std::string& text) { return validator(text); },
          .in_help = in_help == InHelp::kYes ? validator.get_description() : ""};
}

// "; there are start, stop, status" for a program whose subcommand was not understood.
std::string subcommands_of(const CLI::App& app) {
  std::string names;
  if (!app.get_subcommands().empty()) return names;
  for (const CLI::App* sub : app.get_subcommands({})) {
    names += (names.empty() ? "; there are " : ", ") + sub->get_name();
  }
  return names;
}

// The words that nothing took; an option stands before what may be its value.
std::string unexpected(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(true);
  const auto option = std::ranges::find_if(
      words, [](const std::string& word) { return word.size() > 1 && word.starts_with('-'); });
  if (option != words.end()) return "there is no option " + base::quoted(*option);
  std::string what = words.size() == 1 ? "not expected here:" : "none of these is expected here:";
  for (const std::string& word : words) what += " " + base::quoted(word);
  return what;
}

// What was wrong, on one line.
std::string explain(const CLI::ParseError& error, const CLI::App& app) {
  std::string what = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    what = unexpected(app) + subcommands_of(app);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
      app.get_require_subcommand_min() > 0 && app.get_subcommands().empty()) {
    const std::string names = subcommands_of(app);
    what = (app.remaining(true).empty() ? "which subcommand" : unexpected(app)) + names;
  }
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

}  // namespace

Check within(int least, int most, InHelp in_help) {
  return check_of(CLI::Range(least, most), in_help);
}

Check within(std::uint32_t least, std::uint32_t most, InHelp in_help) {
  return check_of(CLI::Range(least, most), in_help);
}

Check within(std::uint64_t least, std::uint64_t most, InHelp in_help) {
  return check_of(CLI::Range(least, most), in_help);
}

Check positive() { return check_of(CLI::PositiveNumber, InHelp::kYes); }

Check not_negative() { return check_of(CLI::NonNegativeNumber, InHelp::kYes); }

Check one_of(const std::vector<std::string>& words, InHelp in_help) {
  return check_of(CLI::IsMember(words), in_help);
}

Check not_empty() {
  return {.why_not = [](const std::string& text) {
    return text.empty() ? std::string("it is empty") : std::string();
  }};
}

Option Option::required() const { return Option(cli_option(option_)->required()); }

Option Option::check(const Check& check) const {
  return Option(cli_option(option_)->check(CLI::Validator(check.why_not, check.in_help)));
}

Option Option::one_each() const { return Option(cli_option(option_)->allow_extra_args(false)); }

Option Option::expected(int values) const { return Option(cli_option(option_)->expected(values)); }

Option Option::excludes(Option other) const {
  return Option(cli_option(option_)->excludes(cli_option(other.option_)));
}

Option Option::configurable(bool may_stand_in_config) const {
  return Option(cli_option(option_)->configurable(may_stand_in_config));
}

Option Option::type_name(const std::string& name) const {
  return Option(cli_option(option_)->type_name(name));
}

Option Option::option_text(const std::string& text) const {
  return Option(cli_option(option_)->option_text(text));
}

Option Option::default_str(const std::string& text) const {
  return Option(cli_option(option_)->default_str(text));
}

Option Option::capture_default_str() const {
  return Option(cli_option(option_)->capture_default_str());
}

Option Command::add_option(const std::string& name, std::string& to,
                           const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option(const std::string& name, std::uint32_t& to,
                           const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option(const std::string& name, std::uint64_t& to,
                           const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option(const std::string& name, double& to, const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option(const std::string& name, std::optional<std::string>& to,
                           const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option(const std::string& name, std::vector<std::string>& to,
                           const std::string& help) const {
  return Option(cli_app(app_)->add_option(name, to, help));
}

Option Command::add_option_function(const std::string& name, const Take& take,
                                    const std::string& help) const {
  return Option(cli_app(app_)->add_option_function<std::string>(name, take, help));
}

Option Command::add_flag(const std::string& name, bool& to, const std::string& help) const {
  return Option(cli_app(app_)->add_flag(name, to, help));
}

Option Command::add_flag_callback(const std::string& name, const std::function<void()>& call,
                                  const std::string& help) const {
  return Option(cli_app(app_)->add_flag_callback(name, call, help));
}

Option Command::get_option(const std::string& name) const {
  return Option(cli_app(app_)->get_option(name));
}

void Command::fallthrough() const { cli_app(app_)->fallthrough(); }

Command Command::add_subcommand(const std::string& name, const std::string& help) const {
  return Command(cli_app(app_)->add_subcommand(name, help));
}

std::vector<Command> Command::subcommands() const {
  std::vector<Command> all;
  for (CLI::App* sub : cli_app(app_)->get_subcommands({})) all.push_back(Command(sub));
  return all;
}

void Command::require_subcommand(std::size_t least, std::size_t most) const {
  cli_app(app_)->require_subcommand(least, most);
}

bool Command::parsed() const { return cli_app(app_)->parsed(); }

CommandLine::CommandLine(const std::string& purpose, const std::string& name)
    : CommandLine(std::make_shared<CLI::App>(purpose, name)) {}

std::string CommandLine::name() const { return cli_app(app_)->get_name(); }

void CommandLine::footer(const std::string& text) const { cli_app(app_)->footer(text); }

Option CommandLine::set_config(const std::string& name, const std::string& help) const {
  cli_app(app_)->allow_config_extras(CLI::config_extras_mode::error);
  return Option(cli_app(app_)->set_config(name, "", help));
}

std::string CommandLine::config_to_str() const { return cli_app(app_)->config_to_str(true, true); }

Parsed CommandLine::parse(int argc, char** argv, const std::string& version) const {
  CLI::App& app = *cli_app(app_);
  app.set_version_flag("--version", version);
  app.get_formatter()->column_width(kHelpColumn);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return {Parsed::Kind::kWrong, explain(error, app)};
    std::ostringstream text;
    app.exit(error, text, text);
    return {Parsed::Kind::kShow, text.str()};
  }
  return {};
}

std::optional<int> CommandLine::parse_or_tell(int argc, char** argv) const {
  CLI::App& app = *cli_app(app_);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return std::nullopt;
}

}  // namespace fairlead::apps
