#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that break every rule, next to one that keeps them."""
import errno
import json
import mmap
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
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


class Limits(House):
    def refusal(self, **hello):
        """The text of a refusal; "" if there was a welcome."""
        _, answer, _ = self.register(**hello)
        kind = struct.unpack_from("<IHHI", answer)[3]
        return answer[24:].split(b"\0")[0].decode() if kind == REFUSED else ""

    def as_user(self, uid, deed):
        """A child of that user that does deed(), says its word and waits for its end."""
        said, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(said)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            try:
                word = deed()
            except BaseException as error:  # pylint: disable=broad-except
                word = f"failed: {error!r}"
            os.write(tell, word.encode())
            signal.pause()
        os.close(tell)
        with os.fdopen(said, "rb", buffering=0) as file:
            word = file.read(4096).decode()

        def end():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

        self.addCleanup(end)
        return word

    def test_one_user_leaves_seats_to_the_other(self):
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root and setpriv")
        self.image()
        os.mkdir(self.runtime, 0o700)
        os.chown(self.runtime, 65534, 65534)
        os.chmod(self.folder, 0o755)
        program = self.path("service-of-another")
        shutil.copy(os.path.join(PROGRAMS, "fairlead-service"), program)
        self.ok(shutil.which("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
                program, "start", "--max-clients", 8)
        held = []

        def greedy():
            clients = 0
            while not self.refusal(slots=2):
                clients += 1
            why = self.refusal(slots=2)
            for _ in range(100):
                held.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                held[-1].connect(self.socket_path)
            return f"{clients} {why}"

        clients, why = self.as_user(65534, greedy).split(" ", 1)
        self.assertEqual(clients, "8", why)
        self.assertIn("user 65534 has 8 clients", why)
        self.served()
        self.assertEqual(self.status()["clients_connected"], 8)
        self.stop()
        self.assertIn("user 65534 has 8 clients", self.log())

    def test_memory_of_clients_is_bounded_in_total(self):
        if SANITIZED:
            self.skipTest("a sanitizer's address space is beyond any limit")
        self.image()
        room = 400 << 20
        self.start_with(lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)))
        connections, why = [], ""
        while not why:
            connection, answer, descriptors = self.register(slots=1024, data=4096)
            if struct.unpack_from("<IHHI", answer)[3] == REFUSED:
                why = answer[24:].split(b"\0")[0].decode()
            connections.append(connection)
        self.assertIn("has no memory for another client", why)
        self.assertGreater(len(connections), 10)
        for _ in range(100):
            self.status()
            self.refusal(slots=1024, data=4096)
        self.assertIn("has no memory for another client", self.log())
        for connection in connections:
            connection.close()
        eventually(lambda: not self.status()["clients"])
        self.served()
        self.stop()

    def start_with(self, preparation):
        self.ok("service", "start", preexec_fn=preparation)

    def log(self):
        with open(f"{self.runtime}/block.log", encoding="utf-8") as file:
            return file.read()

    def faulty(self):
        """A client that is thrown out for an impossible index, and has seen that."""
        connection, answer, (memory, bell) = self.register()
        ring_bytes = struct.unpack_from("<Q", answer, 24)[0]
        with mmap.mmap(memory, ring_bytes) as ring:
            control = struct.unpack_from("<IIQQ", ring, 64)[2]
            struct.pack_into("@I", ring, control + 128, 0x80000000)
        os.write(bell, struct.pack("<Q", 1))
        self.assertEqual(connection.recv(64), b"")

    def test_a_log_that_nobody_reads_holds_up_nobody(self):
        self.image()
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"x")
        except BlockingIOError:
            pass
        os.set_blocking(write_end, True)
        service = self.spawn("service", "start", "--foreground", stderr=write_end)
        os.close(write_end)
        self.assertIn("serving", service.stdout.readline())
        for _ in range(3):
            self.faulty()
        os.utime(self.path("disk1.img"))
        self.served()
        self.status()
        self.ok("service", "stop")
        self.assertEqual(service.wait(timeout=20), 0)

    def test_many_faults_do_not_silence_other_news(self):
        self.image()
        self.start()
        for _ in range(1100):
            self.faulty()
        self.assertLess(self.log().count("broke the rules"), 5)
        os.utime(self.path("disk1.img"))

        def noticed():
            self.ok("client", 1, 5, "--no-files")
            return "written by another program" in self.log()

        eventually(noticed)
        self.stop()
        self.assertRegex(self.log(), r"clients of uid \d+: it broke the rules of the ring "
                                     r"\(and \d+ times more, not shown\)")

    def test_full_rings_do_not_hold_up_the_end(self):
        self.image()
        self.start("--cache-bytes", 0, "--queue-depth", 1)
        crowd = self.raw("fill", scaled(300, 300, 900), 1024, stdin=subprocess.PIPE)
        self.assertEqual(crowd.stdout.readline(), "filled\n")
        began = time.monotonic()
        self.stop()
        self.assertLess(time.monotonic() - began, 10 if SANITIZED else 3)

    def test_a_report_that_cannot_be_kept_is_told(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount")
        self.image()
        os.mkdir(self.runtime, 0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none",
                                  self.runtime], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("may not mount tmpfs here")
        self.addCleanup(subprocess.run, ["umount", self.runtime], check=True)
        self.start()
        with open(f"{self.runtime}/fill", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        result = self.run_program("service", "stop")
        self.assertEqual(result.returncode, 0)
        self.assertTrue(result.stdout.startswith("hit ratio "), result.stdout)
        self.assertIn("could not be kept in", result.stderr)
        self.assertEqual(os.path.getsize(f"{self.runtime}/block.last"), 0)
        os.unlink(f"{self.runtime}/fill")


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
