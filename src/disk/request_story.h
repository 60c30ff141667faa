// SPDX-License-Identifier: Apache-2.0
//
// RequestStory: what became of one request, told when it ends.  Nanoseconds of the disk's clock.
//
// Thread-safety: a value.
#pragma once

#include <cstdint>

#include "disk/io_request.h"

namespace fairlead::disk {

struct RequestStory {
  IoRequest request{};
  std::uint64_t number = 0;  // of arrival, from 0 on
  std::int64_t arrived_ns = 0;
  std::int64_t dispatched_ns = 0;
  std::int64_t ended_ns = 0;
  bool hit = false;  // in the disk's cache
};

}  // namespace fairlead::disk
