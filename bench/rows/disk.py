# SPDX-License-Identifier: Apache-2.0
"""Rows 1 and 2: requests a second on the disk image, beside fio on the same file."""
from figures import entry
from harness import Usage


def ours(bench, service, threads):
    """Requests a second; with the processor seconds a request of service and client."""
    bench.warm_up(threads)
    usage, before = Usage(), service.cpu_ns()
    report = bench.measure(threads)
    cpu = usage.seconds() + (service.cpu_ns() - before) / 1e9
    return report["requests_per_second"], cpu / report["requests"]


def beside(bench, threads, **fio):
    """Rounds of (ours, fio) in requests a second, and in CPU seconds a request."""
    rates, cpus = [], []
    with bench.service(bench.image) as service:
        for _ in range(bench.options.rounds):
            rate, cpu = ours(bench, service, threads)
            peer = bench.fio(**fio)
            rates.append((rate, peer["requests_per_second"]))
            cpus.append((cpu, peer["cpu_seconds_per_second"] / peer["requests_per_second"]))
    return rates, cpus


def compare(bench, row, points, peer, settings):
    for threads, goal in points:
        rates, cpus = beside(bench, threads, **settings(threads))
        yield entry(row, f"T = {threads}", f"requests/s to {peer}", rates, goal=(">=", goal),
                    peer=peer, unit="requests/s")
        yield entry(row, f"T = {threads}", f"CPU seconds a request to {peer}", cpus,
                    better="lower", peer=peer, unit="s")


def psync(bench):
    yield from compare(bench, "1", [(1, 0.95), (4, 1.0), (16, 1.0), (64, 1.0)], "fio psync",
                       lambda t: {"engine": "psync", "numjobs": t})


def uring(bench):
    yield from compare(bench, "2", [(4, 0.95), (16, 0.95), (64, 0.95)], "fio io_uring",
                       lambda t: {"engine": "io_uring", "iodepth": t, "registerfiles": 1,
                                  "fixedbufs": 1})


ROWS = {
    "1": ("512-byte uniform reads, T threads, to fio psync with T jobs",
          "One client of T threads on the image, default service with its 1 % cache; fio with T "
          "jobs as threads on the same file. CPU seconds: client (its start included) and service, "
          "to the fio jobs' own count.", psync),
    "2": ("the same to one fio io_uring job of depth T",
          "fio registers the file and its buffers; it needs no thread a request, ours has T "
          "blocking threads.", uring),
}
