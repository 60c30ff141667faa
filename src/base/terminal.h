// SPDX-License-Identifier: Apache-2.0
//
// What a descriptor's terminal can do, so that colour and progress bars reach people only.
//
// Thread-safety: any thread, while no other changes the environment.
#pragma once

namespace fairlead::base {

bool is_terminal(int fd) noexcept;

// A terminal on which the cursor moves: one, and TERM is set and not "dumb".
bool can_redraw(int fd) noexcept;

// can_redraw(), and NO_COLOR is unset or empty (no-color.org).
bool may_colour(int fd) noexcept;

// Width in characters; 80 where it is unknown.
unsigned terminal_columns(int fd) noexcept;

}  // namespace fairlead::base
