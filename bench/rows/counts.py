# SPDX-License-Identifier: Apache-2.0
"""Row 7: notifications a request."""
import os
import re

from figures import entry
from harness import Failed, Usage

THREADS = 64


def futex_calls(bench):
    """Futex calls a request of a client under strace, and how much slower it was for it."""
    counts = os.path.join(bench.out, "strace.counts")
    report = bench.sane(bench.run(
        ["strace", "-f", "-c", "--seccomp-bpf", "-e", "trace=futex", "-o", counts,
         *bench.client_argv(THREADS, bench.options.seconds)]))
    with open(counts, encoding="utf-8") as file:
        found = re.search(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*\bfutex$", file.read(),
                          re.MULTILINE)
    os.remove(counts)
    if not found:
        raise Failed("strace counted no futex calls")
    return int(found.group(1)) / report["requests"], report["requests_per_second"]


def notifications(bench):
    shared, sleeps, traced, slower = [], [], [], []
    with bench.service(bench.image) as service:
        for _ in range(bench.options.rounds):
            bench.warm_up(THREADS)
            before, usage = service.status(), Usage()
            report = bench.measure(THREADS)
            sleeps.append(usage.sleeps() / report["requests"])
            after = service.status()
            count = sum(after[name] - before[name] for name in ("doorbells", "wakes"))
            shared.append(count / (after["requests"] - before["requests"]))
            calls, rate = futex_calls(bench)
            traced.append(calls)
            slower.append(report["requests_per_second"] / rate)
    yield entry("7", f"T = {THREADS}", "doorbells and wake-ups a request", shared,
                goal=("<=", 0.2))
    yield entry("7", f"T = {THREADS}", "sleeps of the client's threads a request", sleeps,
                better="lower")
    yield entry("7", f"T = {THREADS}", "client's futex calls a request under strace", traced,
                better="lower", extra={"slower_under_strace": slower})


ROWS = {
    "7": ("notifications a request, 64 threads on the image",
          "Doorbells and futex wakes across the two processes, as the service counts them. The "
          "client's own: its voluntary context switches (getrusage; about one a sleep, so at most "
          "so many private wakes), and all its futex calls, waits and wakes, as strace counts "
          "them in a run of its own that strace slows down.", notifications),
}
