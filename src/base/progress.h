// SPDX-License-Identifier: Apache-2.0
//
// Progress: one line on a terminal that says how far a long job is, and goes away at its end.
//
//     std::atomic<std::uint64_t> done{0};            // the workers add to it
//     Progress progress("verify", total, done, clock);
//     while (…) { …; progress.tick(); }
//
//     verify  [##########..........]  51%  512 MiB of 1.00 GiB  3.2 s left
//
// Silent unless the descriptor is a terminal whose TERM can redraw a line; plain under NO_COLOR.
// Draws at most ten times a second, the first time a tenth of a second after the start: a short
// job shows nothing.
//
// Thread-safety: tick() from any thread, at the cost of a clock reading; one of them draws.
// Construct and destroy while no other thread ticks.  The counter and the clock are the caller's
// and must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace fairlead::base {

class Progress {
 public:
  enum class Unit : std::uint8_t { kCount, kBytes };

  // A total of 0 means that the end is not known: the line then counts.
  Progress(std::string label, std::uint64_t total, const std::atomic<std::uint64_t>& done,
           const Clock& clock, Unit unit = Unit::kCount, int fd = 2);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  void tick() noexcept;

  // Takes the line away, to print something else; the next tick may draw it again.
  void clear() noexcept;

 private:
  void draw(std::int64_t now_ns);
  std::string bar(std::uint64_t done, std::size_t room) const;

  const std::string label_;
  const std::uint64_t total_;
  const std::atomic<std::uint64_t>& done_;
  const Clock& clock_;
  const Unit unit_;
  const int fd_;
  const bool shown_;
  const bool colour_;
  const std::int64_t start_ns_;
  std::atomic<std::int64_t> next_ns_;  // when the next drawing is due; who moves it draws
  std::atomic<bool> drawn_{false};
};

}  // namespace fairlead::base
