// SPDX-License-Identifier: Apache-2.0
//
// Balloon: what one guest was asked for, and what became of it.  A wish is handed over at once and
// obeyed later, in part, or never; somebody else may have wishes, too.  And its size is told late:
// a balloon on its way up that is called back may be larger than it looks for a second.
//
// Sizes in bytes, time in intervals.  Thread-safety: none.
#pragma once

#include <cstdint>

namespace fairlead::manage {

class Balloon {
 public:
  // This interval's size.  A wish is stuck if less than a tenth of it is done in `patience`
  // intervals.
  void observe(std::int64_t size, std::uint64_t interval, std::uint32_t patience);

  // `late`: for how many intervals more its size may not show what it was asked before.
  void ask(std::int64_t target, std::uint64_t interval, std::uint64_t late = 0);
  void take_back();  // the last ask() could not be handed over

  std::int64_t target() const noexcept { return target_; }
  // What it may have: the size that it has, the one it is asked for, and the one it was asked for
  // a moment ago, or was on its way up to when it was called back.
  std::int64_t promised() const noexcept;

  bool moved_by_others() const noexcept { return moved_by_others_; }  // in this interval
  bool newly_stuck() const noexcept { return newly_stuck_; }
  bool stuck(std::uint64_t interval) const noexcept { return interval < stuck_until_; }
  bool stuck_shrinking() const noexcept { return stuck_shrinking_; }

 private:
  void mark(std::uint64_t interval);
  bool is_foreign(std::int64_t last, bool asked) const;

  std::int64_t size_ = 0;
  std::int64_t target_ = -1;  // -1: never asked nor seen
  std::int64_t before_ = 0;   // target before the last ask()
  bool asked_now_ = false;    // since the last observe()
  std::int64_t peak_ = 0;     // from where it was called back, and until when that counts
  std::uint64_t peak_until_ = 0;
  std::uint64_t interval_ = 0;
  bool reached_ = true;
  bool moved_by_others_ = false;
  bool newly_stuck_ = false;
  bool stuck_shrinking_ = false;
  std::int64_t mark_size_ = 0;  // where it was when progress was last seen
  std::uint64_t mark_at_ = 0;
  std::uint64_t stuck_until_ = 0;
  std::uint64_t backoff_ = 0;
};

}  // namespace fairlead::manage
