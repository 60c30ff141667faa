# SPDX-License-Identifier: Apache-2.0
"""Row 19: what being traced costs a service."""
import os
import signal

from figures import entry

THREADS = [1, 16]


def with_trace(bench, threads):
    """The client's report while fairlead-trace records the service, and what it recorded."""
    # Not on the disk that the service reads.
    to = os.path.join("/dev/shm", f"fairlead-bench-{os.getpid()}.flt")
    tracer = bench.spawn([bench.product("fairlead-trace"), "record", "--service", "block",
                          "--file", to, "-o", "json"])
    try:
        report = bench.client(threads)
        tracer.send_signal(signal.SIGTERM)
        recorded = bench.line_of(tracer)
        bench.finish(tracer)
    finally:
        if os.path.exists(to):
            os.remove(to)
    return report, recorded


def traced(bench):
    threads = [1] if bench.options.quick else THREADS
    with bench.service(bench.image):
        for t in threads:
            rounds, lost = [], []
            for _ in range(bench.options.rounds):
                plain = bench.client(t)
                report, recorded = with_trace(bench, t)
                rounds.append((report, plain))
                lost.append(recorded["lost"] / recorded["events"])
            yield entry("19", f"T = {t}", "requests/s to the same without tracing",
                        [(a["requests_per_second"], b["requests_per_second"]) for a, b in rounds],
                        goal=(">=", 0.99), own=True, unit="requests/s")
            for figure in ("p50", "p99"):
                yield entry("19", f"T = {t}", f"{figure} to the same without tracing",
                            [(a["latency_ns"][figure], b["latency_ns"][figure])
                             for a, b in rounds], goal=("<=", 1.02) if figure == "p99" else None,
                            better="lower", own=True, unit="ns")
            yield entry("19", f"T = {t}", "events lost of those recorded", lost, better="lower")


ROWS = {
    "19": ("the block service traced, to itself untraced",
           "One client on the image; beside it, in every second run, fairlead-trace records the "
           "service's six to seven events a request into a file in memory. Tracer, service and "
           "client share the machine's cores, so that the tracer's work counts, too.", traced),
}
