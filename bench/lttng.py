# SPDX-License-Identifier: Apache-2.0
"""An LTTng-UST session for a with: the relay's peer, tuned as its users would."""
import contextlib
import os
import re
import shutil
import subprocess

from harness import Failed, wait_until

SUB_BUFFER = 256 * 1024
SUB_BUFFERS = 8
CHANNEL = "events"
SESSION = "fairlead-bench"


def missing(bench):
    """What is lacking to be measured against LTTng; "" if nothing is."""
    if not shutil.which("lttng") or not shutil.which("lttng-sessiond"):
        return "lttng-tools"
    return "" if os.path.exists(bench.program("lttng_events")) else "liblttng-ust-dev"


def memory_folder(bench):
    """Where tracers write: no disk is to be measured with them."""
    if not os.access("/dev/shm", os.W_OK):
        return bench.out
    folder = f"/dev/shm/fairlead-bench-{os.getpid()}"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


class Lttng:
    """A session daemon of our own, or the one that runs already."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = os.path.join(memory_folder(bench), "lttng")
        self.daemon = None

    def call(self, *words, note=True):
        return self.bench.run(["lttng", "--no-sessiond", *words], note=note)

    def answers(self):
        done = subprocess.run(["lttng", "--no-sessiond", "list"], capture_output=True, check=False)
        return done.returncode == 0

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, mode=0o700)
        os.environ["LTTNG_HOME"] = self.folder
        if not self.answers():
            self.daemon = self.bench.spawn(["lttng-sessiond", "--no-kernel", "--quiet"])
            wait_until("lttng-sessiond", self.answers)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Failed):
            self.call("destroy", SESSION, note=False)
        if self.daemon:
            self.daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.daemon.wait(timeout=10)
            if self.daemon.poll() is None:
                self.daemon.kill()
            self.bench.bury(self.daemon)
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.folder))

    @contextlib.contextmanager
    def session(self, event, sub_buffer=SUB_BUFFER):
        """Records `event` while it lasts; yields a list that gets the events lost at its end."""
        self.call("create", SESSION, f"--output={self.folder}/trace")
        lost = []
        try:
            self.call("enable-channel", "-u", "-s", SESSION, "--discard",
                      f"--subbuf-size={sub_buffer}", f"--num-subbuf={SUB_BUFFERS}",
                      "--tracefile-size=16M", "--tracefile-count=4", CHANNEL)
            self.call("enable-event", "-u", "-s", SESSION, "-c", CHANNEL, f"fairlead_bench:{event}")
            self.call("start", SESSION)
            yield lost
            self.call("stop", SESSION)
            found = re.search(r"Discarded events: (\d+)", self.call("list", SESSION, note=False))
            if not found:
                raise Failed("lttng does not say how many events it discarded")
            lost.append(int(found.group(1)))
        finally:
            self.call("destroy", SESSION, note=False)
            shutil.rmtree(f"{self.folder}/trace", ignore_errors=True)
