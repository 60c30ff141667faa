// SPDX-License-Identifier: Apache-2.0
//
// Stages: where the time of an I/O goes between a front device (a guest's, a client's) and the back
// device behind it (the host's, the service's): the five of document 003, slide 19.
//
//     front  Q ───U-Q2D──► D ─U-T─┐                                ┌─0-T─► C
//     back                        └► Q ─0-Q2D─► D ───0-D2C───► C ──┘
//
// One chain for each bio of the front.  Requests of a ring meet by their id; others by their
// sectors: the back's lies in the front's span, was queued after the front's was issued, and came
// back before it, each within the clocks' bound.
//
// Thread-safety: pure functions.  Times in nanoseconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "trace/requests.h"
#include "trace/trace.h"

namespace fairlead::trace {

enum class Stage : std::uint8_t { kUQ2D, kUT, kQ2D, kD2C, kT };
inline constexpr std::size_t kStages = 5;
inline constexpr std::array<std::string_view, kStages> kStageNames = {"U-Q2D", "U-T", "0-Q2D",
                                                                      "0-D2C", "0-T"};

// Which device stands behind which.
struct Pairing {
  std::uint16_t front_source = 0;
  std::uint32_t front_device = 0;
  std::uint16_t back_source = 0;
  std::uint32_t back_device = 0;
  std::int64_t sector_offset = 0;  // back's sector − front's
};

struct Chain {
  std::array<std::int64_t, kStages> ns{};
  std::int64_t q2c_ns = 0;  // of the front, from its own two stamps
  std::uint32_t front_request = 0;
  std::uint32_t back_request = 0;
};

struct Staged {
  Pairing pairing;
  std::int64_t bound_ns = 0;  // of U-T and 0-T, the stages that cross; of the others 0
  std::vector<Chain> chains;
  std::uint64_t front_requests = 0;
  std::uint64_t unmatched = 0;   // front requests that no back request answers
  std::uint64_t ambiguous = 0;   // that may have been any of several
  std::uint64_t violations = 0;  // chains that go back in time by more than the bound
  std::int64_t residual_ns = 0;  // greatest |sum of the five − Q2C|
};

// What pairs by itself: a service's two devices; a guest's disk with the only host device that has
// requests of the same sectors.  Others must be given.
std::vector<Pairing> natural_pairings(const Trace& trace,
                                      const std::vector<DeviceRequests>& devices);

Staged stage(const Trace& trace, const DeviceRequests& front, const DeviceRequests& back,
             const Pairing& pairing);

}  // namespace fairlead::trace
