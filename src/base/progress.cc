// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/terminal.h"
#include "base/units.h"

namespace fairlead::base {
namespace {

constexpr std::int64_t kPause = 100 * kNanosPerMilli;
constexpr std::size_t kWidestBar = 40;
constexpr std::size_t kNarrowestBar = 5;

std::string amount(std::uint64_t value, Progress::Unit unit) {
  return unit == Progress::Unit::kBytes ? format_bytes(value) : fmt::format("{}", value);
}

}  // namespace

Progress::Progress(std::string label, std::uint64_t total, const std::atomic<std::uint64_t>& done,
                   const Clock& clock, Unit unit, int fd)
    : label_(std::move(label)),
      total_(total),
      done_(done),
      clock_(clock),
      unit_(unit),
      fd_(fd),
      shown_(can_redraw(fd)),
      colour_(may_colour(fd)),
      start_ns_(clock.now_ns()),
      next_ns_(start_ns_ + kPause) {}

void Progress::tick() noexcept {
  if (!shown_) return;
  const std::int64_t now_ns = clock_.now_ns();
  std::int64_t due_ns = next_ns_.load(std::memory_order_relaxed);
  if (now_ns < due_ns) return;
  if (!next_ns_.compare_exchange_strong(due_ns, now_ns + kPause, std::memory_order_relaxed)) return;
  try {
    draw(now_ns);
  } catch (...) {
    // ignored because it means no memory for a line that nobody needs
  }
}

void Progress::clear() noexcept {
  if (drawn_.exchange(false)) static_cast<void>(write_all(fd_, "\r\x1b[K"));
}

void Progress::draw(std::int64_t now_ns) {
  std::uint64_t done = done_.load(std::memory_order_relaxed);
  std::string text;
  if (total_ == 0) {
    text = "  " + amount(done, unit_);
  } else {
    done = std::min(done, total_);
    const double share = static_cast<double>(done) / static_cast<double>(total_);
    text = fmt::format("  {:3.0f}%  {} of {}", 100 * share, amount(done, unit_),
                       amount(total_, unit_));
    if (done > 0 && done < total_) {
      const double left_ns = static_cast<double>(now_ns - start_ns_) * (1 / share - 1);
      text += fmt::format("  {} left", format_ns(static_cast<std::int64_t>(left_ns)));
    }
  }
  // The last column stays free: some terminals wrap as soon as it is filled.
  const std::size_t columns = terminal_columns(fd_) - 1;
  const std::size_t taken = label_.size() + text.size();
  if (taken > columns) {
    text = (label_ + text).substr(0, columns);
  } else {
    text = label_ + (total_ == 0 ? "" : bar(done, columns - taken)) + text;
  }
  drawn_.store(true);
  static_cast<void>(write_all(fd_, "\r" + text + "\x1b[K"));
}

std::string Progress::bar(std::uint64_t done, std::size_t room) const {
  constexpr std::string_view kFrame = "  []";
  if (room < kFrame.size() + kNarrowestBar) return "";
  const std::size_t width = std::min(kWidestBar, room - kFrame.size());
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  const std::string full(filled, '#');
  const std::string rest(width - filled, '.');
  return "  [" + (colour_ ? "\x1b[32m" + full + "\x1b[0m" : full) + rest + "]";
}

}  // namespace fairlead::base
