// SPDX-License-Identifier: Apache-2.0
//
// A parser with a planted bug.  In a library of its own, so that finding the bug proves that the
// libraries are instrumented and not only the fuzzers.
#pragma once

#include <cstddef>
#include <cstdint>

int parse_canary(const std::uint8_t* data, std::size_t size);
