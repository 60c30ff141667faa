// SPDX-License-Identifier: Apache-2.0
//
// LTTng-UST's tracepoints of the same payload as abi::BlockEvent, 48 bytes: as its fields, which is
// how one would write it, and as bare bytes, which is the fastest that its macros can do.  Read
// several times, as those macros want.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER fairlead_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "lttng_provider.h"

#if !defined(FAIRLEAD_LTTNG_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define FAIRLEAD_LTTNG_PROVIDER_H

#include <lttng/tracepoint.h>

#include "lttng_payload.h"

// clang-format off
LTTNG_UST_TRACEPOINT_EVENT(
    fairlead_bench, fields, LTTNG_UST_TP_ARGS(const struct fairlead_block_event*, event),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_integer(uint64_t, sector, event->sector)
        lttng_ust_field_integer(uint64_t, request, event->request)
        lttng_ust_field_integer(uint64_t, aux, event->aux)
        lttng_ust_field_integer(uint32_t, bytes, event->bytes)
        lttng_ust_field_integer(uint32_t, action, event->action)
        lttng_ust_field_integer(uint32_t, device, event->device)
        lttng_ust_field_integer(uint32_t, pid, event->pid)
        lttng_ust_field_integer(uint16_t, cpu, event->cpu)
        lttng_ust_field_integer(uint16_t, error, event->error)
        lttng_ust_field_integer(uint16_t, queue, event->queue)
        lttng_ust_field_integer(uint16_t, vm, event->vm)))
// clang-format on

LTTNG_UST_TRACEPOINT_EVENT(fairlead_bench, bytes,
                           LTTNG_UST_TP_ARGS(const struct fairlead_block_event*, event),
                           LTTNG_UST_TP_FIELDS(lttng_ust_field_array(uint8_t, event,
                                                                     (const uint8_t*)event, 48)))

#endif

#include <lttng/tracepoint-event.h>
