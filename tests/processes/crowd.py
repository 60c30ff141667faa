#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many clients, and an image that others change."""
import os
import resource
import subprocess
import time
import unittest

from house import House, SANITIZED, eventually, scaled, sector_bytes


class Crowd(House):
    def setUp(self):
        super().setUp()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))

    def test_a_thousand_come_and_go(self):
        self.image()
        self.start()
        self.served()
        eventually(lambda: not self.status()["clients"])
        baseline = self.settled_resources()
        churn = [self.raw("churn", scaled(500, 150, 5000)) for _ in range(2)]
        for client in churn:
            _, err = client.communicate(timeout=100)
            self.assertEqual((client.returncode, err), (0, ""))
        self.back_to(baseline)
        self.assertEqual(self.status()["clients_seen"], 2 * scaled(500, 150, 5000) + 1)
        self.stop()

    def held(self, count):
        client = self.raw("hold", count, stdin=subprocess.PIPE)
        self.assertEqual(client.stdout.readline(), "held\n", client.poll())
        return client

    def test_three_hundred_at_once(self):
        self.image()
        self.start()
        baseline = self.settled_resources()
        crowd = self.held(300)
        self.assertEqual(len(self.status()["clients"]), 300)
        self.assertEqual(self.rings(), 300)
        self.served(8, 500)
        self.ok("service", "status")
        crowd.stdin.close()
        self.back_to(baseline)
        self.stop()

    def test_the_stated_limit_of_1024_is_reached_under_the_usual_soft_limit_of_files(self):
        """Login shells allow 1024 descriptors at first; the service may raise that by itself."""
        self.image()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4096:
            self.skipTest(f"only {hard} descriptors may be had")
        self.start_limited(1024, hard)
        crowd = [self.held(256) for _ in range(4)]
        self.assertEqual(self.status()["clients_connected"], 1024)
        self.assertIn("1024 clients connected", self.ok("service", "status"))
        result = self.run_program("client", 1, 1)
        self.one_line_error(result, 1)
        self.assertIn(f"the service is full: user {os.getuid()} has 1024 clients", result.stderr)
        crowd[0].stdin.close()
        eventually(lambda: self.status()["clients_connected"] == 768)
        self.served()
        self.stop()  # with all of them connected

    def start_limited(self, soft, hard, *options):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.ok("service", "start", *options, preexec_fn=limit)

    def test_out_of_descriptors_it_refuses_serves_the_others_and_recovers(self):
        self.image()
        if SANITIZED:
            self.skipTest("the sanitizer itself needs descriptors to look at memory (pipe(2))")
        # Whichever of the descriptors that a client needs is the first one missing.
        for limit in (64, 65, 66, 67):
            with self.subTest(limit=limit):
                self.out_of_descriptors(limit)

    def out_of_descriptors(self, limit):
        self.start_limited(limit, limit, "--max-clients", 40)
        crowd = []
        refusal = None
        while refusal is None and len(crowd) < 64:
            client = self.raw("hold", 1, stdin=subprocess.PIPE)
            if client.stdout.readline() == "held\n":
                crowd.append(client)
            else:
                refusal = client.communicate(timeout=30)[1]
        self.assertRegex(refusal, r"\A[^\n]+\n\Z")
        self.assertGreater(len(crowd), 8)
        for _ in range(40):
            self.one_line_error(self.run_program("client", 1, 1), 1)
        crowd.pop().communicate("")
        crowd.pop().communicate("")
        eventually(lambda: len(self.status()["clients"]) == len(crowd))
        for _ in range(5):
            self.served(2, 20)
        for client in crowd:
            client.communicate("")
        eventually(lambda: not self.status()["clients"])
        # As many as before find room again: refused ones left nothing behind.
        again = [self.held(1) for _ in range(len(crowd) + 2)]
        for client in again:
            client.communicate("")
        self.stop()

    def test_past_max_clients_the_refusal_says_why(self):
        self.image()
        self.start("--max-clients", 3)
        crowd = self.held(3)
        result = self.run_program("client", 1, 1)
        self.one_line_error(result, 1)
        self.assertIn(f"the service is full: user {os.getuid()} has 3 clients", result.stderr)
        self.ok("service", "status")
        crowd.communicate("")
        eventually(lambda: not self.status()["clients"])
        self.served()
        self.stop()

    def test_2000_clients_where_2000_are_allowed(self):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 8192:
            self.skipTest("needs 8192 descriptors")
        self.image()
        self.start("--max-clients", 2000, "--max-slots", 16)
        crowd = [self.held(500) for _ in range(4)]
        self.assertEqual(self.rings(), 2000)
        result = self.run_program("client", 1, 1)
        self.one_line_error(result, 1)
        for client in crowd:
            client.stdin.close()
        self.stop()


class ChangingImage(House):
    def serve_and_read_all(self):
        image = self.image(sectors=512)
        self.start()
        self.ok("client", 4, 512, "--pattern", "seq", "--no-files")
        return image

    def read_all(self):
        """Every sector in turn; how the client ended, and what it got."""
        client = self.spawn("client", 1, 512, "--pattern", "seq")
        out, err = client.communicate(timeout=60)
        if client.returncode != 0:
            return err
        with open(self.path(f"read.{client.pid}"), "rb") as file:
            return file.read()

    def test_truncated_only_the_vanished_sectors_fail(self):
        image = self.serve_and_read_all()
        os.truncate(image, 300 * 512)
        eventually(lambda: "changed its size" in self.log() or not self.ok(
            "client", 1, 300, "--pattern", "seq", "--no-files"))
        client = self.spawn("client", 1, 300, "--pattern", "seq")
        self.verify(client, requests=300)
        self.assertRegex(self.read_all(), r"\Afairlead-client: read sector 300: .*device failed")
        self.served_below(300)
        self.stop()

    def served_below(self, count):
        self.ok("client", 4, count, "--pattern", "seq", "--no-files")

    def log(self):
        with open(os.path.join(self.runtime, "block.log"), encoding="utf-8") as file:
            return file.read()

    def test_written_the_new_bytes_are_read(self):
        image = self.serve_and_read_all()
        with open(image, "r+b") as file:
            for sector in range(512):
                file.write(sector_bytes(sector, seed=2))
            file.flush()
            os.fsync(file.fileno())
        want = b"".join(sector_bytes(sector, seed=2) for sector in range(512))
        eventually(lambda: self.read_all() == want)
        self.assertIn("written by another program", self.log())
        self.stop()

    def test_grown_the_geometry_stays(self):
        image = self.serve_and_read_all()
        os.truncate(image, 1024 * 512)
        eventually(lambda: self.read_all() and "changed its size" in self.log())
        self.assertEqual(self.read_all(), b"".join(sector_bytes(s) for s in range(512)))
        self.stop()

    def test_replaced_the_opened_one_is_served(self):
        image = self.serve_and_read_all()
        os.rename(self.image("other.img", sectors=512, random=True), image)
        eventually(lambda: self.read_all() and "names another file" in self.log())
        self.assertEqual(self.read_all(), b"".join(sector_bytes(s) for s in range(512)))
        self.stop()


class SerialIdle(House):
    def cpu_seconds(self, pid):
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def test_a_hundred_idle_clients_cost_nothing(self):
        self.image()
        self.start()
        crowd = self.raw("hold", 100, stdin=subprocess.PIPE)
        self.assertEqual(crowd.stdout.readline(), "held\n")
        pid = self.service_pid()
        last = [self.cpu_seconds(pid)]

        def asleep():
            last.append(self.cpu_seconds(pid))
            return last[-1] == last[-2]

        eventually(asleep, nap=0.05)
        span = scaled(3, 3, 30)
        time.sleep(span)  # is what is measured
        share = (self.cpu_seconds(pid) - last[-1]) / span
        print(f"idle with 100 clients: {share * 100:.4f} % of a core")
        self.assertLess(share, 0.001 + 0.002)
        crowd.communicate("")
        self.stop()


if __name__ == "__main__":
    unittest.main()
