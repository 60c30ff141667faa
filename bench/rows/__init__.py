# SPDX-License-Identifier: Apache-2.0
"""The rows: ROWS[number] = (title, how it was measured, function of the bench giving entries)."""
from rows import cache, counts, disk, fairness, guests, lifecycle, relay, scaling, trace, wakeup

ROWS = {**disk.ROWS, **wakeup.ROWS, **fairness.ROWS, **counts.ROWS, **scaling.ROWS,
        **lifecycle.ROWS, **cache.ROWS, **relay.ROWS, **trace.ROWS,
        **guests.ROWS}
