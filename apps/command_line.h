// SPDX-License-Identifier: Apache-2.0
//
// A program's command line: options, flags and subcommands bound to the program's variables.
//
// Behind it stands CLI11, a header that takes ten seconds and more to compile: it is included in
// command_line.cc and nowhere else.  Names and meanings are CLI11's; what no program uses is left
// out.
//
// Ownership: a CommandLine and its copies own everything; Command and Option are handles, good for
// as long as one of them lives.  Variables that an option is bound to outlive the parsing.
// Thread-safety: none.  Errors: a name that is given twice, or to get_option() and to nothing else,
// is an exception: it is the program that is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::apps {

// What a value has to be.
struct Check {
  std::function<std::string(const std::string&)> why_not;  // empty: the text is fine
  std::string in_help{};                                   // behind the option's type
};

// Whether the help names what is allowed; it need not where type_name() does.
enum class InHelp : bool { kNo, kYes };

// A number from `least` to `most`.
Check within(int least, int most, InHelp in_help = InHelp::kNo);
Check within(std::uint32_t least, std::uint32_t most, InHelp in_help = InHelp::kNo);
Check within(std::uint64_t least, std::uint64_t most, InHelp in_help = InHelp::kNo);
Check positive();
Check not_negative();

// One of these words.
Check one_of(const std::vector<std::string>& words, InHelp in_help = InHelp::kNo);

// For a file's name: an empty one is no way to leave the option out.
Check not_empty();

class Option {
 public:
  Option required() const;
  Option check(const Check& check) const;  // of the text, before it is converted
  Option expected(int values) const;
  // Of a list: one value behind each name, not all words up to the next dash; "--" among them.
  Option one_each() const;
  Option excludes(Option other) const;
  Option configurable(bool may_stand_in_config) const;

  // What the help shows.
  Option type_name(const std::string& name) const;
  Option option_text(const std::string& text) const;  // in place of type, default and the like
  Option default_str(const std::string& text) const;
  Option capture_default_str() const;  // the variable's value now

 private:
  friend class Command;
  friend class CommandLine;
  explicit Option(void* option) : option_(option) {}

  void* option_;  // CLI::Option
};

// The program itself, or a subcommand.
class Command {
 public:
  using Take = std::function<void(const std::string&)>;

  // `name` as in "-o,--output"; without a dash it is positional.  The type shows in the help.
  Option add_option(const std::string& name, std::string& to, const std::string& help = "") const;
  Option add_option(const std::string& name, std::uint32_t& to, const std::string& help = "") const;
  Option add_option(const std::string& name, std::uint64_t& to, const std::string& help = "") const;
  Option add_option(const std::string& name, double& to, const std::string& help = "") const;
  Option add_option(const std::string& name, std::optional<std::string>& to,
                    const std::string& help = "") const;
  Option add_option(const std::string& name, std::vector<std::string>& to,
                    const std::string& help = "") const;
  Option add_option_function(const std::string& name, const Take& take,
                             const std::string& help) const;
  Option add_flag(const std::string& name, bool& to, const std::string& help) const;
  Option add_flag_callback(const std::string& name, const std::function<void()>& call,
                           const std::string& help) const;
  Option get_option(const std::string& name) const;

  // Takes options that this one does not know for its parent's; so do subcommands added later.
  void fallthrough() const;
  Command add_subcommand(const std::string& name, const std::string& help) const;
  std::vector<Command> subcommands() const;
  void require_subcommand(std::size_t least, std::size_t most) const;
  bool parsed() const;

 protected:
  explicit Command(void* app) : app_(app) {}

  void* app_;  // CLI::App
};

// What parsing came to.
struct Parsed {
  enum class Kind { kRun, kShow, kWrong };
  Kind kind = Kind::kRun;
  std::string text{};  // kShow: help or version, as asked for; kWrong: what was wrong, on one line
};

class CommandLine : public Command {
 public:
  CommandLine(const std::string& purpose, const std::string& name);

  std::string name() const;
  void footer(const std::string& text) const;

  // An option that names a TOML file with options; an unknown one in there is an error.
  Option set_config(const std::string& name, const std::string& help) const;
  std::string config_to_str() const;  // all options as they stand, with their helps

  // `version` is what --version says.
  Parsed parse(int argc, char** argv, const std::string& version) const;

  // For programs that are no products: prints what was asked for or was wrong, in CLI11's words,
  // and returns the exit code; nothing if the program is to run.
  std::optional<int> parse_or_tell(int argc, char** argv) const;

 private:
  explicit CommandLine(const std::shared_ptr<void>& app) : Command(app.get()), owned_(app) {}

  std::shared_ptr<void> owned_;
};

}  // namespace fairlead::apps
