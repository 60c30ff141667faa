# SPDX-License-Identifier: Apache-2.0
"""A guest traces its own disk into its card's memory, and the host reads it there.

What the guest did is counted by two who have no part in tracing: the guest's load, in bytes, and
QEMU, in requests.

usage: traces.py CLASS[.test_name]     environment: FL_PROGRAMS, the folder of the programs;
                                       FL_RELAY_READER, the program relay_reader
"""
import collections
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

from rig import MIB, PATIENCE_S, Background, RigTest, main, run, until

READER = os.environ.get("FL_RELAY_READER", "relay_reader")
QUEUE, ISSUE, COMPLETE = 1, 7, 8
READ = 1
SECTOR = 512
VDA = 254 << 20  # the first virtio disk


class Traces(RigTest):
    def setUp(self):
        self.addCleanup(self.rig.lab, "down")
        self.number = 0

    def up(self, *words):
        self.rig.up("--vms", "1", "--memory", "128", "--max", "128", *words)
        return self.rig.guests()[0]

    def ask(self, guest, words):
        """One command to the agent; what stands behind the number."""
        self.number += 1
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(PATIENCE_S)
            agent.connect(guest["agent"])
            agent.sendall(f"{self.number} {words}\n".encode())
            with agent.makefile("r", encoding="ascii") as answers:
                for line in answers:
                    number, _, answer = line.strip().partition(" ")
                    if number == str(self.number):
                        return answer
        raise AssertionError(f"no answer to {words}")

    def reader(self, guest):
        process = subprocess.Popen([READER, guest["relay"], str(PATIENCE_S)],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def requests(self, name):
        """(requests, bytes) that QEMU has read for the guest."""
        words = self.rig.virsh("domblkstat", name, "vda").split()
        numbers = dict(zip(words[1::3], words[2::3]))
        return int(numbers["rd_req"]), int(numbers["rd_bytes"])

    def read_disk(self, guest, size):
        self.rig.lab("load", guest["name"], f"mem:cache,limit={size},rate=1G")
        until("all is read", lambda: self.rig.guests()[0]["report"]["load_bytes"] == size)
        self.rig.lab("load", guest["name"], "stop")

    def sums(self, answer):
        words = answer.split()
        self.assertEqual(words[0], "ok", answer)
        return {key: int(value) for key, value in (word.split("=") for word in words[1:])}

    def events(self, process):
        out, _ = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0)
        return [json.loads(line) for line in out.splitlines()]

    def test_the_host_gets_all_that_the_guest_read(self):
        guest = self.up("--disk", "--relay", "4M")
        self.assertEqual(os.stat(guest["relay"]).st_size, 4 * MIB)
        before = self.requests(guest["name"])
        self.assertEqual(self.ask(guest, "trace start disk=vda").split("=")[0], "ok bytes")
        reader = self.reader(guest)
        self.read_disk(guest, 2 * MIB)
        sums = self.sums(self.ask(guest, "trace stop"))
        after = self.requests(guest["name"])
        said = self.events(reader)
        blocks = collections.defaultdict(list)
        for event in said:
            if event["event"] == "block":
                self.assertEqual(event["device"], VDA)
                self.assertTrue(event["categories"] & READ)
                blocks[event["act"]].append(event)
        requests, size = after[0] - before[0], after[1] - before[1]
        self.assertEqual(size, 2 * MIB)
        for act in (QUEUE, ISSUE, COMPLETE):
            with self.subTest(act=act):
                covered = sorted((event["sector"], event["bytes"]) for event in blocks[act])
                at = 0
                for sector, length in covered:  # each byte once
                    self.assertEqual(sector, at // SECTOR)
                    at += length
                self.assertEqual(at, 2 * MIB)
        self.assertEqual(len(blocks[ISSUE]), requests)
        self.assertEqual(len(blocks[COMPLETE]), requests)
        self.assertEqual(sums, {"events": sum(map(len, blocks.values())), "kernel_lost": 0,
                                "unreadable": 0, "relay_lost": 0})
        self.assertEqual([event["name"] for event in said if event["event"] == "device"], ["vda"])
        stamps = [event["stamp"] for event in blocks[COMPLETE]]
        self.assertEqual(stamps, sorted(stamps))
        self.assertEqual(said[-1]["attempts"], said[-1]["delivered"])

    def test_what_the_channel_has_no_room_for_is_counted(self):
        guest = self.up("--disk", "--relay", "1M")
        self.assertIn("ok ", self.ask(guest, "trace start disk=vda pause_us=20000"))
        self.assertIn("error it is being traced", self.ask(guest, "trace start"))
        self.read_disk(guest, 768 * MIB)
        sums = self.sums(self.ask(guest, "trace stop"))
        self.assertEqual(self.ask(guest, "trace stop"), "error nothing is being traced")
        self.assertGreater(sums["relay_lost"], 0)
        said = self.events(self.reader(guest))  # the oldest of them are still there
        self.assertEqual(said[-1]["attempts"] - said[-1]["delivered"], sums["relay_lost"])
        self.assertGreater(said[-1]["delivered"], 8000)  # 32 sub-buffers of 16 KiB
        told = sum(event["records"] for event in said if event["event"] == "loss")
        self.assertLessEqual(told, sums["kernel_lost"])
        with self.subTest("another one begins anew, in the same memory"):
            self.assertIn("ok ", self.ask(guest, "trace start disk=vda"))
            reader = self.reader(guest)
            self.assertEqual(self.sums(self.ask(guest, "trace stop"))["events"], 0)
            self.assertEqual([event["event"] for event in self.events(reader)], ["end"])

    def test_a_loop_device_as_disk_and_no_card(self):
        guest = self.up("--disk-path", self.loop_device(1))
        self.assertEqual(guest["relay"], "")
        self.read_disk(guest, MIB)
        self.assertEqual(self.requests(guest["name"])[1] % SECTOR, 0)
        self.assertGreaterEqual(self.requests(guest["name"])[1], MIB)
        self.assertIn("ivshmem", self.ask(guest, "trace start"))
        self.assertTrue(self.ask(guest, "trace start disk=vdz").startswith("error "))
        self.assertTrue(self.ask(guest, "ping").startswith("ok"))

    def loop_device(self, mebibytes):
        image = pathlib.Path(self.rig.folder) / "image"
        image.write_bytes(os.urandom(MIB) * mebibytes)
        made = subprocess.run(["losetup", "-f", "--show", "--direct-io=on", image],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            self.skipTest("no loop device to be had: " + made.stderr.strip())
        loop = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", loop], check=True)
        self.addCleanup(self.rig.lab, "down")
        return loop

    def record(self, guest, loop, *more):
        if not os.path.isdir("/sys/kernel/tracing/instances"):
            self.skipTest("no tracefs with instances")
        recorder = Background(self.rig, "trace", "fairlead-trace", "record", "--guest",
                              guest["name"], "--host", loop, "--file", self.recording(), *more)
        self.addCleanup(recorder.kill)
        until("it is traced", pathlib.Path(self.recording()).exists)
        return recorder

    def recording(self):
        return f"{self.rig.folder}/{self.id().rsplit('.', 1)[1]}.flt"

    def report(self, recorder):
        self.assertEqual(recorder.stop(), 0, recorder.errors())
        return json.loads(run("fairlead-trace", "report", self.recording(), "-o", "json").stdout)

    def test_a_guests_read_is_split_into_its_five_stages(self):
        loop = self.loop_device(16)
        guest = self.up("--disk-path", loop, "--relay", "4M")
        before = self.requests(guest["name"])
        recorder = self.record(guest, loop)
        self.read_disk(guest, 16 * MIB)
        report = self.report(recorder)
        requests = self.requests(guest["name"])[0] - before[0]
        self.assertEqual(report["lost"], 0)
        [pair] = report["pairs"]
        print(f"\n{pair['ios']} I/Os in {pair['requests']} requests, clock ± {pair['bound_ns']} ns",
              flush=True)
        self.assertEqual(pair["requests"], requests)
        self.assertEqual((pair["residual_ns"], pair["unmatched"], pair["ambiguous"],
                          pair["violations"]), (0, 0, 0, 0))
        self.assertLessEqual(pair["bound_ns"], 5000)
        total = sum(stage["mean_ns"] for name, stage in pair["stages"].items() if name != "Q2C")
        self.assertAlmostEqual(total / pair["stages"]["Q2C"]["mean_ns"], 1, places=6)
        for device in report["devices"]:
            self.assertGreaterEqual(device["read_bytes"], 16 * MIB)

    def test_a_guest_whose_clock_stopped_is_split_there(self):
        loop = self.loop_device(16)
        guest = self.up("--disk-path", loop, "--relay", "4M")
        recorder = self.record(guest, loop)
        self.read_disk(guest, 8 * MIB)
        self.rig.virsh("suspend", guest["name"])
        time.sleep(1)  # the guest's counter stands still meanwhile
        self.rig.virsh("resume", guest["name"])
        time.sleep(2)  # a look at the clock each second
        self.read_disk(guest, 8 * MIB)
        report = self.report(recorder)
        source = next(one for one in report["sources"] if one["name"] == guest["name"])
        self.assertEqual((source["clock_known"], source["clock_steps"]), (True, 1))
        [pair] = report["pairs"]
        self.assertGreater(pair["ios"], 0)
        self.assertEqual((pair["residual_ns"], pair["violations"]), (0, 0))

    def test_who_has_no_card_is_told_how_to_get_one(self):
        self.up("--disk")
        for name, what in (("aos_1", "no relay card"), ("nobody", "no guest nobody")):
            done = run("fairlead-trace", "record", "--guest", name, check=False, env=self.rig.env)
            self.assertEqual(done.returncode, 1)
            self.assertIn(what, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_down_removes_the_cards_memory(self):
        guest = self.up("--relay", "1M")
        self.assertTrue(os.path.exists(guest["relay"]))
        self.rig.lab("down")
        self.assertFalse(os.path.exists(guest["relay"]))
        for wrong in ("3M", "512K", "2G", "0", "x"):
            refused = self.rig.lab("up", "--relay", wrong, check=False)
            self.assertEqual(refused.returncode, 2, wrong)
            self.assertIn("--relay", refused.stderr)


if __name__ == "__main__":
    sys.exit(main(["Traces"]))
