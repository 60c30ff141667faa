# SPDX-License-Identifier: Apache-2.0
"""What the tests with real processes share: a folder of their own, images, a service, its insides.

Environment: FL_PROGRAMS folder of the programs, FL_RAW the program raw_client, FL_SANITIZE what the
programs are built with (empty: nothing), FL_LONG larger counts.
Every process started here is ended here, by its own id.
"""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

PROGRAMS = os.environ["FL_PROGRAMS"]
RAW = os.environ["FL_RAW"]
SANITIZED = bool(os.environ.get("FL_SANITIZE"))
LONG = bool(os.environ.get("FL_LONG"))
RESULT_LINE = re.compile(r"^\d+\|\d+(\.\d+)?\|\d+\|\d+(\.\d+)?\|\d+(\.\d+)?\n$")
MAGIC = 0x4C544346
HELLO, WELCOME, REFUSED, QUERY_STATUS = 1, 2, 3, 4
SEED = 1
MASK = (1 << 64) - 1


def scaled(plain, sanitized, long):
    """A count for the build that is tested."""
    if LONG:
        return long
    return sanitized if SANITIZED else plain


def eventually(condition, seconds=20.0, nap=0.002):
    """Waits until condition() is true; its value, or a failed assertion."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition.__doc__ or condition}")
        time.sleep(nap)


def become_subreaper():
    """Daemons whose starter was killed become our children, so that we can reap them."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def descendants(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for child in file.read().split():
                    found += [int(child)] + descendants(int(child))
    except FileNotFoundError:
        pass
    except ProcessLookupError:
        pass
    return found


def _rotl(value, by):
    return (value << by | value >> (64 - by)) & MASK


def sector_bytes(sector, seed=SEED):
    """The same bytes as expected_sector() of src/block/testing_image.h."""
    state = []
    at = (seed * 0x1000193 + sector) & MASK
    for _ in range(4):
        at = (at + 0x9E3779B97F4A7C15) & MASK
        word = at
        word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ word >> 27) * 0x94D049BB133111EB) & MASK
        state.append(word ^ word >> 31)
    words = [sector]
    for _ in range(63):
        words.append(_rotl(state[1] * 5 & MASK, 7) * 9 & MASK)
        shifted = state[1] << 17 & MASK
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = _rotl(state[3], 45)
    return struct.pack("<64Q", *words)


def hello_bytes(slots=16, data=512, weight=1, name=b"python", magic=MAGIC, size=64, kind=HELLO):
    return struct.pack("<IHHIIIIII32s", magic, 1, 0, kind, size, slots, data, weight, 0, name)


class House(unittest.TestCase):
    """A folder, a runtime folder in it, and no process left behind."""

    def setUp(self):
        become_subreaper()
        self.folder = tempfile.mkdtemp(prefix="fl-test-", dir="/var/tmp")
        self.runtime = os.path.join(self.folder, "run")
        self.environment = dict(os.environ, FAIRLEAD_RUNTIME_DIR=self.runtime)
        self.environment.pop("NOTIFY_SOCKET", None)
        # A daemon's report of its leaks would arrive after its last word.
        self.environment["ASAN_OPTIONS"] = "detect_leaks=0"
        self.started = []
        self.ends = {}  # of orphans, by pid: exit code, or minus the signal

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        pid = self.service_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.reap()
        shutil.rmtree(self.folder, ignore_errors=True)

    def reap(self):
        """Orphans that fell to us; how each ended is kept."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                self.ends[ended[0]] = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            pass

    def path(self, name):
        return os.path.join(self.folder, name)

    # ---- programs ----

    def spawn(self, program, *arguments, **options):
        command = [os.path.join(PROGRAMS, program) if "/" not in program else program]
        options = {"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL,
                   "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        process = subprocess.Popen(command + [str(a) for a in arguments], **options)
        self.started.append(process)
        return process

    def run_program(self, program, *arguments, timeout=60, **options):
        process = self.spawn(program, *arguments, **options)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(program, process.returncode, out, err)

    def ok(self, program, *arguments, **options):
        """Runs it; fails unless it exits 0 without a word on stderr; its stdout."""
        result = self.run_program(program, *arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        return result.stdout

    def one_line_error(self, result, code):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\A[^\n]+\n\Z")

    # ---- images ----

    def image(self, name="disk1.img", sectors=2048, random=False):
        path = self.path(name)
        with open(path, "wb") as file:
            if random:
                file.write(os.urandom(sectors * 512))
            else:
                for sector in range(sectors):
                    file.write(sector_bytes(sector))
            file.flush()
            os.fsync(file.fileno())
        return path

    # ---- the service ----

    @property
    def socket_path(self):
        return os.path.join(self.runtime, "block.sock")

    def start(self, *arguments):
        return self.ok("service", "start", *arguments)

    def stop(self):
        """Stops it, and holds it to leaving nothing."""
        pid = self.service_pid()
        out = self.ok("service", "stop")
        self.assertRegex(out, r"^hit ratio \d\.\d{4} \(\d+ hits / \d+ lookups\), ")
        self.gone(pid)
        return out

    def gone(self, pid, log=True):
        self.reap()
        self.assertIn(self.state(pid), ("Z", "X", "gone"))
        eventually(lambda: self.reap() or self.state(pid) == "gone")
        self.assertEqual(self.ends.get(pid, 0), 0, "negative: the signal that ended it")
        left = sorted(os.listdir(self.runtime))
        if "relay" in left:
            left.remove("relay")
            self.assertEqual(os.listdir(os.path.join(self.runtime, "relay")), [])
        self.assertEqual(left, ["block.last"] + ["block.log"] * log)

    def state(self, pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "gone"

    def service_pid(self):
        """Of the lock's text, if that process lives; None if none does."""
        try:
            with open(os.path.join(self.runtime, "block.lock"), encoding="ascii") as file:
                pid = int(file.read().split()[0])
        except (FileNotFoundError, IndexError, ValueError, NotADirectoryError):
            return None
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                ours = file.read().startswith(("fairlead", "service"))
        except (FileNotFoundError, ProcessLookupError):
            return None
        return pid if ours and self.state(pid) != "Z" else None

    def kill_service(self):
        """One that ends just now by itself is as well."""
        pid = self.service_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        # A dead leader is a zombie while its threads still hold the lock.
        eventually(lambda: self.reap() or self.state(pid) == "gone")

    def status(self):
        """The report, asked by the bare protocol, which is faster than the program."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(20)
            connection.connect(self.socket_path)
            connection.send(struct.pack("<IHHII", MAGIC, 1, 0, QUERY_STATUS, 16))
            answer = connection.recv(256 * 1024)
        return json.loads(answer[16:])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.service_pid()}/fd"))

    def maps(self):
        with open(f"/proc/{self.service_pid()}/maps", encoding="utf-8") as file:
            return file.read()

    def rings(self):
        """Mappings of client memory that the service has."""
        return self.maps().count("/memfd:fairlead-ring")

    def held_memory(self):
        """Descriptors of client memory that the service has."""
        folder = f"/proc/{self.service_pid()}/fd"
        held = 0
        for entry in os.listdir(folder):
            try:
                held += "memfd:fairlead-ring" in os.readlink(f"{folder}/{entry}")
            except FileNotFoundError:
                pass
        return held

    def resources(self):
        return {"descriptors": self.descriptors(), "rings": self.rings(),
                "memory": self.held_memory()}

    def settled_resources(self):
        """When what was asked last has left, too."""
        last = [None, None, None]

        def same():
            last.append(self.resources())
            return last[-1] == last[-2] == last[-3] == last[-4]

        eventually(same, nap=0.03)
        return last[-1]

    def back_to(self, baseline):
        last = {}

        def same():
            last.update(self.resources())
            return last == baseline

        try:
            eventually(same)
        except AssertionError:
            self.assertEqual(last, baseline)

    # ---- clients ----

    def verify(self, process, image="disk1.img", requests=None):
        """A finished client: the five fields, both files, all bytes right."""
        out, err = process.communicate(timeout=100)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertRegex(out, RESULT_LINE)
        return self.verify_files(process.pid, image, requests)

    def verify_files(self, pid, image="disk1.img", requests=None):
        said = self.ok("tool_for_integrity", f"sectors.{pid}", f"read.{pid}", image)
        matched, records = re.match(r"(\d+) of (\d+) records match", said).groups()
        self.assertEqual(matched, records)
        if requests is not None:
            self.assertEqual(int(records), requests)
        return int(records)

    def served(self, threads=4, requests=200):
        """A fresh client is served with right bytes."""
        self.verify(self.spawn("client", threads, requests), requests=requests)

    def raw(self, *arguments, **options):
        return self.spawn(RAW, self.socket_path, *arguments, **options)

    def register(self, **hello):
        """A handshake by hand: connection, the answer's bytes, descriptors."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(20)
        connection.connect(self.socket_path)
        connection.send(hello_bytes(**hello))
        answer, descriptors, _, _ = socket.recv_fds(connection, 512, 4)
        self.addCleanup(connection.close)
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        return connection, answer, descriptors
