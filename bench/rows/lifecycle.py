# SPDX-License-Identifier: Apache-2.0
"""Rows 9 and 10: idleness, and sudden deaths."""
import contextlib
import os
import signal
import time

from figures import entry
from harness import Failed, wait_until

IDLE_CLIENTS = 100


def idle(bench):
    length = 0.5 if bench.options.quick else max(10.0, bench.options.seconds)
    values = []
    with bench.service(bench.image) as service:
        clients = bench.spawn([bench.program("idle_clients"), bench.socket(), IDLE_CLIENTS])
        if bench.line_of(clients) != {"connected": IDLE_CLIENTS}:
            raise Failed("the idle clients did not connect")
        time.sleep(bench.options.warm_up)
        for _ in range(bench.options.rounds):
            began, before = time.monotonic_ns(), service.cpu_ns()
            time.sleep(length)
            after, ended = service.cpu_ns(), time.monotonic_ns()
            values.append((after - before) / (ended - began))
        connected = len(service.status()["clients"])
        if connected != IDLE_CLIENTS:
            raise Failed(f"{connected} of {IDLE_CLIENTS} idle clients are left")
        clients.stdin.close()
        clients.stdin = None
        bench.finish(clients)
    yield entry("9", f"{IDLE_CLIENTS} silent clients", f"share of one core, over {length:g} s",
                values, goal=("<=", 0.001))


def restarted(bench, service, reader, nth):
    """Seconds to the first answer, from the kill and from the start that succeeded."""
    killed = time.monotonic_ns()
    os.kill(service.pid, signal.SIGKILL)
    while True:
        started = time.monotonic_ns()
        with contextlib.suppress(Failed):  # as long as the dead one is still being cleared away
            service.start()
            break
        if started - killed > 5e9:
            raise Failed("the killed service did not start again within 5 s")
    told = bench.line_of(reader)
    if told["reconnects"] != nth:
        raise Failed(f"the client counts {told['reconnects']} reconnections, not {nth}")
    return (told["completed_ns"] - killed) / 1e9, (told["completed_ns"] - started) / 1e9


def memory_segments(service):
    with open(f"/proc/{service.pid}/maps", encoding="utf-8", errors="replace") as file:
        return {line.split()[0] for line in file if "/memfd:" in line}


def reclaimed(bench, service):
    """Seconds from the kill of a busy client until the service has unmapped its memory."""
    before = memory_segments(service)
    client = bench.spawn_client(16)
    wait_until("the client is served", lambda: client.pid in service.served())
    its = memory_segments(service) - before
    if not its:
        raise Failed("the service maps no memory of the client")
    began = time.monotonic_ns()
    os.kill(client.pid, signal.SIGKILL)  # end() would wait until it is gone
    wait_until("the dead client's memory is freed", lambda: not its & memory_segments(service))
    freed = (time.monotonic_ns() - began) / 1e9
    bench.bury(client)
    return freed


def deaths(bench):
    from_kill, from_start, freed = [], [], []
    with bench.service(bench.image) as service:
        reader = bench.spawn([bench.program("gap_reader"), bench.socket()])
        bench.line_of(reader)
        for nth in range(1, bench.options.rounds + 1):
            kill, start = restarted(bench, service, reader, nth)
            from_kill.append(kill)
            from_start.append(start)
        reader.stdin.close()
        reader.stdin = None
        bench.finish(reader)
        for _ in range(bench.options.rounds):
            freed.append(reclaimed(bench, service))
    yield entry("10", "service killed", "seconds from the kill to the first answer", from_kill,
                goal=("<=", 1), unit="s")
    yield entry("10", "service killed", "seconds from the start to the first answer", from_start,
                goal=("<=", 1), unit="s")
    yield entry("10", "busy client killed", "seconds until its memory is unmapped", freed,
                goal=("<=", 0.01), unit="s")


ROWS = {
    "9": ("processor time of a service whose clients are silent",
          "100 connections of one process, each after one read; time on a processor of all the "
          "service's threads, from /proc/PID/task/*/schedstat.", idle),
    "10": ("sudden deaths",
           "kill -9 of the service under a client that reads without pause, `service start` at "
           "once; the client tells when the first answer of the new one came. kill -9 of a client "
           "of 16 busy threads; its segment is looked for in the service's /proc/PID/maps, which "
           "takes the lock that unmapping needs.", deaths),
}
