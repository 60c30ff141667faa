#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong command lines and wrong surroundings: one line, the stated exit code, nothing left."""
import json
import os
import pty
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from house import House, PROGRAMS, RAW, RESULT_LINE, SANITIZED, eventually

FAILED, USAGE = 1, 2

# A service that is about to end: it has the lock, hears one question, hangs up, and ends.
HANGS_UP = """
import fcntl, os, socket, sys, time
folder = sys.argv[1]
lock = open(folder + "/block.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
with open("/proc/self/stat") as file:
    ticks = file.read().rsplit(")", 1)[1].split()[19]
print(os.getpid(), ticks, file=lock, flush=True)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(folder + "/block.sock")
listener.listen()
print("ready", flush=True)
listener.accept()[0].close()
listener.close()
time.sleep(0.2)
os.unlink(folder + "/block.sock")
os.unlink(folder + "/block.lock")
"""


class Commands(House):
    def left(self):
        found = set(os.listdir(self.folder)) - {"disk1.img"}
        return sorted(found)

    def refused(self, code, hint, program, *arguments, **options):
        with self.subTest(program=program, arguments=arguments):
            before = self.left()
            result = self.run_program(program, *arguments, **options)
            self.one_line_error(result, code)
            self.assertTrue(result.stderr.startswith(f"fairlead-{program.split('-')[-1]}: ")
                            or program == "fairlead", result.stderr)
            self.assertIn(hint, result.stderr)
            self.assertIn(self.left(), (before, sorted(set(before) | {"run"})))
            self.assertIsNone(self.service_pid())
            if os.path.isdir(self.runtime):
                self.assertNotIn("block.sock", os.listdir(self.runtime))

    def test_client_arguments(self):
        for threads in ("0", "-1", "x", "", "1.5", "1e3", "10001", "99999999999999999999"):
            self.refused(USAGE, "threads", "fairlead-client", threads, "10")
        for requests in ("0", "-1", "x", "", "1.5", "1000000000001", "99999999999999999999"):
            self.refused(USAGE, "requests", "fairlead-client", "1", requests)
        self.refused(USAGE, "threads", "fairlead-client")
        self.refused(USAGE, "requests", "fairlead-client", "4")
        self.refused(USAGE, "requests", "fairlead-client", "4", "--duration", "1s")
        self.refused(USAGE, "", "fairlead-client", "4", "10", "20")
        self.refused(USAGE, "pattern", "fairlead-client", "4", "10", "--pattern", "zipf:x")
        self.refused(USAGE, "weight", "fairlead-client", "4", "10", "--weight", "0")
        self.refused(USAGE, "weight", "fairlead-client", "4", "10", "--weight", "1001")
        self.refused(USAGE, "reconnect", "fairlead-client", "4", "10", "--reconnect", "-1s")
        self.refused(USAGE, "poll", "fairlead-client", "4", "10", "--poll", "fast")
        for option in ("--poll", "--duration", "--reconnect"):
            self.refused(USAGE, "too large", "fairlead-client", "4", "10", option, "2562047h")
        self.refused(USAGE, "output", "fairlead-client", "4", "10", "-o", "xml")
        self.refused(USAGE, "", "fairlead-client", "4", "10", "--no-such-option")
        for seed in ("-1", "18446744073709551616", "1.5", ""):
            self.refused(USAGE, "--seed: '" + seed, "fairlead-client", "4", "10", "--seed", seed)
        self.refused(USAGE, "bad service name 'a b'", "fairlead-client", "1", "1", "--name", "a b")

    def test_service_arguments(self):
        self.image()
        self.refused(USAGE, "start, stop or status", "fairlead-service")
        self.refused(USAGE, "'begin'; there are start, stop, status", "fairlead-service", "begin")
        self.refused(USAGE, "no option '--imgae'", "fairlead-service", "start", "--imgae", "x")
        self.refused(USAGE, "'reprot'; there are record", "fairlead-trace", "reprot")
        self.refused(USAGE, "", "fairlead-service", "start", "disk1.img")
        for option, values in {
                "--queue-depth": ("0", "-1", "4097", "x"), "--max-clients": ("0", "4097", "x"),
                "--max-slots": ("1", "4097"), "--max-weight": ("0", "1001"),
                "--max-data": ("511", "65537", "1000"), "--engine": ("fast", "1", "0"),
                "--idle-timeout": ("-1", "x", "2562047h"), "--poll": ("-1ms", "2562047h"),
                "--cache-bytes": ("-1", "1KB", "x")}.items():
            for value in values:
                self.refused(USAGE, option, "fairlead-service", "start", option, value)
        self.refused(USAGE, "", "fairlead-service", "status", "-o", "xml")
        for name in ("../x", "a/b", ".hidden", "", "x" * 65, "a b"):
            self.refused(USAGE, f"bad service name '{name[:40]}", "fairlead-service", "start",
                         "--name", name)
        self.refused(USAGE, "at most 1 % of the image", "fairlead-service", "start",
                     "--cache-bytes", "1T")

    def test_help_is_plain_text(self):
        for words in (("fairlead-service",), ("fairlead-service", "start"), ("fairlead-client",),
                      ("fairlead-service", "stop"), ("fairlead-integrity",)):
            text = self.ok(*words, "--help")
            self.assertRegex(text, r"\A[\n -~]+\Z")
            self.assertNotRegex(text, r"\{|UINT|TEXT")
            if words[-1] == "fairlead-client":
                self.assertIn("a bare number counts seconds", text)
                self.assertIn("may be left out with --duration and --no-files", text)

    def test_configuration(self):
        """What --print-config prints, it reads; what it does not know, it refuses."""
        every = ("image", "cache-bytes", "idle-timeout", "poll", "queue-depth", "max-clients",
                 "max-slots", "max-data", "max-weight", "engine", "foreground", "no-sandbox")
        plain = self.ok("fairlead-service", "--print-config")
        for option in every:
            self.assertIn(f"\nstart.{option}=", plain)
        chosen = self.ok("fairlead-service", "--print-config", "start", "--cache-bytes", "4K",
                         "--engine", "pool", "--idle-timeout", "5min", "--no-sandbox")
        for line in ('cache-bytes="4K"', 'engine="pool"', 'idle-timeout="5min"', "no-sandbox=true"):
            self.assertIn(f"start.{line}\n", chosen)
        for text in (plain, chosen):
            with open(self.path("fairlead.toml"), "w", encoding="utf-8") as file:
                file.write(text)
            again = self.ok("fairlead-service", "--config", "fairlead.toml", "--print-config")
            self.assertEqual(again, text)
        for wrong, named in (("[start]\nqueue = 1\n", "'start.queue'"),
                             ("nonsense\n", "'nonsense'"), ("[begin]\npoll = 0\n", "'begin'")):
            with open(self.path("fairlead.toml"), "w", encoding="utf-8") as file:
                file.write(wrong)
            self.refused(USAGE, named, "fairlead-service", "--config", "fairlead.toml", "start")
        self.image()
        with open(self.path("fairlead.toml"), "w", encoding="utf-8") as file:
            file.write('[start]\nengine = "pool"\nmax-weight = 5\n')
        self.ok("service", "--config", "fairlead.toml", "start")
        self.assertEqual(self.status()["engine"], "pread pool")
        self.stop()

    def test_output_that_nobody_gets_is_a_failure(self):
        self.image()
        self.start()
        programs = [("fairlead", "--help"), ("fairlead", "--version"),
                    ("fairlead-service", "--help"), ("fairlead-client", "--version"),
                    ("fairlead-service", "status"), ("fairlead-service", "--print-config"),
                    ("fairlead-client", 2, 50, "--no-files"),
                    ("fairlead-client", 2, 50, "-o", "json"),
                    ("fairlead-service", "--name", "two", "start", "--image", "null:1M"),
                    ("fairlead-service", "--name", "two", "stop")]
        for words in programs:
            with self.subTest(words=words), open("/dev/full", "w", encoding="ascii") as full:
                process = self.spawn(*words, stdout=full)
                _, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, FAILED, err)
                self.assertRegex(err, r"\A\S+: write standard output: No space left[^\n]+\n\Z")
        for words in programs:
            with self.subTest(closed=words):
                process = self.spawn("/bin/sh", "-c", 'exec "$@" >&-', "sh",
                                     os.path.join(PROGRAMS, words[0]), *words[1:])
                _, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, FAILED, err)
                self.assertRegex(err, r"\A\S+: write standard output: Bad file[^\n]+\n\Z")
        os.unlink(os.path.join(self.runtime, "two.last"))
        os.unlink(os.path.join(self.runtime, "two.log"))
        self.stop()

    def test_integrity_arguments(self):
        self.refused(USAGE, "", "fairlead-integrity")
        self.refused(USAGE, "", "fairlead-integrity", "a", "b")
        self.refused(USAGE, "", "fairlead-integrity", "a", "b", "c", "d")
        self.refused(FAILED, "", "fairlead-integrity", "a", "b", "c")

    def test_the_front_command(self):
        result = self.run_program("fairlead", "nonsense")
        self.one_line_error(result, USAGE)
        result = self.run_program("fairlead")
        self.assertEqual((result.returncode, result.stdout), (USAGE, ""))
        for argument in ("--wrong", "../service"):
            result = self.run_program("fairlead", argument)
            self.one_line_error(result, USAGE)
            self.assertIn(f"'{argument}'", result.stderr)
        alone = self.path("fairlead")
        shutil.copy(os.path.join(PROGRAMS, "fairlead"), alone)
        result = self.run_program(alone, "service", env=dict(self.environment, PATH="/nowhere"))
        self.one_line_error(result, FAILED)
        self.assertIn("fairlead-service is neither beside fairlead nor in PATH", result.stderr)

    def test_the_longest_durations(self):
        self.image()
        self.start("--poll", "87600h", "--idle-timeout", "87600h")
        for option in ("--poll", "--duration", "--reconnect"):
            self.ok("client", 2, 100, "--no-files", option, "87600h")
        self.stop()

    def test_help_and_version_are_no_errors(self):
        for program in ("fairlead", "fairlead-service", "fairlead-client", "fairlead-integrity"):
            self.assertIn("--help" if program == "fairlead" else "OPTIONS",
                          self.ok(program, "--help"))
            self.assertRegex(self.ok(program, "--version"), rf"\A{program} \d+\.\d+\.\d+\n\Z")

    def test_images(self):
        def start(hint, image, code=FAILED, **options):
            self.refused(code, hint, "fairlead-service", "start", "--image", image, **options)

        start("dd if=/dev/urandom of=none.img", "none.img")
        start(self.path("none.img"), "none.img")
        start("is empty", self.image("empty", sectors=0))
        os.unlink(self.path("empty"))
        os.truncate(self.image(sectors=4), 1000)
        start("has 1000 bytes", "disk1.img")
        start("neither a regular file nor a block device", self.folder)
        start("null:12", "null:12", USAGE)
        start("null:x", "null:x", USAGE)
        start("is empty", "", USAGE)
        start("", "/dev/null")
        start("", "/proc/version")

    def test_the_largest_image_is_served_to_its_last_sector(self):
        handle, image = tempfile.mkstemp(prefix="fl-huge-", dir="/dev/shm")
        self.addCleanup(os.unlink, image)
        self.addCleanup(os.close, handle)
        try:
            os.truncate(image, 1 << 57)
        except OSError:
            self.skipTest("no file of 128 PiB may be made here")
        result = self.run_program("service", "start", "--image", image)
        if "O_DIRECT" in result.stderr:
            self.skipTest("this kernel has no direct reads from memory")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        last = (1 << 48) - 1
        answers = self.ok(RAW, self.socket_path, "sectors", last, last, last + 1, 0)
        self.assertEqual(answers.split(), ["0", "0", "2", "0"])
        self.stop()
        os.truncate(image, 200 << 50)
        result = self.run_program("service", "start", "--image", image)
        self.one_line_error(result, FAILED)
        self.assertIn("at most 128 PiB", result.stderr)

    def test_a_cache_beyond_the_memory_there_is(self):
        """1 % of 8 TiB is more than most machines have; the default takes what can be had."""
        if SANITIZED:
            self.skipTest("the sanitizer's own allocator answers")
        handle, image = tempfile.mkstemp(prefix="fl-huge-", dir="/var/tmp")
        self.addCleanup(os.unlink, image)
        self.addCleanup(os.close, handle)
        os.truncate(image, 8 << 40)
        self.start("--image", image)
        with open("/proc/meminfo", encoding="ascii") as file:
            room = int(file.read().split("MemAvailable:")[1].split()[0]) * 1024
        if room < 80 << 30:
            self.assertLess(self.status()["cache_bytes"], room / 2)
            with open(f"{self.runtime}/block.log", encoding="utf-8") as file:
                self.assertIn("a quarter of the memory to be had", file.read())
        self.ok("client", 2, 100, "--no-files")
        self.stop()
        if room < 80 << 30:
            self.refused(FAILED, "of memory to give", "fairlead-service", "start", "--image", image,
                         "--cache-bytes", "80G")
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))
        self.refused(FAILED, "no memory for a cache of", "fairlead-service", "start", "--image",
                     image, "--cache-bytes", "0", "--max-clients", "4096", "--max-slots", "4096",
                     preexec_fn=limit)

    def test_a_file_system_without_direct_reads(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount")
        os.mkdir(self.path("ram"))
        mounted = subprocess.run(["mount", "-t", "ramfs", "none", self.path("ram")],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("may not mount ramfs here")
        try:
            image = self.image("ram/disk.img", sectors=16)
            result = self.run_program("service", "start", "--image", image)
            if result.returncode == 0:
                self.stop()
                self.skipTest("this kernel reads ramfs directly")
            self.one_line_error(result, FAILED)
            self.assertIn("O_DIRECT", result.stderr)
            self.assertIn("ext4", result.stderr)
        finally:
            subprocess.run(["umount", self.path("ram")], check=True)

    def test_without_permission(self):
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root and setpriv")
        os.chmod(self.image(), 0o600)
        os.chmod(self.folder, 0o777)
        program = self.path("service-of-another")
        shutil.copy(os.path.join(PROGRAMS, "fairlead-service"), program)
        result = self.run_program(shutil.which("setpriv"), "--reuid=65534", "--regid=65534",
                                  "--clear-groups", program, "start")
        self.one_line_error(result, FAILED)
        self.assertIn("Permission denied", result.stderr)

    def test_the_service_bounds_weights(self):
        self.image()
        self.start("--max-weight", "2")
        clients = [self.spawn("client", 1, "--duration", "60", "--no-files", "--weight", weight)
                   for weight in (1000, 1)]
        weights = []

        def both():
            weights[:] = sorted(client["weight"] for client in self.status()["clients"])
            return len(weights) == 2

        eventually(both)
        self.assertEqual(weights, [1, 2])
        for client in clients:
            client.terminate()
            client.communicate(timeout=30)
        self.stop()

    def test_without_a_service(self):
        advice = "(start one: fairlead service start)"

        def nowhere():
            for question in ("stop", "status"):
                self.refused(FAILED, "no service 'block' is running", "fairlead-service", question)
                self.refused(FAILED, advice, "fairlead-service", question)
            self.refused(FAILED, "no service is running", "fairlead-client", "1", "1")
            self.refused(FAILED, advice, "fairlead-client", "1", "1")
            self.refused(FAILED, "fairlead service start --name two)", "fairlead-client", "1", "1",
                         "--name", "two")

        nowhere()
        self.image()
        self.start()
        self.ok("client", 1, 10, "--no-files")
        self.stop()
        nowhere()
        self.refused(FAILED, "the last one ended with hit ratio", "fairlead-service", "stop")

    def test_the_service_manager_hears_that_it_lives(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(20)
        manager.bind(self.path("notify"))
        environment = dict(self.environment, NOTIFY_SOCKET=self.path("notify"),
                           WATCHDOG_USEC="200000")
        service = self.spawn("service", "start", "--foreground", "--image", "null:1M",
                             env=environment)
        began = time.monotonic()
        self.assertEqual([manager.recv(99) for _ in range(6)], [b"READY=1"] + 5 * [b"WATCHDOG=1"])
        self.assertGreater(time.monotonic() - began, 0.45, "twice as often as asked, not more")
        os.kill(service.pid, signal.SIGSTOP)
        manager.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            for _ in range(10):
                manager.recv(99)
        os.kill(service.pid, signal.SIGCONT)
        manager.settimeout(20)
        self.assertEqual(manager.recv(99), b"WATCHDOG=1")
        self.ok("service", "stop")
        self.assertEqual(service.wait(20), 0)

    def test_a_watchdog_of_another_process_is_not_fed(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(self.path("notify"))
        environment = dict(self.environment, NOTIFY_SOCKET=self.path("notify"),
                           WATCHDOG_USEC="2000", WATCHDOG_PID="1")
        self.spawn("service", "start", "--foreground", "--image", "null:1M", env=environment)
        manager.settimeout(20)
        self.assertEqual(manager.recv(99), b"READY=1")
        manager.settimeout(0.3)
        self.assertRaises(TimeoutError, manager.recv, 99)
        self.ok("service", "stop")

    def test_a_report_is_never_that_of_an_earlier_run(self):
        self.image()
        self.start()
        self.stop()
        self.start()
        pid = self.service_pid()
        self.kill_service()
        for question in ("status", "stop"):
            result = self.run_program("service", question)
            self.one_line_error(result, FAILED)
            self.assertIn(f"the last one (pid {pid}) died without a report, see ", result.stderr)
            self.assertIn("block.log", result.stderr)
        # One that cannot start takes the lock of the dead away, and still nobody is told of hits.
        self.one_line_error(self.run_program("service", "start", "--cache-bytes", "1T"), USAGE)
        result = self.run_program("service", "status")
        self.assertNotIn("hit ratio", result.stderr)
        self.start()
        self.stop()

    def test_two_stops_at_once(self):
        """Both succeed, and none speaks of a signal that was not sent."""
        self.image()
        for _ in range(10):
            self.start()
            pid = self.service_pid()
            stops = [self.spawn("service", "stop") for _ in range(3)]
            done = 0
            for stop in stops:
                out, err = stop.communicate(timeout=60)
                self.assertNotIn("terminated", err)
                self.assertNotIn("killed", err)
                if stop.returncode == 0:
                    done += 1
                    self.assertRegex(out, r"\Ahit ratio ")
                else:  # it came when all was over
                    self.assertIn("no service 'block' is running; the last one ended with", err)
            self.assertGreaterEqual(done, 1)
            self.gone(pid)

    def test_a_stop_that_is_hung_up_on(self):
        """The holder of the lock hangs up and ends by itself: nobody signalled it."""
        os.mkdir(self.runtime, 0o700)
        holder = self.spawn("/usr/bin/python3", "-c", HANGS_UP, self.runtime)
        self.assertEqual(holder.stdout.readline(), "ready\n")
        result = self.run_program("service", "stop")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("was ended meanwhile", result.stderr)
        self.assertNotIn("terminated", result.stderr)
        self.assertEqual(holder.wait(timeout=30), 0)

    def test_a_second_start_names_the_first(self):
        self.image()
        self.start()
        pid = self.service_pid()
        for _ in range(2):
            result = self.run_program("service", "start")
            self.one_line_error(result, FAILED)
            self.assertIn(str(pid), result.stderr)
            self.assertIn("--name", result.stderr)
        self.assertEqual(self.service_pid(), pid)
        self.served()
        self.stop()

    def test_many_starts_at_once_make_one_service(self):
        self.image()
        starts = [self.spawn("service", "start") for _ in range(6)]
        codes = []
        for start in starts:
            _, err = start.communicate(timeout=60)
            codes.append(start.returncode)
            self.assertRegex(err, r"\A([^\n]+\n)?\Z")
        self.assertEqual(sorted(codes), [0] + [1] * 5)
        self.served()
        self.stop()

    def test_a_client_that_cannot_write_its_files(self):
        self.image()
        self.start()
        os.mkdir(self.path("gone"))
        for folder in ("/proc", self.path("gone")):
            client = self.spawn("client", 1, 5, cwd=folder) if folder == "/proc" else \
                self.spawn("/bin/sh", "-c", f'rmdir "$PWD"; exec {PROGRAMS}/client 1 5', cwd=folder)
            out, err = client.communicate(timeout=60)
            self.assertEqual((client.returncode, out), (FAILED, ""), err)
            self.assertRegex(err, r"\Afairlead-client: create sectors\.\d+: [^\n]+\n\Z")
            self.assertIn("--no-files", err)
        self.assertLessEqual(self.status()["requests"], 2, "reads were made for nothing")
        self.assertEqual(self.left(), ["run"])
        self.stop()

    def test_a_full_disk_leaves_no_half_files(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount")
        self.image()
        self.start()
        os.mkdir(self.path("small"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none",
                                  self.path("small")], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("may not mount tmpfs here")
        try:
            result = self.run_program("client", 2, 1000, cwd=self.path("small"))
            self.assertEqual(result.returncode, FAILED)
            self.assertRegex(result.stdout, RESULT_LINE, "what was measured is told all the same")
            self.assertRegex(result.stderr,
                             r"\Afairlead-client: read\.\d+: write: No space left[^\n]+\n\Z")
            self.assertIn("--no-files", result.stderr)
            self.assertEqual(os.listdir(self.path("small")), [])
        finally:
            subprocess.run(["umount", self.path("small")], check=True)
        self.stop()

    def test_the_client_says_what_it_wrote_to_a_person(self):
        self.image()
        self.start()
        ours, theirs = pty.openpty()
        client = self.spawn("client", 1, 5, stderr=theirs, env=dict(self.environment, TERM="dumb"))
        os.close(theirs)
        client.communicate(timeout=60)
        said = b""
        while b"\n" not in said:
            said += os.read(ours, 4096)
        os.close(ours)
        self.assertIn(f"wrote sectors.{client.pid} and read.{client.pid}", said.decode())
        self.stop()

    def test_the_service_of_another_user(self):
        """Who may not use it is told whose it is."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root and setpriv")
        self.image()
        self.start()
        os.chmod(self.folder, 0o777)
        programs = self.path("programs")
        os.mkdir(programs)
        for name in ("fairlead-service", "fairlead-client"):
            shutil.copy(os.path.join(PROGRAMS, name), programs)
        as_nobody = (shutil.which("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups")
        for mode in (0o700, 0o755):
            os.chmod(self.runtime, mode)
            for words in (("fairlead-client", "1", "1"), ("fairlead-service", "status"),
                          ("fairlead-service", "stop")):
                program = os.path.join(programs, words[0])
                result = self.run_program(*as_nobody, program, *words[1:])
                self.one_line_error(result, FAILED)
                self.assertIn("belongs to root", result.stderr)
                self.assertIn("clients of that user only", result.stderr)
                self.assertNotIn("start one", result.stderr)
        os.chmod(self.runtime, 0o700)
        shutil.rmtree(programs)
        self.stop()

    def test_more_requests_than_memory(self):
        self.image()
        self.start()
        for requests in (10**12, 10**10):
            result = self.run_program("client", 2, requests)
            self.one_line_error(result, FAILED)
            self.assertIn("more memory than is free", result.stderr)
        self.assertEqual(self.left(), ["run"])
        self.served()
        self.stop()

    def test_more_threads_than_the_system_gives(self):
        if SANITIZED:
            self.skipTest("the sanitizer needs threads of its own")
        self.image()
        self.start()
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        result = self.run_program("client", 10000, 10000, preexec_fn=limit)
        self.one_line_error(result, FAILED)
        self.assertEqual(self.left(), ["run"])
        self.served()
        self.stop()

    def test_ten_thousand_threads(self):
        self.image()
        self.start()
        self.verify(self.spawn("client", 2000 if SANITIZED else 10000, 20000), requests=20000)
        self.stop()

    def test_started_without_standard_streams(self):
        """Whichever of 0 to 2 are closed, what is opened next does not land there."""
        self.image()
        for closed in range(1, 8):
            gone = [fd for fd in range(3) if closed >> fd & 1]
            with self.subTest(closed=gone):
                def close():
                    for fd in gone:
                        os.close(fd)

                def run(program, *arguments):
                    process = self.spawn(program, *arguments, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, preexec_fn=close)
                    # What is printed into a closed output is lost, and that is told.
                    self.assertEqual(process.wait(timeout=60), FAILED if 1 in gone else 0)
                    return process.pid

                run("service", "start")
                pid = self.service_pid()
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]
                self.assertEqual(links, ["/dev/null"] + [f"{self.runtime}/block.log"] * 2)
                second = self.run_program("service", "start")
                self.one_line_error(second, FAILED)
                self.served()
                reader = run("client", 2, 50)
                self.assertEqual(self.verify_files(reader), 50)
                run("fairlead", "service", "status")
                run("tool_for_integrity", f"sectors.{reader}", f"read.{reader}", "disk1.img")
                run("service", "stop")
                self.gone(pid)
                with open(f"{self.runtime}/block.last", encoding="utf-8") as file:
                    self.assertGreater(json.load(file)["requests"], 0)

    def test_a_runtime_folder_that_is_none(self):
        self.image()
        with open(self.runtime, "w", encoding="ascii") as file:
            file.write("x")
        result = self.run_program("service", "start")
        self.one_line_error(result, FAILED)
        self.runtime = self.path("x" * 120)
        self.environment["FAIRLEAD_RUNTIME_DIR"] = self.runtime
        result = self.run_program("service", "start")
        self.one_line_error(result, FAILED)


if __name__ == "__main__":
    unittest.main()
