#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service with a drive's timing: right bytes, no answer too early, k, and what is wrong."""
import csv
import json
import os
import unittest

from house import House, PROGRAMS, SANITIZED, eventually

# 2 ms, no matter where: no cache, no way.
SLOW = 'model = "linear"\nsectors = 8192\nrotation = "4ms"\nfull_stroke = "0s"\n'
# What schedulers differ on: ways to go, and a cache.
NEAR = (SLOW.replace('"0s"', '"8ms"') +
        "[cache]\nsegments = 2\nsegment_sectors = 64\nahead_sectors = 16\n")


class Throttle(House):
    def drive(self, text=SLOW, name="slow.toml"):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)

    def reads(self, threads, requests):
        """The mean of a client's reads, in seconds."""
        line = self.ok("client", threads, requests, "--no-files")
        return float(line.split("|")[1]) / 1e9

    def test_bytes_are_right_and_none_comes_before_its_time(self):
        self.image(sectors=4096)
        self.start("--throttle", self.drive(), "--scheduler", "cats", "--cache-bytes", 0)
        line = self.ok("client", 4, 200)
        most, mean, least = (float(word) / 1e9 for word in line.split("|")[:3])
        self.assertGreaterEqual(least, 0.002)
        self.assertGreaterEqual(mean, 0.007)  # four wait for each other
        self.assertGreaterEqual(most, 0.008)
        names = sorted(name for name in os.listdir(self.folder)
                       if name.startswith(("sectors.", "read.")))
        self.ok("tool_for_integrity", *[self.path(name) for name in names], self.path("disk1.img"))
        told = self.status()["throttle"]
        self.assertEqual((told["drive"], told["scheduler"], told["answered"]),
                         (self.path("slow.toml"), "cats", 200))
        self.assertGreaterEqual(told["virtual_service_ns"]["mean"], 2e6)
        if not SANITIZED:
            self.assertLess(told["lateness_ns"]["p50"], 2e6)
        self.assertIn(" under cats · k 1 · ", self.ok("service", "status"))
        self.stop()

    def test_a_scheduler_without_a_drive(self):
        """The image's own times, in another order."""
        self.image(sectors=4096)
        self.start("--scheduler", "cscan", "--disk-depth", 1, "--cache-bytes", 0)
        client = self.spawn("client", 8, 400)
        self.verify(client, requests=400)
        told = self.status()
        self.assertNotIn("throttle", told)
        scheduled = told["scheduled"]
        self.assertEqual((scheduled["scheduler"], scheduled["depth"]), ("cscan", 1))
        self.assertGreater(scheduled["transfers"], 0)
        self.assertGreaterEqual(scheduled["requests"], scheduled["transfers"])
        self.assertIn("in the order of cscan, 1 at once", self.ok("service", "status"))
        self.stop()

    def replayed(self, log, scheduler, depth=2):
        """Its requests by number, as they were and as a simulation has them, in order of ends."""
        self.ok("fairlead", "disk", "simulate", "--workload", "replay", "--trace", log,
                "--drive", self.path("near.toml"), "--scheduler", scheduler, "--depth", depth,
                "--log", self.path("simulated.csv"))
        rows = []
        for name in (log, self.path("simulated.csv")):
            with open(name, encoding="ascii") as file:
                rows.append(list(csv.DictReader(file)))
        return rows

    @unittest.skipUnless(os.path.exists(os.path.join(PROGRAMS, "fairlead-disk")), "no simulator")
    def test_a_log_that_is_replayed_gives_the_same_dispatches(self):
        self.image(sectors=4096)
        drive = self.drive(NEAR, "near.toml")
        log = self.path("disk.csv")
        schedulers = json.loads(self.ok("fairlead", "disk", "schedulers", "-o", "json"))
        for scheduler in [one["name"] for one in schedulers]:
            with self.subTest(scheduler=scheduler):
                self.start("--throttle", drive, "--scheduler", scheduler, "--k", "0.0625",
                           "--disk-log", log, "--cache-bytes", 0)
                self.ok("client", 4, 300, "--no-files")
                self.assertIn("log of 300 requests in " + log, self.ok("service", "status"))
                told = self.status()["throttle"]["log"]
                self.assertEqual(told, {"file": log, "requests": 300, "ended": ""})
                self.stop()
                live, simulated = self.replayed(log, scheduler)
                self.assertEqual(len(live), 300)
                self.assertGreater(len({row["owner"] for row in live}), 3)
                self.assertEqual(live, simulated)
                if scheduler == "noop":  # a comparison that could fail
                    self.assertTrue(live != self.replayed(log, scheduler, depth=1)[1])

    def test_a_log_without_room_ends_and_the_service_goes_on(self):
        self.image(sectors=4096)
        self.start("--throttle", self.drive(), "--disk-log", "/dev/full", "--k", "0.0625",
                   "--cache-bytes", 0)
        self.reads(2, 100)
        ended = eventually(lambda: self.status()["throttle"]["log"]["ended"])
        self.assertIn("No space left", ended)
        self.reads(2, 100)
        self.assertEqual(self.status()["throttle"]["log"]["requests"], 0)
        self.assertIn("log of 0 requests in /dev/full, which has ended: ",
                      self.ok("service", "status"))
        self.stop()
        with open(os.path.join(self.runtime, "block.log"), encoding="utf-8") as file:
            self.assertEqual(file.read().count("the log of requests in /dev/full has ended"), 1)

    def test_k_makes_it_as_much_slower(self):
        self.image(sectors=4096)
        means = {}
        for k in ("1", "4"):
            self.start("--throttle", self.drive(), "--k", k, "--cache-bytes", 0)
            means[k] = self.reads(1, 40)
            told = self.status()["throttle"]
            self.assertEqual((told["k"], told["k_locked"]), (float(k), True))
            self.assertIn(f" k {k} locked ", self.ok("service", "status"))
            self.stop()
        self.assertGreaterEqual(means["4"], 0.008)
        self.assertLess(means["1"], means["4"])

    def test_without_storage_and_with_the_cache_it_serves_too(self):
        self.start("--image", "null:2M", "--throttle", self.drive())
        self.assertGreaterEqual(self.reads(2, 40), 0.003)
        self.stop()
        self.image(sectors=4096)
        self.start("--throttle", self.drive())
        self.ok("client", 2, 100, "--pattern", "zipf:2", "--no-files")
        self.assertGreater(self.status()["hits"], 0)
        self.stop()

    def test_who_is_killed_hinders_nobody(self):
        self.image(sectors=4096)
        self.start("--throttle", self.drive(), "--cache-bytes", 0)
        victim = self.spawn("client", 8, 100000, "--no-files")
        self.reads(1, 20)
        victim.kill()
        victim.wait()
        self.assertLess(self.reads(1, 50), 1)
        self.stop()

    def test_what_is_wrong_is_said_in_a_line(self):
        self.image(sectors=4096)
        small = SLOW.replace("8192", "4095")
        for code, hint, words in (
                (1, "there is cheetah-15k4", ["--throttle", "floppy"]),
                (1, "No such file", ["--throttle", "./floppy.toml"]),
                (1, "has 4095 sectors, the image 4096",
                 ["--throttle", self.drive(small, "small.toml")]),
                (1, "bad.toml line 5: a drive has no key",
                 ["--throttle", self.drive(SLOW + "speed = 7\n", "bad.toml")]),
                (2, "no scheduler 'elevator'", ["--scheduler", "elevator"]),
                (2, "none of auto, lock", ["--throttle", self.drive(), "--k", "0"]),
                (1, "nothing is throttled", ["--disk-log", "log.csv"]),
                (1, "nothing is throttled", ["--k", "2", "--scheduler", "noop"]),
                (1, "there is no scheduler", ["--disk-depth", "2"]),
                (2, "--disk-depth", ["--disk-depth", "0", "--scheduler", "noop"]),
                (1, "No such file", ["--throttle", self.drive(), "--disk-log", "/none/log.csv"]),
                (2, "--disk-depth", ["--throttle", self.drive(), "--disk-depth", "0"])):
            with self.subTest(words=words):
                result = self.run_program("service", "start", *words)
                self.one_line_error(result, code)
                self.assertIn(hint, result.stderr)
                self.assertIsNone(self.service_pid())


if __name__ == "__main__":
    unittest.main()
