# SPDX-License-Identifier: Apache-2.0
"""Rows 12 to 18: the relay channel beside LTTng-UST, pipes, sockets and what memory can do."""
import contextlib
import os
import statistics
import sys

import lttng
from figures import entry
from harness import Failed

RECORD = 26  # document 003, slide 17
PEERS = {"pipe": 10, "unix": 10, "tcp": 15}
SMALL = [26, 64]
LARGE = [4096, 16384, 65536]
READS = [26, 256, 1024, 4096, 16384, 65536]
LONG_SUB_BUFFER = 1 << 20  # of row 16: a few milliseconds of somebody else's turn fit
STEADY_SECONDS = 0.5  # of each rate in row 16
TRIES = 5  # of a round in which the tracer that is measured lost something


# ---- events ----

def relay_events(bench, mode, *more, sub_buffer=lttng.SUB_BUFFER, at_most=60.0):
    folder = lttng.memory_folder(bench)
    to = os.path.join(folder, "relay.out")
    try:
        return bench.peer("relay_events", mode, "--to", to, "--sub-buffer", sub_buffer,
                          "--sub-buffers", lttng.SUB_BUFFERS, *more, at_most=at_most)
    finally:
        if os.path.exists(to):
            os.remove(to)
        with contextlib.suppress(OSError):  # LTTng may still need it
            if folder != bench.out:
                os.rmdir(folder)


def without_loss(what, measure):
    """Measures until nothing was lost."""
    for _ in range(TRIES):
        result, lost = measure()
        if lost == 0:
            return result
    raise Failed(f"{what} lost events {TRIES} times in a row")


def event_of_ours(bench):
    def once():
        result = relay_events(bench, "on")
        return result, result["lost"]
    return without_loss("the relay", once)


def event_of_lttng(bench, daemon, kind):
    def once():
        with daemon.session(kind) as lost:
            result = bench.peer("lttng_events", kind)
        return result, lost[0]
    return without_loss("LTTng", once)


def has_lttng(bench, row):
    lacking = lttng.missing(bench)
    if lacking:
        print(f"bench: notice: {lacking} is missing, row {row} is without LTTng", file=sys.stderr)
    return not lacking


def events(bench):
    kinds = ["fields", "bytes"] if has_lttng(bench, "12") else []
    ours, off, theirs = [], [], {kind: [] for kind in kinds}
    def rounds(daemon):
        for _ in range(bench.options.rounds):
            ours.append(event_of_ours(bench)["median_ns"])
            for kind in kinds:
                theirs[kind].append(event_of_lttng(bench, daemon, kind)["median_ns"])
            off.append(relay_events(bench, "off", "--pause", 0)["median_ns"])
    if kinds:
        with lttng.Lttng(bench) as daemon:
            rounds(daemon)
    else:
        rounds(None)
    for kind in kinds:
        yield entry("12", f"payload as {kind}", "time an event to LTTng-UST",
                    list(zip(ours, theirs[kind])), goal=("<=", 0.35), peer=f"LTTng-UST, {kind}",
                    unit="ns/event")
    yield entry("12", "64 bytes with stamp", "nanoseconds an event", ours, better="lower")
    yield entry("12", "nobody connected", "nanoseconds an event, the loop included", off,
                goal=("<=", 1))


# ---- messages ----

def carry(bench, carrier, write, read=0):
    return bench.peer("message_stream", carrier, "--write", write, "--read", read, "--pin")


def small_messages(bench):
    for size in SMALL:
        rounds = [{carrier: carry(bench, carrier, size)["messages_per_second"]
                   for carrier in ("relay", *PEERS)} for _ in range(bench.options.rounds)]
        for peer, goal in PEERS.items():
            yield entry("13", f"{size} bytes", f"messages/s to {peer}",
                        [(r["relay"], r[peer]) for r in rounds], goal=(">=", goal), peer=peer,
                        unit="messages/s")


def large_messages(bench):
    for size in LARGE:
        rounds = [{carrier: carry(bench, carrier, size)["bytes_per_second"]
                   for carrier in ("relay", "memcpy", "pipe")}
                  for _ in range(bench.options.rounds)]
        yield entry("14", f"{size} bytes", "bytes/s to copying in and out",
                    [(r["relay"], r["memcpy"]) for r in rounds], goal=(">=", 0.5), own=True,
                    unit="bytes/s")
        yield entry("14", f"{size} bytes", "bytes/s to pipe",
                    [(r["relay"], r["pipe"]) for r in rounds], better="higher", peer="pipe",
                    unit="bytes/s")


def longer_reads(bench):
    """Slide 17: the producer writes 26 bytes, the consumer reads 26 and more."""
    rounds = [{read: carry(bench, "relay", RECORD, read)["messages_per_second"] for read in READS}
              for _ in range(bench.options.rounds)]
    for read in READS[1:]:
        last = read == READS[-1]
        yield entry("15", f"reads of {read} bytes", "records/s to reads of one record",
                    [(r[read], r[RECORD]) for r in rounds], goal=(">=", 5) if last else None,
                    better="higher", own=True, unit="records/s")
    medians = [statistics.median(r[read] for r in rounds) for read in READS]
    yield entry("15", f"reads of {READS[0]} to {READS[-1]} bytes",
                "least step from one length to the next",
                [min(b / a for a, b in zip(medians, medians[1:]))], goal=(">=", 0.95))
    bench.series["longer_reads"] = {str(read): [r[read] for r in rounds] for read in READS}


# ---- as many as will go ----

def fastest(bench, top, once):
    """The highest rate that holds at least once of two times, in events/s, within a tenth."""
    def holds(rate):
        return any(once(rate) for _ in range(2))
    rate, step = top, 0.5
    if bench.options.quick:
        return rate if holds(rate / 100) else 0
    while not holds(rate):
        rate *= step
        if rate < 10_000:
            raise Failed("no rate is low enough to lose nothing")
    low, high = rate, min(rate / step, top)  # the one holds, the other does not
    while high / low > 1.1:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def kept_up(result, rate):
    return result["events_per_second"] >= 0.98 * rate


def sustained(bench):
    if not has_lttng(bench, "16"):
        return
    def ours(rate):
        result = relay_events(bench, "on", "--rate", rate, sub_buffer=LONG_SUB_BUFFER,
                              at_most=STEADY_SECONDS)
        return result["lost"] == 0 and kept_up(result, rate)
    rounds = []
    with lttng.Lttng(bench) as daemon:
        def theirs(rate):
            with daemon.session("fields", LONG_SUB_BUFFER) as lost:
                result = bench.peer("lttng_events", "fields", "--rate", rate,
                                    at_most=STEADY_SECONDS)
            return lost[0] == 0 and kept_up(result, rate)
        for _ in range(bench.options.rounds):
            rounds.append((fastest(bench, 32e6, ours), fastest(bench, 8e6, theirs)))
    yield entry("16", f"buffer of {lttng.SUB_BUFFERS} × {LONG_SUB_BUFFER >> 10} KiB",
                "events/s without loss to LTTng-UST", rounds, goal=(">=", 3), peer="LTTng-UST",
                unit="events/s")


# ---- a consumer that waits ----

def waiting(bench):
    idle, pickup, calls = [], [], []
    for _ in range(bench.options.rounds):
        idle.append(bench.peer("relay_watch", "idle")["cpu_share"])
        pickup.append(bench.peer("relay_watch", "pickup")["pickup_ns"])
        calls.append(bench.peer("relay_watch", "calls")["system_calls"])
    yield entry("17", "nothing is written", "consumer's share of one core", idle,
                goal=("<=", 0.005))
    for figure, goal in (("p50", None), ("p99", ("<=", 2e-3))):
        yield entry("17", "a record every 1 to 3 ms", f"{figure} from written to read",
                    [p[figure] / 1e9 for p in pickup], goal=goal, better="lower", unit="s")
    yield entry("17", "a million records", "producer's system calls", calls, goal=("<=", 0))


def clocks(bench):
    rounds = [bench.peer("relay_watch", "clock") for _ in range(bench.options.rounds)]
    yield entry("18", "two processes", "bound of the clocks' difference, all measurements together",
                [r["certified_ns"] / 1e9 for r in rounds], goal=("<=", 1e-6), unit="s")
    yield entry("18", "two processes", "p50 of the bound of one measurement",
                [r["half_width_ns"]["p50"] / 1e9 for r in rounds], better="lower", unit="s")
    yield entry("18", "two processes", "intervals without the truth, effects before their cause",
                [r["wrong_intervals"] + r["violations"] for r in rounds], goal=("<=", 0))


ROWS = {
    "12": ("a block event of 64 bytes to LTTng-UST with the same payload",
           "A relay record of a 48-byte abi::BlockEvent, 16-byte header and time stamp; LTTng-UST "
           "2.13 records the same, declared as its eleven fields or as bare bytes, which is "
           "faster. Both have 8 sub-buffers of 256 KiB (LTTng for each processor) and a reader in "
           "a process of its own that writes all to files in memory. Bursts of 16384 events "
           "that the buffers hold, the median burst's time an event, making the event included; "
           "a round in which anything was lost is repeated. Off: the same loop, nobody connected.",
           events),
    "13": ("small messages from one process to another to pipe, Unix stream and TCP loopback",
           "As many messages of one size as will go; each holds its number, which the reader looks "
           "at. Pipe, Unix stream socket and TCP over the loopback device: one call a message on "
           "both sides, the pipe 512 KiB long as our channel is, TCP with Nagle's algorithm, which "
           "is faster here. The relay's consumer takes what there is. Each process on a core of "
           "its own, as in rows 14 and 15.", small_messages),
    "14": ("large messages to what memory can do",
           "The limit: a ring of the same bytes into which one process copies each message and out "
           "of which the other copies it, and nothing else.", large_messages),
    "15": ("records of 26 bytes, read one by one and many at once",
           "Document 003, slide 17: the producer writes records of 26 bytes, the consumer reads 26 "
           "bytes at once and more, up to 64 KiB.", longer_reads),
    "16": ("the most events/s without loss to LTTng-UST",
           "A writer at a steady rate; the highest rate, within a tenth, at which nothing is "
           "lost for half a second and the writer keeps up; found by halving, in each round anew. "
           "8 sub-buffers of 1 MiB each, files as in row 12.", sustained),
    "17": ("a relay's consumer that waits",
           "The consumer calls read() and wait(). Its processor time while nothing is written; the "
           "time from a record's stamp to its reader's hand; and the system calls of a producer "
           "that writes a million records, some of them lost, counted by a seccomp filter.",
           waiting),
    "18": ("the clocks of two processes",
           "The consumer measures the producer's clock by ping-pong, 64 rounds every 10 ms. Both "
           "have one clock, so that the true difference is known to be 0: an interval without it "
           "is wrong; so is a record that seems to be read before it was written.", clocks),
}
