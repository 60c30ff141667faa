#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our programs against a service that lies: one line, exit 1, in time."""
import array
import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import time
import unittest

from house import House, HELLO, MAGIC, WELCOME

REPORT, IDENTIFY, FAILED = 6, 1, 1
RECONNECT = 1
FUTEX, FUTEX_WAKE = 98 if os.uname().machine == "aarch64" else 202, 1
F_ADD_SEALS, SEALS = 1033, 1 | 2 | 4


def aligned(value):
    return (value + 127) & ~127


class Ring:
    """A segment as a service makes it, by hand."""

    def __init__(self, slots, data):
        sections, end = [], 64 + 5 * 24
        for size in (384, 32 * slots, 16 * slots, data * slots, 64 * slots):
            start = aligned(end)
            sections.append((start, size))
            end = start + size
        self.bytes, self.slots = aligned(end), slots
        self.control, self.requests, self.responses, self.data, _ = (at for at, _ in sections)
        self.memory = os.memfd_create("false", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, self.bytes)
        self.map = mmap.mmap(self.memory, self.bytes)
        struct.pack_into("<QHHIQQII", self.map, 0, 0x3147455344414C46, 1, 0, 64 + 120,
                         self.bytes, 1, 0, 5)
        for number, (kind, (start, size)) in enumerate(zip((1, 2, 3, 4, 9), sections)):
            struct.pack_into("<IIQQ", self.map, 64 + 24 * number, kind, 0, start, size)
        struct.pack_into("<IIII", self.map, self.control, slots, 32, 16, data)
        for event in (128, 256):
            struct.pack_into("<I", self.map, self.control + event + 4, 1)
        fcntl.fcntl(self.memory, F_ADD_SEALS, SEALS)
        self.taken = self.answered = 0

    def requested(self):
        produced = struct.unpack_from("<I", self.map, self.control + 128)[0]
        while self.taken != produced:
            at = self.requests + 32 * (self.taken % self.slots)
            self.taken += 1
            yield struct.unpack_from("<QQIIB", self.map, at)

    def geometry(self, request, last):
        number, slot = request[0], request[3]
        struct.pack_into("<QQIIII", self.map, self.data + 512 * slot, 0, last, 512, 1, 512, 7)
        struct.pack_into("<QIHH", self.map, self.responses + 16 * (self.answered % self.slots),
                         number, 64, 0, 0)
        self.answered += 1
        struct.pack_into("<I", self.map, self.control + 256, self.answered)
        word = ctypes.addressof(ctypes.c_uint32.from_buffer(self.map, self.control + 256))
        ctypes.CDLL(None).syscall(FUTEX, ctypes.c_void_p(word), FUTEX_WAKE, 1, None, None, 0)


class FalseService(House):
    def setUp(self):
        super().setUp()
        os.mkdir(self.runtime, 0o700)

    def serve(self, report=b"{}", last=1023, bell=None, hang_up=False):
        """A child that holds the lock and the socket, and does as it is told with every client."""
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self.be_service(tell, report, last, bell, hang_up)
            finally:
                os._exit(1)
        os.close(tell)
        self.assertEqual(os.read(ready, 1), b"x")
        os.close(ready)

        def end():
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            except (ProcessLookupError, ChildProcessError):
                pass

        self.addCleanup(end)

    def be_service(self, tell, report, last, bell, hang_up):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.socket_path)
        listener.listen(16)
        lock = os.open(f"{self.runtime}/block.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = file.read().rsplit(")", 1)[1].split()[19]
        os.write(lock, f"{os.getpid()} {ticks}\n".encode())
        os.write(tell, b"x")
        while True:
            connection, _ = listener.accept()
            message = connection.recv(256)
            if len(message) < 16 or struct.unpack_from("<IHHI", message)[3] != HELLO:
                connection.send(struct.pack("<IHHII", MAGIC, 1, 0, REPORT, 16 + len(report))
                                + report)
            else:
                self.one_client(connection, message, last, bell, hang_up)
            connection.close()

    def one_client(self, connection, hello, last, bell, hang_up):
        ring = Ring(*struct.unpack_from("<II", hello, 16))
        doorbell = bell() if bell else os.eventfd(0, os.EFD_NONBLOCK)
        welcome = struct.pack("<IHHIIQQII24s", MAGIC, 1, 0, WELCOME, 64, 1, ring.bytes, 7, 0, b"")
        connection.sendmsg([welcome], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array("i", [ring.memory, doorbell]))])
        connection.settimeout(0.005)
        while True:
            for request in ring.requested():
                if request[4] == IDENTIFY:
                    ring.geometry(request, last)
                elif hang_up:
                    return
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                pass

    def test_a_report_that_makes_no_sense(self):
        good = {name: 1 for name in ("sectors", "requests", "lookups", "hits", "errors", "faults",
                                     "clients_seen", "clients_connected", "uptime_s", "idle_s",
                                     "hit_ratio")}
        good |= {"image": "x", "engine": "y", "latency_ns": {"p50": 1, "p99": 2}, "clients": []}
        client = {name: 1 for name in ("client", "pid", "weight", "requests", "hits", "errors",
                                       "outstanding")} | {"name": "a\u001b[2Jb"}
        bad = [b"{}", b"nonsense", b"", b"[]", b"1", b"null", b"[" * 60000, b"\xff\xfe"]
        for name in good:
            for value in (None, "x", [], {}, -1, 1e300, 1 << 63, {"p50": "x", "p99": 1}, [1]):
                real = name in ("uptime_s", "idle_s", "hit_ratio") and value in (-1, 1e300, 1 << 63)
                text = name in ("image", "engine") and value == "x"
                if real or text or (name == "clients" and value == []):
                    continue
                bad.append(json.dumps(good | {name: value}).encode())
        for name in client:
            bad.append(json.dumps(good | {"clients": [client | {name: {}}]}).encode())
        for report in bad[:8] + bad[8::7]:
            with self.subTest(report=report[:100]):
                self.serve(report=report)
                for output in ("text", "json"):
                    result = self.run_program("fairlead-service", "status", "-o", output)
                    self.one_line_error(result, FAILED)
                self.doCleanups()
                os.unlink(self.socket_path)
                os.unlink(f"{self.runtime}/block.lock")
        self.serve(report=json.dumps(good | {"clients": [client]}).encode())
        self.assertIn("a?[2Jb", self.ok("fairlead-service", "status"))

    def test_a_last_report_that_makes_no_sense(self):
        self.serve(report=b'{"lookups":"x"}')
        result = self.run_program("fairlead-service", "stop")
        self.one_line_error(result, FAILED)
        self.assertIn("makes no sense", result.stderr)

    def read(self, hint):
        began = time.monotonic()
        result = self.run_program("fairlead-client", 2, 10, "--no-files", "--reconnect",
                                  f"{RECONNECT}s")
        self.one_line_error(result, FAILED)
        self.assertIn(hint, result.stderr)
        return time.monotonic() - began

    def test_geometries_that_cannot_be(self):
        for last in ((1 << 64) - 1, 1 << 51, (1 << 55) - 1):
            self.serve(last=last)
            self.read("impossible geometry")
            self.doCleanups()
            os.unlink(self.socket_path)
            os.unlink(f"{self.runtime}/block.lock")

    def test_doorbells_that_are_none(self):
        def full_pipe():
            _, end = os.pipe()
            os.set_blocking(end, False)
            try:
                while True:
                    os.write(end, b"x")
            except BlockingIOError:
                os.set_blocking(end, True)
            return end

        def broken_pipe():
            start, end = os.pipe()
            os.close(start)
            return end

        for bell in (full_pipe, broken_pipe, lambda: os.open("/dev/null", os.O_WRONLY)):
            self.serve(bell=bell)
            self.assertLess(self.read("doorbell is no eventfd"), 10)
            self.doCleanups()
            os.unlink(self.socket_path)
            os.unlink(f"{self.runtime}/block.lock")

    def test_hanging_up_for_ever(self):
        """30 s for an answer, a second for the reconnects, all in all."""
        self.serve(hang_up=True)
        self.assertLess(self.read("did not"), 30 + RECONNECT + 5)


if __name__ == "__main__":
    unittest.main()
