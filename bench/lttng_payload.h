// SPDX-License-Identifier: Apache-2.0
//
// The payload of lttng_provider.h, laid out as abi::BlockEvent.
#pragma once

#include <stdint.h>

struct fairlead_block_event {
  uint64_t sector, request, aux;
  uint32_t bytes, action, device, pid;
  uint16_t cpu, error, queue, vm;
};
