#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What document 000 asks for, with the programs' own names, from a user's folder."""
import json
import os
import re
import signal
import subprocess
import time
import unittest

from house import House, PROGRAMS, RESULT_LINE, eventually, scaled


class Sequence(House):
    def whole(self, *options):
        self.ok("/bin/dd", "if=/dev/urandom", "of=disk1.img", "bs=1M", "count=4", "status=none")
        said = self.start(*options)
        self.assertRegex(said, r"\Afairlead-service: serving \S*/disk1.img \(8192 sectors, ")
        each = scaled(2000, 400, 20000)
        clients = [self.spawn("client", threads, each) for threads in (1, 4, 16)]
        for client in clients:
            self.verify(client, requests=each)
        self.stop()
        expected = {"disk1.img", "run"} | {f"{kind}.{c.pid}" for kind in ("sectors", "read")
                                           for c in clients}
        self.assertEqual(set(os.listdir(self.folder)), expected)

    def test_document_000(self):
        self.whole()

    def test_document_000_with_the_pool(self):
        self.whole("--engine", "pool")

    def test_document_000_without_the_sandbox(self):
        self.whole("--no-sandbox")

    def test_a_device_of_4096_byte_sectors(self):
        """Each read is widened to whole sectors of the device; the client sees 512 bytes."""
        backing = self.image("backing.img", sectors=16384, random=True)
        device = self.loop_device(backing, sector_bytes=4096)
        self.start("--image", device)
        self.verify(self.spawn("client", 4, 2000), image=device, requests=2000)
        self.verify(self.spawn("client", 4, 2000, "--pattern", "seq"), image=device, requests=2000)
        self.stop()

    def loop_device(self, backing, sector_bytes):
        if os.geteuid() != 0:
            self.skipTest("needs root to make a loop device")
        made = subprocess.run(["losetup", "--find", "--show", "--sector-size", str(sector_bytes),
                               backing], capture_output=True, text=True, check=False)
        if made.returncode:
            self.skipTest("no loop device to be had: " + made.stderr.strip())
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=True)
        name = os.path.basename(device)
        with open(f"/sys/block/{name}/queue/logical_block_size", encoding="ascii") as file:
            self.assertEqual(int(file.read()), sector_bytes)
        return device

    def test_script_of_the_document(self):
        """The verbatim lines, with ./bin as the document has it."""
        os.symlink(PROGRAMS, self.path("bin"))
        script = os.path.join(os.path.dirname(__file__), "..", "seeds", "000.sh")
        result = self.run_program("/bin/sh", script, timeout=100)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_cache_is_at_most_one_percent_and_the_hit_ratio_is_printed(self):
        image = self.image(sectors=8192)
        self.start()
        for _ in range(2):
            self.ok("client", 4, 3000, "--pattern", "zipf:1.2", "--seed", 5)
        report = self.status()
        self.assertLessEqual(report["cache_bytes"], os.path.getsize(image) // 100)
        self.assertGreater(report["cache_bytes"], 0)
        self.assertGreater(report["hits"], 0)
        with open(f"/proc/{self.service_pid()}/fdinfo/3", encoding="ascii") as file:
            flags = int(re.search(r"flags:\s*(\d+)", file.read())[1], 8)
        self.assertTrue(flags & os.O_DIRECT)
        ratio = re.match(r"hit ratio (\d\.\d+) \((\d+) hits / (\d+)", self.stop())
        self.assertAlmostEqual(float(ratio[1]), int(ratio[2]) / int(ratio[3]), places=4)
        self.assertEqual(int(ratio[2]), report["hits"])
        limit = os.path.getsize(image) // 100
        self.start("--cache-bytes", limit)
        self.stop()
        result = self.run_program("service", "start", "--cache-bytes", limit + 1)
        self.one_line_error(result, 2)
        self.assertIn("at most 1 % of the image", result.stderr)

    def test_it_is_a_daemon(self):
        """Leads no session, a group of its own, no terminal, stdin from nowhere, folder /."""
        self.image()
        self.start()
        pid = self.service_pid()
        self.assertNotEqual(os.getsid(pid), pid)
        self.assertNotEqual(os.getpgid(pid), os.getpgid(0))
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            self.assertEqual(file.read().rsplit(")", 1)[1].split()[4], "0", "it has a terminal")
        self.stop()

    def test_json_everywhere(self):
        self.image()
        self.start()
        client = json.loads(self.ok("client", 4, 300, "-o", "json"))
        self.assertEqual(client["requests"], 300)
        self.assertEqual(client["threads"], 4)
        latency = client["latency_ns"]
        self.assertLessEqual(latency["min"], latency["mean"])
        self.assertLessEqual(latency["mean"], latency["max"])
        self.assertEqual(len(latency["histogram"]), 101)
        self.assertEqual(latency["histogram"], sorted(latency["histogram"]))
        status = json.loads(self.ok("service", "status", "-o", "json"))
        self.assertEqual(status["requests"], 301)
        self.assertEqual(status["answered"], 301)
        last = json.loads(self.ok("service", "stop", "-o", "json"))
        self.assertEqual(last["requests"], 301)
        with open(os.path.join(self.runtime, "block.last"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["requests"], 301)
        pid = next(name.split(".")[1] for name in os.listdir(self.folder) if "read." in name)
        checked = json.loads(self.ok("tool_for_integrity", "-o", "json", f"read.{pid}",
                                     "disk1.img", f"sectors.{pid}"))
        self.assertEqual(checked, {"records": 300, "matched": 300})

    def test_the_front_command_reaches_every_program(self):
        self.image()
        self.ok("fairlead", "service", "start")
        self.assertRegex(self.ok("fairlead", "client", 2, 50), RESULT_LINE)
        self.ok("fairlead", "service", "status")
        pid = next(name.split(".")[1] for name in os.listdir(self.folder) if "read." in name)
        self.ok("fairlead", "integrity", f"sectors.{pid}", f"read.{pid}", "disk1.img")
        self.stop()

    def test_integrity_finds_a_wrong_byte(self):
        self.image()
        self.start()
        client = self.spawn("client", 3, 100)
        self.verify(client, requests=100)
        with open(self.path(f"read.{client.pid}"), "r+b") as file:
            file.seek(70 * 512 + 5)
            byte = file.read(1)[0]
            file.seek(70 * 512 + 5)
            file.write(bytes([byte ^ 8]))
        result = self.run_program("tool_for_integrity", f"sectors.{client.pid}",
                                  f"read.{client.pid}", "disk1.img")
        self.assertEqual(result.returncode, 1)
        self.assertIn("99 of 100 records", result.stdout)
        self.assertRegex(result.stdout, r"first mismatch: record 70 \(sector \d+\), byte 5")
        self.stop()

    def test_two_services_of_two_names_do_not_meet(self):
        self.image()
        self.image("other.img", sectors=512, random=True)
        self.start()
        self.ok("service", "start", "--name", "other", "--image", "other.img")
        one, two = self.spawn("client", 2, 100), self.spawn("client", 2, 100, "--name", "other")
        self.verify(one)
        self.verify(two, image="other.img")
        self.ok("service", "stop", "--name", "other")
        self.served()
        os.unlink(os.path.join(self.runtime, "other.last"))
        os.unlink(os.path.join(self.runtime, "other.log"))
        self.stop()

    def test_a_null_image_is_served(self):
        self.start("--image", "null:1G")
        client = self.spawn("client", 4, 500)
        out, err = client.communicate(timeout=60)
        self.assertRegex(out, RESULT_LINE, err)
        with open(self.path(f"read.{client.pid}"), "rb") as file:
            self.assertEqual(file.read(), bytes(500 * 512))
        self.stop()


class Foreground(House):
    def serve(self, *options):
        service = self.spawn("service", "start", "--foreground", *options)
        self.assertIn("serving", service.stdout.readline())
        return service

    def test_sigterm_drains(self):
        self.image()
        service = self.serve()
        self.assertEqual(self.service_pid(), service.pid)
        self.served()
        for number in (signal.SIGTERM, signal.SIGINT):
            service.send_signal(number)
            out, err = service.communicate(timeout=30)
            self.assertEqual((service.returncode, out), (0, ""))
            self.assertRegex(err, r"info hit ratio \d")
            self.gone(service.pid, log=False)
            if number == signal.SIGTERM:
                service = self.serve()

    def filled(self, clients=8, reads=1024):
        """A service with so many reads of each client taken, at depth one: a drain takes a while,
        and thousands can take longer than the second that it is given."""
        self.image()
        service = self.serve("--queue-depth", "1", "--cache-bytes", "0", "--max-slots", "1024")
        client = self.raw("fill", clients, reads, stdin=subprocess.PIPE)
        self.assertEqual(client.stdout.readline(), "filled\n")
        eventually(lambda: self.status()["requests"] == reads * clients)
        return service

    def test_what_was_taken_is_answered_before_the_end(self):
        service = self.filled(clients=1, reads=512)
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=60)
        self.assertEqual(service.returncode, 0)
        with open(os.path.join(self.runtime, "block.last"), encoding="utf-8") as file:
            last = json.load(file)
        self.assertEqual((last["answered"], last["errors"]), (512, 0))

    def test_a_later_sigterm_forces_the_end(self):
        for _ in range(5):
            service = self.filled(clients=16)
            while service.poll() is None:  # as one does who cannot wait
                service.send_signal(signal.SIGTERM)
                time.sleep(0.02)
            service.communicate(timeout=30)
            if service.returncode == 1:
                break
        self.assertEqual(service.returncode, 1)
        self.start()  # what the forced end left is cleaned
        self.stop()


if __name__ == "__main__":
    unittest.main()
