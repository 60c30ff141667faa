# SPDX-License-Identifier: Apache-2.0
"""Row 8: many threads, many clients, beside our own best point."""
import statistics

from figures import entry
from rows.fairness import rates


def many(bench):
    quick = bench.options.quick
    threads = [1, 4, 16] if quick else [1, 4, 16, 64, 128, 256, 512]
    clients = [4] if quick else [16, 64, 256]
    by_threads = {t: [] for t in threads}
    by_clients = {c: [] for c in clients}
    with bench.service(bench.image) as service:
        for _ in range(bench.options.rounds):
            for t in threads:
                by_threads[t].append(bench.client(t)["requests_per_second"])
            for c in clients:
                by_clients[c].append(sum(rates(bench, service, [(1,)] * c)))
    best = max(threads, key=lambda t: statistics.median(by_threads[t]))
    for point, values in ((f"{threads[-1]} threads", by_threads[threads[-1]]),
                          (f"{clients[-1]} clients of 1", by_clients[clients[-1]])):
        yield entry("8", point, f"requests/s to our best point (T = {best})",
                    list(zip(values, by_threads[best])), goal=(">=", 0.9), own=True,
                    unit="requests/s")
    bench.series["scaling"] = {
        name: {n: [statistics.median(v), min(v), max(v)] for n, v in values.items()}
        for name, values in (("one client of n threads", by_threads),
                             ("n clients of one thread", by_clients))}


ROWS = {
    "8": ("many threads and many clients to our own best point",
          "One client of 1, 4, 16, 64, 128, 256 and 512 threads; 16, 64 and 256 clients of one "
          "thread, each a process. Best is the thread count with the highest median.", many),
}
