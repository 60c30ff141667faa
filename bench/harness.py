# SPDX-License-Identifier: Apache-2.0
"""Starts, checks and ends what is measured.  Whatever goes wrong raises Failed with one line."""
import contextlib
import glob
import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

MIB = 1 << 20


class Failed(Exception):
    """One line: what could not be measured, and why."""


class Options:
    """How long and how often; `quick` proves only that everything runs."""

    def __init__(self, quick):
        self.quick = quick
        self.rounds = 1 if quick else int(os.environ.get("BENCH_ROUNDS", "5"))
        self.seconds = 0.1 if quick else float(os.environ.get("BENCH_SECONDS", "2"))
        self.warm_up = 0.05 if quick else 0.5
        self.image_bytes = (16 if quick else 256) * MIB
        if self.rounds < 1 or self.seconds <= 0:
            raise Failed("BENCH_ROUNDS and BENCH_SECONDS have to be greater than 0")


def wait_until(what, condition, seconds=30.0):
    """Asks `condition` again and again; fails if it is not true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:g} s")


class Usage:
    """Processor time and voluntary switches of the children waited for since it was made."""

    def __init__(self):
        self.before = resource.getrusage(resource.RUSAGE_CHILDREN)

    def seconds(self):
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return now.ru_utime + now.ru_stime - self.before.ru_utime - self.before.ru_stime

    def sleeps(self):
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw - self.before.ru_nvcsw


class Service:
    """A running fairlead service."""

    def __init__(self, bench, arguments):
        self.bench = bench
        self.arguments = arguments
        self.pid = 0

    def start(self):
        out = self.bench.run([self.bench.product("fairlead-service"), "start", *self.arguments,
                              "--idle-timeout", "120s"])
        found = re.search(r"\bpid (\d+)", out)
        if not found:
            raise Failed(f"service start did not say its pid but: {out.strip()}")
        self.pid = int(found.group(1))

    def status(self):
        return json.loads(self.bench.run([self.bench.product("fairlead-service"), "status",
                                          "-o", "json"]))

    def stop(self):
        report = json.loads(self.bench.run([self.bench.product("fairlead-service"), "stop",
                                            "-o", "json"]))
        self.pid = 0
        if report["errors"] or report["faults"]:
            raise Failed(f"the service counted {report['errors']} errors and "
                         f"{report['faults']} faults")
        return report

    def cpu_ns(self):
        """Time that its threads have had on a processor."""
        names = glob.glob(f"/proc/{self.pid}/task/*/schedstat")
        if not names:
            raise Failed(f"the service's processor time is not to be had (pid {self.pid})")
        total = 0
        for name in names:
            with open(name, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total

    def served(self):
        """The pids of the clients that have had an answer."""
        return {client["pid"] for client in self.status()["clients"] if client["answered"]}

    def alive(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
                return self.pid > 0 and file.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def kill(self):
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.pid}/comm", encoding="utf-8") as file:
                if file.read().startswith("fairlead-servi"):
                    os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.001)


class Bench:
    """Where things are, and how to run them."""

    def __init__(self, options, products, programs, out):
        self.options = options
        self.products = os.path.abspath(products)
        self.programs = os.path.abspath(programs)
        self.out = os.path.abspath(out)
        self.image = os.path.join(self.out, "bench.img")
        self.runtime_dir = os.path.join(self.out, "run")
        self.commands = {}  # row: command lines
        self.row = ""
        self.series = {}  # what the plots show beyond the entries
        self._live = []
        self._services = []

    # ---- before and after ----

    def prepare(self):
        shutil.rmtree(self.runtime_dir, ignore_errors=True)
        os.makedirs(self.runtime_dir, mode=0o700)
        os.environ["FAIRLEAD_RUNTIME_DIR"] = self.runtime_dir
        with open("/dev/urandom", "rb") as source, open(self.image, "wb") as image:
            for _ in range(self.options.image_bytes // MIB):
                image.write(source.read(MIB))
            image.flush()
            os.fsync(image.fileno())
            os.posix_fadvise(image.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.close(os.open(self.image, os.O_RDONLY | os.O_DIRECT))
        except OSError as error:
            raise Failed(f"{self.out} cannot do O_DIRECT ({error.strerror}); "
                         "choose another --out") from error

    def close(self):
        for process in self._live:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
        for service in self._services:
            service.kill()
        with contextlib.suppress(OSError):
            os.remove(self.image)
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    # ---- programs ----

    def product(self, name):
        return os.path.join(self.products, name)

    def program(self, name):
        return os.path.join(self.programs, name)

    def socket(self):
        return os.path.join(self.runtime_dir, "block.sock")

    def note_command(self, argv):
        """The first command line of each shape is shown with its row."""
        words = [os.path.basename(w) if w.startswith((self.products, self.programs)) else
                 w.replace(self.out + os.sep, "") for w in argv]
        if words[1:2] in (["status"], ["stop"]):
            return
        line = " ".join(words)
        known = self.commands.setdefault(self.row, {})
        known.setdefault(re.sub(r"\d+", "N", line), line)

    def run(self, argv, timeout=0.0, note=True):
        """Runs to the end; its standard output."""
        argv = [str(word) for word in argv]
        if note:
            self.note_command(argv)
        limit = 60 + 3 * (timeout or self.options.seconds)
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors,
                                       stdin=subprocess.DEVNULL, cwd=self.out)
            self._live.append(process)
            try:
                out, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise Failed(f"{os.path.basename(argv[0])} did not end within {limit:.0f} s: "
                             f"{' '.join(argv)}") from None
            self._live.remove(process)
            errors.seek(0)
            self._check(argv, process.returncode, errors.read())
        return out.decode()

    def spawn(self, argv):
        """Runs beside us; finish() or kill it."""
        argv = [str(word) for word in argv]
        self.note_command(argv)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.PIPE, cwd=self.out)
        self._live.append(process)
        return process

    def finish(self, process, timeout=60.0):
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(process.args)} did not end within {timeout:.0f} s") from None
        self._live.remove(process)
        self._check(process.args, process.returncode, errors)
        return out.decode()

    def end(self, process):
        """Kills one that spawn() gave, which must not have ended by itself."""
        if process.poll() is not None:
            self._check(process.args, process.returncode or "no error", process.stderr.read())
        process.kill()
        self.bury(process)

    def bury(self, process):
        """Waits for one that was killed."""
        process.communicate()
        self._live.remove(process)

    @staticmethod
    def line_of(process, timeout=30.0):
        """The next line that a spawned process prints, as JSON."""
        if not select.select([process.stdout], [], [], timeout)[0]:
            raise Failed(f"{os.path.basename(process.args[0])} said nothing for {timeout:.0f} s")
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{os.path.basename(process.args[0])} ended early: "
                         + process.stderr.read().decode(errors="replace").strip())
        return json.loads(line)

    @staticmethod
    def _check(argv, code, errors):
        if code != 0:
            last = errors.decode(errors="replace").strip().split("\n")[-1]
            raise Failed(f"{os.path.basename(argv[0])} failed with {code}: {last} "
                         f"({' '.join(argv)})")

    # ---- fairlead ----

    @contextlib.contextmanager
    def service(self, image, *arguments):
        """Serves `image` for the length of a with; its counts of errors have to be 0."""
        service = Service(self, ["--image", image, *arguments])
        self._services.append(service)
        try:
            service.start()
            yield service
            service.stop()
        finally:
            service.kill()
            self._services.remove(service)

    def client_argv(self, threads, seconds, *arguments):
        return [self.product("fairlead-client"), threads, "--duration", f"{seconds * 1000:.0f}ms",
                "--no-files", "-o", "json", *arguments]

    def warm_up(self, threads, *arguments):
        """A run that is thrown away."""
        self.run(self.client_argv(threads, self.options.warm_up, *arguments), note=False)

    def measure(self, threads, *arguments):
        """The client's report."""
        return self.sane(self.run(self.client_argv(threads, self.options.seconds, *arguments)))

    def client(self, threads, *arguments):
        """A warm-up, then the client's report."""
        self.warm_up(threads, *arguments)
        return self.measure(threads, *arguments)

    def spawn_client(self, threads, *arguments):
        """A client that runs until it is killed with end()."""
        return self.spawn(self.client_argv(threads, 120, *arguments))

    @staticmethod
    def sane(text):
        report = json.loads(text)
        if report["requests"] == 0 or report["reconnects"] != 0:
            raise Failed(f"a client had {report['requests']} answers and "
                         f"{report['reconnects']} reconnections")
        return report

    # ---- peers ----

    def fio(self, engine, **settings):
        """Requests and processor seconds a second of fio on the image; no error may have come."""
        argv = ["fio", "--name=peer", f"--filename={self.image}", f"--ioengine={engine}",
                "--rw=randread", "--bs=512", "--direct=1", "--norandommap", "--randrepeat=0",
                "--thread", "--time_based", f"--ramp_time={self.options.warm_up * 1000:.0f}ms",
                f"--runtime={self.options.seconds * 1000:.0f}ms", "--output-format=json",
                *(f"--{name}={value}" for name, value in settings.items())]
        out = self.run(argv)
        jobs = json.loads(out[out.index("{"):])["jobs"]
        if any(job["error"] for job in jobs) or not all(job["read"]["total_ios"] for job in jobs):
            raise Failed(f"fio counted errors or a job without reads: {' '.join(argv)}")
        percent = sum(job["usr_cpu"] + job["sys_cpu"] for job in jobs)
        return {"requests_per_second": sum(job["read"]["iops"] for job in jobs),
                "cpu_seconds_per_second": percent / 100}

    def peer(self, name, *arguments, at_most=60.0):
        """A measuring program of this folder, for so many seconds at most; its JSON."""
        return json.loads(self.run([self.program(name), *arguments,
                                    "--seconds", min(self.options.seconds, at_most),
                                    "--warm-up", min(self.options.warm_up, at_most)]))
