// SPDX-License-Identifier: Apache-2.0
//
// The probes of lttng_provider.h.
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_provider.h"
