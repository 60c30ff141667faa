# SPDX-License-Identifier: Apache-2.0
"""`fairlead reproduce 003` with its real guest: what it writes, and that nothing is left.

usage: study.py CLASS[.test_name]     environment: FL_PROGRAMS, the folder of the programs
"""
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from rig import PROGRAMS, build, main, run, until

FILE_BYTES = 100_000_000
SCHEDULERS = ["none", "mq-deadline", "kyber", "bfq"]
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def loops():
    """Loop devices that have a file."""
    return {path.parts[3]
            for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")}


class Schedulers(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fl-study-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.env = {**os.environ, "FAIRLEAD_RUNTIME_DIR": str(self.folder / "run")}
        self.out = self.folder / "out"
        self.before = loops()
        build()
        if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
            self.skipTest("needs root and loop devices")
        if not os.path.isdir("/sys/kernel/tracing/instances"):
            self.skipTest("no tracefs with instances")

    def start(self, *words):
        return subprocess.Popen([PROGRAMS / "fairlead-reproduce", "003", "--out", self.out, *words],
                                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def assert_nothing_is_left(self):
        self.assertFalse((self.out / "disk.img").exists())
        until("the loop device is gone", lambda: loops() <= self.before)
        lab = self.folder / "run/lab"
        self.assertEqual(sorted(path.name for path in lab.glob("reproduce_*")), [])
        self.assertFalse((self.folder / "run/reproduce-libvirtd/process").exists())

    def test_a_guest_reads_the_file_under_each_scheduler(self):
        process = self.start("--case", "guest-schedulers", "--rounds", "1", "-o", "json")
        said, wrong = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, wrong)
        result = json.loads(said)
        self.assertEqual([one["scheduler"] for one in result["schedulers"]], SCHEDULERS)
        for one in result["schedulers"]:
            with self.subTest(scheduler=one["scheduler"]):
                stages = sum(one[f"{name}_us"]
                             for name in ("u_q2d", "u_t", "0_q2d", "0_d2c", "0_t"))
                self.assertAlmostEqual(stages, one["q2c_us"], delta=0.01 * one["q2c_us"])
                self.assertEqual(one["lost_events"], 0)
                # The file, and what ext4 has to say of it.
                asked = one["guest_requests"] * one["guest_request_kib"] * 1024
                self.assertGreaterEqual(asked, FILE_BYTES)
                self.assertLess(asked, 1.05 * FILE_BYTES)
                self.assertGreater(one["ios"], 0.5 * one["guest_requests"])
        with open(self.out / "guest-schedulers.csv", encoding="ascii") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["scheduler"] for row in rows], SCHEDULERS)
        picture = "".join(ElementTree.parse(self.out / "guest-schedulers.svg").getroot().itertext())
        for word in ["U-Q2D", "0-T", *SCHEDULERS]:
            self.assertIn(word, picture)
        report = run("fairlead-trace", "report", self.out / "guest-bfq-1.flt", "-o", "json")
        self.assertEqual(len(json.loads(report.stdout)["pairs"]), 1)
        self.assert_nothing_is_left()

    def test_a_signal_takes_everything_away(self):
        for number, code in SIGNALS.items():
            with self.subTest(number=number):
                process = self.start("--case", "host-schedulers", "--rounds", "1000")
                until("a reading is recorded",
                      lambda: (self.out / "host-mq-deadline-1.flt").exists()
                      or process.poll() is not None, 120)
                process.send_signal(number)
                _, wrong = process.communicate(timeout=60)
                self.assertEqual(process.returncode, code, wrong)
                self.assertEqual(wrong.count("\n"), 1, wrong)
                self.assert_nothing_is_left()
                shutil.rmtree(self.out)


if __name__ == "__main__":
    raise SystemExit(main())
