# SPDX-License-Identifier: Apache-2.0
"""Rows 5 and 6: shares of clients that ask for more than there is, and a light one beside."""
import statistics
import time

from figures import entry, jain
from harness import Failed, wait_until


def answered_of(service, pids):
    """When, by the service's clock, and how many answers each client has had."""
    status = service.status()
    counts = {client["pid"]: client["answered"] for client in status["clients"]}
    missing = [pid for pid in pids if pid not in counts]
    if missing:
        raise Failed(f"{len(missing)} of {len(pids)} clients are not connected")
    return status["uptime_s"], [counts[pid] for pid in pids]


def rates(bench, service, clients):
    """Answers a second of clients [(threads, arguments…)] that run at once.

    Counted by the service over a window in which all of them run, so that a client that started
    first or ended last does not count as favoured.
    """
    running = [bench.spawn_client(threads, *arguments) for threads, *arguments in clients]
    pids = [process.pid for process in running]
    wait_until("all clients are served", lambda: service.served() >= set(pids))
    time.sleep(bench.options.warm_up)
    began, before = answered_of(service, pids)
    time.sleep(bench.options.seconds)
    ended, after = answered_of(service, pids)
    for process in running:
        bench.end(process)
    wait_until("the clients have left", lambda: not service.status()["clients"])
    return [(b - a) / (ended - began) for a, b in zip(before, after)]


def shares(bench):
    threads = [8, 16, 32, 64]
    weights = [1, 2, 4]
    even, weighted = [], []
    with bench.service(bench.image) as service:
        for _ in range(bench.options.rounds):
            even.append(rates(bench, service, [(t,) for t in threads]))
            weighted.append(rates(bench, service, [(32, "--weight", w) for w in weights]))
    yield entry("5", "8, 16, 32, 64 threads", "Jain index of four clients",
                [jain(r) for r in even], goal=(">=", 0.99),
                extra={"requests_per_second": even})
    fair = [w / sum(weights) for w in weights]
    off = [max(abs(rate / sum(r) / f - 1) for rate, f in zip(r, fair)) for r in weighted]
    yield entry("5", "weights 1:2:4", "greatest deviation from the due share", off,
                goal=("<=", 0.03), extra={"requests_per_second": weighted})
    bench.series["shares"] = {
        "equal": [[f"{t} threads", 1 / len(threads), statistics.median(r[i] / sum(r) for r in even)]
                  for i, t in enumerate(threads)],
        "weighted": [[f"weight {w}", f, statistics.median(r[i] / sum(r) for r in weighted)]
                     for i, (w, f) in enumerate(zip(weights, fair))]}


def light_client(bench):
    rounds, medians, curves = [], [], []
    with bench.service(bench.image) as service:
        for _ in range(bench.options.rounds):
            alone = bench.client(1)["latency_ns"]
            heavy = bench.spawn_client(63)
            wait_until("the heavy client is served", lambda pid=heavy.pid: pid in service.served())
            beside = bench.client(1)["latency_ns"]
            bench.end(heavy)
            wait_until("the heavy client has left", lambda: not service.status()["clients"])
            rounds.append((beside["p99"], alone["p99"]))
            medians.append((beside["p50"], alone["p50"]))
            curves.append((alone["histogram"], beside["histogram"]))
    yield entry("6", "1 thread beside 63", "p99 to the same client's alone", rounds,
                goal=("<=", 3), own=True, unit="ns")
    yield entry("6", "1 thread beside 63", "p50 to the same client's alone", medians,
                better="lower", own=True, unit="ns")
    bench.series["latency"] = {
        name: [statistics.median(curve[side][i] for curve in curves) for i in range(101)]
        for side, name in enumerate(["alone", "beside 63 threads"])}


ROWS = {
    "5": ("shares of clients that all want more than there is",
          "Jain index (Σx)² / (n Σx²) of the answers that the service counts for each client in "
          "one window in which all run. Weights: three clients of 32 threads.", shares),
    "6": ("a client of one thread beside one of 63 threads",
          "The light client measures its own times; alone and beside alternate.", light_client),
}
