// SPDX-License-Identifier: Apache-2.0
//
// Descriptors 0, 1 and 2 as every program takes them for granted.  Who was started without one of
// them would get a lock, an image or a socket under that number, and later print into it or replace
// it.
//
// Thread-safety: the first act of every main, before anything else is opened.
#pragma once

namespace fairlead::base {

// Opens /dev/null under each of 0 to 2 that is closed; 0 and 1 the wrong way round, so that reading
// or writing there fails as before and nobody takes what he printed for delivered.  Ends the
// process with status 1 where that cannot be, because then there is nobody to tell either.
void hold_standard_streams() noexcept;

}  // namespace fairlead::base
