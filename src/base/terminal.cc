// SPDX-License-Identifier: Apache-2.0
#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace fairlead::base {
namespace {

std::string_view variable(const char* name) noexcept {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace

bool is_terminal(int fd) noexcept { return ::isatty(fd) == 1; }

bool can_redraw(int fd) noexcept {
  const std::string_view term = variable("TERM");
  return is_terminal(fd) && !term.empty() && term != "dumb";
}

bool may_colour(int fd) noexcept { return can_redraw(fd) && variable("NO_COLOR").empty(); }

unsigned terminal_columns(int fd) noexcept {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace fairlead::base
