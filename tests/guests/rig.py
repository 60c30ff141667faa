# SPDX-License-Identifier: Apache-2.0
"""What tests on real guests share: programs, one libvirt daemon of our own, its guests, programs
that run beside them.

A Rig is a folder with a private libvirt daemon; it and its guests end with the Rig, and nothing
else does.  Programs come from $FL_PROGRAMS, else from bin/ of this tree.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("FL_PROGRAMS", TREE / "bin"))
SKIPPED = 77  # what ctest takes for a skipped test
PATIENCE_S = 60
MIB = 1 << 20


def busy_share(seconds=1):
    """Of all processors, whoever keeps them busy; niced programs do not count, as they yield."""
    def read():
        with open("/proc/stat", encoding="ascii") as stat:
            numbers = [int(word) for word in stat.readline().split()[1:9]]
        return sum(numbers), numbers[1] + numbers[3] + numbers[4]
    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / (total_after - total)


def await_quiet(patience_s, calm=0.3):
    """Until the processors were left alone for three seconds, or patience ends; how busy they were
    last.  Balance cannot be seen where others take what is left."""
    end = time.monotonic() + patience_s
    while True:
        busy = max(busy_share() for _ in range(3))
        if busy < calm or time.monotonic() > end:
            return busy


class Lacking(unittest.SkipTest):
    """The machine has not what a Rig needs: no failure of ours."""


def missing():
    """What real guests need and this machine has not; empty if all is there."""
    tools = ["apt-get", "apt-cache", "dpkg-deb", "lz4", "sha256sum", "qemu-system-x86_64", "virsh"]
    lacking = [tool for tool in tools if not shutil.which(tool)]
    if not shutil.which("libvirtd", path=os.environ["PATH"] + ":/usr/sbin"):
        lacking.append("libvirtd")
    if os.cpu_count() < 2:
        lacking.append("a second processor")
    if os.geteuid() != 0:
        lacking.append("root (a libvirt daemon of our own)")
    return lacking


def run(program, *words, check=True, **more):
    done = subprocess.run([PROGRAMS / program, *words], capture_output=True, text=True,
                          check=False, timeout=300, **more)
    if check and done.returncode:
        raise AssertionError(f"{program} {' '.join(words)}: {done.returncode}: {done.stderr}")
    return done


def build(*words):
    done = run("fairlead-guest", "build", "-o", "json", *words, check=False)
    if done.returncode and "apt" in done.stderr:
        raise Lacking("no packages to build a guest of: " + done.stderr.strip())
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def until(what, ready, patience_s=PATIENCE_S):
    """Looks again until ready() gives something; the wait is for the guest, not for luck."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"never came true: {what}")


def gone(pid):
    """Ended, though perhaps not yet buried."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


class Background:
    """A program of ours that runs meanwhile; its output goes to a file."""

    def __init__(self, rig, name, program, *words):
        self.out = pathlib.Path(rig.folder) / f"{name}.out"
        self.err = pathlib.Path(rig.folder) / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([PROGRAMS / program, *words], stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, env=rig.env)

    def text(self):
        return self.out.read_text(encoding="utf-8")

    def errors(self):
        return self.err.read_text(encoding="utf-8")

    def lines(self):
        """Those that are whole."""
        return self.text().split("\n")[:-1]

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout_s=PATIENCE_S):
        return self.process.wait(timeout_s)

    def stop(self):
        """SIGTERM; its exit code."""
        if self.running():
            self.process.terminate()
        return self.wait()

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def cpu_ns(self):
        """What all its threads have used so far."""
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0])
                   for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())


class Rig:
    """Context manager; raises Lacking where there can be none."""

    def __init__(self):
        self.folder = None
        self.env = None
        self.private = None
        self.uri = None
        self.programs = []

    def __enter__(self):
        lacking = missing()
        if lacking:
            raise Lacking("missing here: " + ", ".join(lacking))
        build()
        self.folder = tempfile.mkdtemp(prefix="fl-lab-")
        self.env = {**os.environ, "FAIRLEAD_RUNTIME_DIR": f"{self.folder}/run"}
        self.private = ["--private", f"{self.folder}/libvirt"]
        try:
            self.start_daemon()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        try:
            self.kill_programs()
            if self.lab("down", "--name", "", check=False).returncode:  # the daemon is dead
                self.start_daemon()
                self.lab("down", "--name", "")
        finally:
            self.stop_daemon()
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill_programs(self):
        """Those that a test which failed has left."""
        for program in self.programs:
            program.kill()
        self.programs.clear()

    def start_daemon(self):
        done = run("fairlead-lab", "libvirtd", *self.private, check=False, env=self.env)
        if done.returncode and "ermitted" in done.stderr:
            raise Lacking("may not mount, so no libvirt daemon: " + done.stderr.strip())
        if done.returncode:
            raise AssertionError(done.stderr)
        self.uri = done.stdout.strip()

    def stop_daemon(self):
        run("fairlead-lab", "libvirtd", "--stop", *self.private, env=self.env)

    def kill_daemon(self):
        """As a crash would end it; the guests go on."""
        pid = int(pathlib.Path(f"{self.folder}/libvirt/process").read_text(encoding="ascii")
                  .split()[0])
        os.kill(pid, signal.SIGKILL)
        until("libvirtd gone", lambda: gone(pid))

    @property
    def read_only_uri(self):
        return self.uri + "-ro"

    def lab(self, *words, **more):
        return run("fairlead-lab", *words, "--uri", self.uri, env=self.env, **more)

    def virsh(self, *words):
        return subprocess.run(["virsh", "-q", "-c", self.uri, *words], capture_output=True,
                              text=True, check=True, timeout=PATIENCE_S).stdout

    def guests(self):
        """All of them, as `lab ls` has them."""
        return json.loads(self.lab("ls", "--all", "-o", "json").stdout)["guests"]

    def pins(self):
        return {guest["name"]: guest["pins"] for guest in self.guests()}

    def run_ns(self, name):
        """How long the guest's first vCPU has run."""
        stats = self.virsh("domstats", name, "--vcpu")
        return int(re.search(r"vcpu\.0\.time=(\d+)", stats)[1])

    def program(self, name, program, *words):
        """Starts one against this Rig's libvirt."""
        one = Background(self, name, program, *words, "--uri", self.uri)
        self.programs.append(one)
        return one

    def up(self, *words):
        self.lab("up", "--accel", "tcg", *words)


class RigTest(unittest.TestCase):
    """A Rig for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.rig = cls.enterClassContext(Rig())


def main(wants_all=()):
    """For the tests here: exit code 77 if the machine lacks something.  `wants_all`: classes for
    which that is known before they start."""
    lacking = missing()
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    if wanted.startswith(tuple(wants_all)) and lacking or "apt-get" in lacking:
        print("skipped: missing here: " + ", ".join(lacking))
        return SKIPPED
    # Ended from outside, it still ends its guests and its daemon.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    if not program.result.wasSuccessful():
        return 1
    if program.result.skipped:
        for _, why in program.result.skipped:
            print("skipped: " + why)
        return SKIPPED
    return 0
