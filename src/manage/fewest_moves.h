// SPDX-License-Identifier: Apache-2.0
//
// The exact searches over placements, for problems small enough: a plan of the fewest moves that is
// as good as a given one, and the least deviation that any placement has.
//
// Pure.  Both give up after `steps` placements looked at, and say so by an empty result.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "manage/placement.h"

namespace fairlead::manage {

// Fewer than `below` moves whose deviation meets the goal or is at most `reached`; of those with as
// few moves, one with the least deviation.  Empty: there is none, or it was not found in time.
std::optional<std::vector<Move>> fewest_moves(const PlacementProblem& problem,
                                              const PlacementGoal& goal, double reached,
                                              std::size_t below, std::size_t steps);

// Of all placements by the same rules as improve()'s (movable or not, allowed, not stacked).
std::optional<double> least_deviation(const PlacementProblem& problem, std::size_t steps);

}  // namespace fairlead::manage
