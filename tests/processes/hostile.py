#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that break every rule, next to one that keeps them."""
import errno
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import unittest

from house import House, HELLO, MAGIC, PROGRAMS, REFUSED, SANITIZED, WELCOME, eventually
from house import hello_bytes, scaled


class Hostile(House):
    def setUp(self):
        super().setUp()
        self.image()
        self.start()
        self.served()
        eventually(lambda: not self.status()["clients"])
        self.baseline = self.settled_resources()
        self.millis = scaled(1500, 1500, 20000)

    def unharmed(self):
        self.back_to(self.baseline)
        self.served()
        self.back_to(self.baseline)
        self.stop()

    def beside_a_victim(self, deed):
        victim = self.spawn("client", 4, scaled(4000, 1500, 40000))
        hostile = [self.raw(deed, self.millis) for _ in range(2)]
        for process in hostile:
            out, err = process.communicate(timeout=100)
            self.assertEqual((process.returncode, err), (0, ""))
        self.verify(victim)
        return self.status()

    def test_bytes_that_change_while_they_are_read(self):
        self.beside_a_victim("flip")
        self.unharmed()

    def test_wild_requests(self):
        report = self.beside_a_victim("wild")
        self.assertGreater(report["errors"], 0)
        self.assertGreater(report["faults"], 0)
        self.unharmed()

    def test_doorbells_without_end(self):
        report = self.beside_a_victim("flood")
        self.assertGreater(report["faults"], 0)
        self.unharmed()

    def test_its_memory_cannot_be_resized_or_unsealed(self):
        _, answer, (memory, _) = self.register()
        self.assertEqual(struct.unpack_from("<IHHII", answer)[3:], (WELCOME, 64))
        bytes_there = os.fstat(memory).st_size
        self.assertEqual(struct.unpack_from("<QQ", answer, 16)[1], bytes_there)
        for size in (0, 1, bytes_there - 1, bytes_there + 1, 1 << 30):
            with self.assertRaises(OSError) as refused:
                os.ftruncate(memory, size)
            self.assertEqual(refused.exception.errno, errno.EPERM)
        self.served()

    def test_control_messages_of_every_wrong_kind(self):
        whole = hello_bytes()
        wrong = [whole[:size] for size in (1, 15, 16, 32, 63)]
        wrong += [whole + b"x", whole * 2, whole * 4000, bytes(64), b"\xff" * 64]
        wrong += [hello_bytes(magic=MAGIC ^ 1), hello_bytes(size=63), hello_bytes(size=1 << 31)]
        wrong += [hello_bytes(kind=kind) for kind in (0, 2, 3, 4, 5, 6, 7, 1 << 31)]
        wrong += [hello_bytes(weight=weight) for weight in (0, 1001, 1 << 31)]
        wrong += [hello_bytes(name=b"\n" * 32), hello_bytes(name=b"x" * 32)]
        chance = random.Random(3)
        wrong += [chance.randbytes(chance.randrange(1, 200)) for _ in range(50)]
        for message in wrong:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(20)
                connection.connect(self.socket_path)
                try:
                    connection.send(message)
                    answer, descriptors, _, _ = socket.recv_fds(connection, 4096, 4)
                except OSError as error:
                    self.assertIn(error.errno, (errno.EPIPE, errno.ECONNRESET, errno.EMSGSIZE))
                    continue
                self.assertEqual(descriptors, [], message[:64])
                if answer:
                    self.assertEqual(struct.unpack_from("<IHHI", answer)[3], REFUSED)
        self.unharmed()

    def test_extra_descriptors_are_closed(self):
        for count in (1, 2, 4, 100, 253):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(20)
                connection.connect(self.socket_path)
                extra = [os.dup(0) for _ in range(count)]
                socket.send_fds(connection, [hello_bytes()], extra)
                for descriptor in extra:
                    os.close(descriptor)
                answer, got, _, _ = socket.recv_fds(connection, 4096, 4)
                self.assertEqual(got, [])
                if answer:
                    self.assertEqual(struct.unpack_from("<IHHI", answer)[3], REFUSED)
        self.unharmed()

    def test_a_word_after_the_welcome_ends_the_client(self):
        connection, _, _ = self.register()
        connection.send(b"more")
        self.assertEqual(connection.recv(64), b"")
        self.unharmed_after_closing()

    def unharmed_after_closing(self):
        self.doCleanups()
        self.unharmed()

    def test_who_says_nothing_is_sent_away(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(20)
            connection.connect(self.socket_path)
            answer = connection.recv(4096)
            self.assertEqual(struct.unpack_from("<IHHI", answer)[3], REFUSED)
        self.unharmed()

    def test_wishes_beyond_all_limits_are_cut(self):
        for slots, data in ((0, 0), (1, 1), (3, 513), (1 << 31, 1 << 31), (0xFFFFFFFF, 0xFFFFFFFF)):
            connection, answer, (memory, _) = self.register(slots=slots, data=data)
            self.assertLess(os.fstat(memory).st_size, 8 << 20)
            connection.close()
        self.unharmed_after_closing()


class OtherUser(House):
    def test_is_refused_at_the_folder_at_the_socket_and_by_the_service(self):
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root and setpriv")
        self.image()
        self.start()
        os.chmod(self.folder, 0o755)
        program = self.path("client-of-another")
        shutil.copy(os.path.join(PROGRAMS, "fairlead-client"), program)
        os.makedirs(self.path("theirs"))
        os.chmod(self.path("theirs"), 0o777)

        def try_it():
            result = self.run_program(
                shutil.which("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
                program, 1, 1, cwd=self.path("theirs"))
            self.one_line_error(result, 1)
            return result.stderr

        self.assertIn("belongs to root", try_it())
        os.chmod(self.runtime, 0o755)
        self.assertIn("ermission denied", try_it())
        os.chmod(self.socket_path, 0o777)
        self.assertIn("user 65534 may not use this service", try_it())
        self.assertEqual(os.listdir(self.path("theirs")), [])
        self.served()
        self.assertEqual(self.status()["clients_seen"], 1)
        os.chmod(self.runtime, 0o700)
        self.stop()


class SerialVictim(House):
    def test_its_latency_stays_bounded(self):
        self.image()
        self.start()
        alone = json.loads(self.ok("client", 2, 1000, "-o", "json", "--no-files"))
        for deed in ("flip", "wild", "flood"):
            hostile = [self.raw(deed, 20000) for _ in range(2)]
            eventually(lambda: self.status()["clients_seen"] > 3)
            victim = json.loads(self.ok("client", 2, 1000, "-o", "json", "--no-files"))
            for process in hostile:
                self.assertIsNone(process.poll())
                process.kill()
                process.communicate()
            p99, alone99 = (v["latency_ns"]["p99"] / 1e6 for v in (victim, alone))
            print(f"p99 of the victim beside two of {deed}: {p99:.2f} ms, alone {alone99:.2f} ms; "
                  f"worst {victim['latency_ns']['max'] / 1e6:.1f} ms")
            self.assertLess(p99, 1000 if SANITIZED else 200)
            self.assertLess(victim["latency_ns"]["max"] / 1e6, 5000)
        self.stop()


if __name__ == "__main__":
    unittest.main()
