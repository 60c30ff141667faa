// SPDX-License-Identifier: Apache-2.0
//
// Fits a drive with platters, in three steps:
//
//     1  the seek curve by its three times, each wait for a sector counted as half a rotation; the
//        spread of what is left over tells the rotation: a wait is any share of it, so half of it
//        lies between the quartiles
//     2  the time of one rotation at which the ends of transfers fall together with the sectors
//        that pass by: the greatest |mean of e^(2πi·t/R)| (coherence), over longer and longer
//        stretches, as each tells R nearer
//     3  the seek curve anew: no wait may be shorter than nothing or longer than one rotation
//
// Without coherence (another geometry than that of the drive that is like it, or a clock that is
// not steady) the rotation is that of step 1, and times are right in distribution only.
//
// Which transfers were hits is told by the rules of cache_shadow.h, with the cache of the drive
// that is like it, and by how long they took; if those said to be hits are not twice as fast as the
// others, the drive has no cache.
//
// Thread-safety: a pure function.  kInvalid if too few transfers moved the heads.
#pragma once

#include "disk/drive_fit.h"

namespace fairlead::disk {

base::Result<DriveFit> fit_mechanical(const FitTrace& trace, const MechanicalShape& like);

}  // namespace fairlead::disk
