# SPDX-License-Identifier: Apache-2.0
"""Rows 3 and 4: what the ring alone costs, on an image without storage."""
import statistics

from figures import entry

NULL = "null:256M"


def round_trips(bench, goal, name, service_options, client_options):
    """One thread's round trip beside both kinds of ping-pong, by mean and by median."""
    peers = ["eventfd", "unix"]
    rounds, pinned = [], []
    with bench.service(NULL, *service_options):
        for _ in range(bench.options.rounds):
            row = {"ours": bench.client(1, *client_options)["latency_ns"]}
            for mode in peers:
                row[mode] = bench.peer("pingpong", mode)["latency_ns"]
            rounds.append(row)
            pinned.append({mode: bench.peer("pingpong", mode, "--pin", "same")["latency_ns"]
                           for mode in peers})
    for mode in peers:
        for figure in ("mean", "p50"):
            yield entry("3", name, f"{figure} round trip to {mode} ping-pong",
                        [(r["ours"][figure], r[mode][figure]) for r in rounds],
                        goal=("<=", goal), peer=f"{mode} ping-pong", unit="ns")
    for mode in peers:
        yield entry("3", name, f"mean round trip to {mode} ping-pong pinned to one core",
                    [(r["ours"]["mean"], p[mode]["mean"]) for r, p in zip(rounds, pinned)],
                    better="lower", peer=f"{mode} ping-pong on one core", unit="ns")


def pingpong(bench):
    yield from round_trips(bench, 0.03, "polling", [], [])
    yield from round_trips(bench, 0.8, "not polling", ["--poll", "0s"], ["--poll", "0s"])


def unix_server(bench):
    threads = 8 if bench.options.quick else 64
    rounds = []
    with bench.service(NULL):
        for _ in range(bench.options.rounds):
            ours = bench.client(threads)["requests_per_second"]
            rounds.append((ours, {mode: bench.peer("unix_server", mode, "--threads", threads)
                                  ["requests_per_second"] for mode in ("epoll", "threads")}))
    typical = {mode: statistics.median(r[1][mode] for r in rounds) for mode in ("epoll", "threads")}
    best = max(typical, key=typical.get)
    yield entry("4", f"T = {threads}", f"requests/s to a Unix-socket server ({best}, the faster)",
                [(ours, peers[best]) for ours, peers in rounds], goal=(">=", 6),
                peer=f"Unix-socket server ({best})", unit="requests/s", extra={"peers": typical})


ROWS = {
    "3": ("null image, one thread: round trip to a ping-pong of two processes",
          "Both sides of the ping-pong block; the scheduler places them, as it places ours. For "
          "information also the ping-pong pinned to one core, which is its best case and leaves "
          "the other core unused.", pingpong),
    "4": ("null image, 64 threads: requests/s to a request/response server on Unix sockets",
          "SOCK_SEQPACKET, a connection a thread, 32 bytes there and 512 back. Two servers are "
          "measured in each round (one epoll thread; a thread a connection); the one with the "
          "higher median is the peer.", unix_server),
}
