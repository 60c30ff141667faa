#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Truth: what the world's own tools make of planted traces is what was planted.

blkparse, btt, blkrawverify, fio and babeltrace2 read what planted_trace wrote: counts, bytes,
directions, the time of each stage, and what was lost, in the middle, at the end, and of all.

usage: formats.py Formats.test_...     environment: FL_PLANTED, the program planted_trace
Exit code 77: a tool that the test needs is missing.
"""
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PLANTED = os.environ["FL_PLANTED"]
SKIPPED = 77
REQUESTS = 300
READS, WRITES = 200, 100
READ_KIB, WRITE_KIB = READS * 4, WRITES * 8
# Seconds, as btt prints them; src/trace/testing_planted.h.
STAGES = {"Q2G": 1.1e-6, "G2I": 0.7e-6, "I2D": 2.3e-6, "D2C": 51e-6, "Q2C": 55.1e-6}
GUEST_Q2A, GUEST_Q2C = 10e-6, 65.9e-6
LOSSES = {"none": 0, "middle": 12, "tail": 11, "all": 1024}
LOOP, GUEST = "7,0", "512,0"


def needs(*tools):
    """Skips a test if one of them is missing."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return unittest.skipIf(missing, "missing here: " + ", ".join(missing))


class Formats(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fl-formats-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_tool(self, *command, **options):
        options = {"cwd": self.folder, "stdin": subprocess.DEVNULL, "timeout": 100} | options
        done = subprocess.run([str(word) for word in command], capture_output=True, check=False,
                              **options)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout.decode(), done.stderr.decode()

    def plant(self, loss="none", *guest, requests=REQUESTS):
        """The trace in every format, in a folder of its own; the folder."""
        folder = tempfile.mkdtemp(dir=self.folder)
        self.run_tool(PLANTED, "write", folder, requests, loss, *guest)
        return folder

    def dump(self, folder):
        """What blkparse says of the set, and the one file that it makes of it."""
        said, _ = self.run_tool("blkparse", "-i", "t", "-d", "t.bin", cwd=folder)
        return said

    def read_back(self, *words):
        out, _ = self.run_tool(PLANTED, "read", *words)
        return json.loads(out)

    # ---- blkparse ----

    def lines(self, said, action, device=LOOP):
        """Of blkparse's text: directions and sizes of an action's lines."""
        found = re.findall(rf"^ *{device} +\d+ +\d+ +\d+\.\d+ +\d+ +{action} +(\w+) \d+ \+ (\d+) ",
                           said, re.MULTILINE)
        return [(flags, int(sectors)) for flags, sectors in found]

    def messages(self, said):
        """Losses that messages tell, and the sum in the last one."""
        losses = [int(n) for n in re.findall(r" m   N fairlead loss records=(\d+) ", said)]
        totals = [int(n) for n in re.findall(r" m   N fairlead end lost=(\d+) ", said)]
        return losses, totals

    @needs("blkparse")
    def test_blkparse_finds_every_event(self):
        said = self.dump(self.plant())
        for action in "QGIDC":
            self.assertEqual(sorted(self.lines(said, action)),
                             [("R", 8)] * READS + [("W", 16)] * WRITES, action)
        total = said[said.index("Total"):]
        for what, reads, writes in (("Queued", READS, WRITES), ("Dispatches", READS, WRITES),
                                    ("Completed", READS, WRITES)):
            self.assertRegex(total, rf"Reads? {what}: +{reads}, +{READ_KIB}KiB.*"
                                    rf"Writes? {what}: +{writes}, +{WRITE_KIB}KiB")
        self.assertIn("[fio]", said)
        self.assertIn("0.000001000   100  Q   R 0 + 8 [fio]", said)

    @needs("blkparse")
    def test_no_control_character_of_a_name_gets_to_the_terminal(self):
        said = self.dump(self.plant())
        self.assertIn("[a longer \"name\"]", said)
        self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.replace("\t", " ")))

    @needs("blkparse")
    def test_blkparse_tells_the_losses_that_were_planted(self):
        for loss, lost in LOSSES.items():
            folder = self.plant(loss)
            losses, totals = self.messages(self.dump(folder))
            self.assertEqual((sum(losses), totals), (lost, [lost]), loss)

    @needs("blkparse")
    def test_blkparse_counts_what_is_left_out_on_standard_input(self):
        for loss, between in (("none", 0), ("middle", 12), ("tail", 0)):
            folder = self.plant(loss)
            joined = b"".join(pathlib.Path(path).read_bytes()
                              for path in sorted(glob.glob(f"{folder}/t.blktrace.*")))
            said, _ = self.run_tool("blkparse", "-i", "-", input=joined, stdin=None)
            skips = re.search(r"^Skips: (\d+) forward \(([\d,]+) -", said, re.MULTILINE)
            self.assertEqual((int(skips[1]), int(skips[2])), (2 if between else 0, between), loss)

    @needs("blkparse")
    def test_what_blkparse_writes_is_read_back_equal(self):
        for guest in ((), ("guest",)):
            for loss, lost in LOSSES.items():
                folder = self.plant(loss, *guest)
                self.dump(folder)
                for path in ("t", "t.bin"):
                    found = self.read_back(f"{folder}/{path}", "same", REQUESTS, loss, *guest)
                    self.assertEqual(found["lost"], lost)

    # ---- blkrawverify ----

    @needs("blkrawverify")
    def test_blkrawverify_finds_nothing_bad(self):
        for guest in ((), ("guest",)):
            for loss in LOSSES:
                folder = self.plant(loss, *guest)
                self.run_tool("blkrawverify", "t", cwd=folder)
                with open(f"{folder}/t.verify.out", encoding="ascii") as file:
                    counts = re.findall(r"(\d+) valid \+ +(\d+) invalid", file.read())
                events = 0 if loss == "all" else REQUESTS * (9 if guest else 5)
                self.assertEqual(sum(int(valid) for valid, _ in counts), events)
                self.assertEqual({invalid for _, invalid in counts}, {"0"})

    # ---- btt ----

    def stages(self, folder, *options):
        """Of btt: the least, the mean, the greatest time, and how many, of each stage."""
        out, _ = self.run_tool("btt", "-i", "t.bin", *options, cwd=folder)
        table = out[out.index("All Devices"):out.index("Device Overhead")]
        rows = re.findall(r"^(\w2\w) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", table, re.MULTILINE)
        return {name: (float(low), float(mean), float(high), int(count))
                for name, low, mean, high, count in rows}, out

    def is_exactly(self, stage, seconds, count):
        for time in stage[:3]:
            self.assertAlmostEqual(time, seconds, delta=1e-9)
        self.assertEqual(stage[3], count)

    @needs("blkparse", "btt")
    def test_btt_finds_the_time_of_every_stage(self):
        for loss in ("none", "middle", "tail"):
            folder = self.plant(loss)
            self.dump(folder)
            stages, _ = self.stages(folder)
            for name, seconds in STAGES.items():
                self.is_exactly(stages[name], seconds, REQUESTS)

    @needs("blkparse", "btt")
    def test_btt_follows_a_guests_requests_into_the_host(self):
        folder = self.plant("none", "guest")
        self.dump(folder)
        stages, out = self.stages(folder, "-A")
        self.is_exactly(stages["Q2A"], GUEST_Q2A, REQUESTS)
        q2c = out[out.index("= Per Device ="):out.index("= All Devices =")]
        q2c = q2c[q2c.index("            Q2C "):]
        for device, seconds in ((GUEST, GUEST_Q2C), (LOOP, STAGES["Q2C"])):
            major, minor = device.split(",")
            row = re.search(rf"^\( *{major}, *{minor}\) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$",
                            q2c, re.MULTILINE)
            self.is_exactly([float(time) for time in row.groups()[:3]] + [int(row[4])], seconds,
                            REQUESTS)

    # ---- fio ----

    @needs("blkparse", "fio")
    def test_fio_replays_what_was_planted(self):
        folder = self.plant("middle")
        self.dump(folder)
        with open(f"{folder}/disk", "wb") as file:
            file.truncate(64 << 20)
        out, _ = self.run_tool("fio", "--name=replay", "--read_iolog=t.bin", "--ioengine=psync",
                               "--replay_redirect=disk", "--replay_no_stall=1",
                               "--output-format=json", cwd=folder)
        job = json.loads(out[out.index("{"):])["jobs"][0]
        for kind, count, kib in (("read", READS, READ_KIB), ("write", WRITES, WRITE_KIB)):
            self.assertEqual((job[kind]["total_ios"], job[kind]["io_bytes"]), (count, kib * 1024))

    # ---- babeltrace2 ----

    def babeltrace(self, folder):
        return self.run_tool("babeltrace2", "--names=payload,context", "--clock-seconds", "ctf",
                             cwd=folder, env=dict(os.environ, TZ="UTC"))

    def discarded(self, err):
        """How many, and between which times in the second of the wall clock's start."""
        told = re.findall(r"discarded (\d+) events? between \[\d+(\.\d+)\] and \[\d+(\.\d+)\]",
                          err)
        return [(int(count), float(first), float(last)) for count, first, last in told]

    @needs("babeltrace2")
    def test_babeltrace_reads_every_event_and_field(self):
        out, err = self.babeltrace(self.plant("none", "guest"))
        self.assertEqual(err, "")
        lines = out.splitlines()
        self.assertEqual(len(lines), REQUESTS * 9)
        start = 1_700_000_000_123_456_789
        second = next(line for line in lines if "block_queue" in line and '"host"' in line)
        at = start + 11_300
        self.assertIn(f"[{at // 10**9}.{at % 10**9:09d}]", second)
        for field in ('action = ( "Q" : container = 1 )', 'flags = "R"', "sector = 0",
                      "bytes = 4096", 'device_name = "loop0"', "pid = 100", 'process = "fio"',
                      "request = 1", "error = 0", f"device = {7 << 20}", "stream_number = 0"):
            self.assertIn(field, second)
        for name, count in (("block_queue", 600), ("block_get_request", 300), ("block_insert", 300),
                            ("block_issue", 600), ("block_complete", 600), ("block_remap", 300)):
            self.assertEqual(sum(f" {name}:" in line for line in lines), count, name)
        reads = sum('"R"' in line for line in lines if "block_complete" in line)
        self.assertEqual(reads, 2 * READS)
        sizes = [int(re.search(r" bytes = (\d+)", line)[1]) for line in lines
                 if "block_complete" in line and '"host"' in line]
        self.assertEqual(sum(sizes), (READ_KIB + WRITE_KIB) * 1024)

    @needs("babeltrace2")
    def test_babeltrace_counts_the_losses_in_their_places(self):
        for loss, lost in LOSSES.items():
            _, err = self.babeltrace(self.plant(loss))
            told = self.discarded(err)
            self.assertEqual(sum(count for count, _, _ in told), lost, loss + err)
            if loss == "middle":
                self.assertEqual([count for count, _, _ in told], [5, 7])
                for _, first, last in told:
                    self.assertLess(0.1233 + 14.9e-3, first)
                    self.assertLess(last, 0.12345679 + 15.001e-3)

    # ---- all together ----

    @needs("blkparse", "babeltrace2")
    def test_the_lost_total_is_the_same_everywhere(self):
        for loss, lost in LOSSES.items():
            folder = self.plant(loss, "guest")
            said = self.dump(folder)
            _, err = self.babeltrace(folder)
            with open(f"{folder}/chrome.json", encoding="utf-8") as file:
                chrome = json.load(file)
            found = {
                "our reader": self.read_back(f"{folder}/t")["lost"],
                "our reader of blkparse": self.read_back(f"{folder}/t.bin")["lost"],
                "blkparse": sum(self.messages(said)[0]),
                "blkparse's last": self.messages(said)[1][0],
                "babeltrace2": sum(count for count, _, _ in self.discarded(err)),
                "chrome": chrome["otherData"]["lost"],
                "chrome's marks": sum(event["args"]["records"] for event in chrome["traceEvents"]
                                      if event["ph"] == "i"),
            }
            self.assertEqual(set(found.values()), {lost}, f"{loss}: {found}")


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    if program.result.skipped and program.result.wasSuccessful():
        sys.exit(SKIPPED)
    sys.exit(not program.result.wasSuccessful())
