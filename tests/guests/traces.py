# SPDX-License-Identifier: Apache-2.0
"""A guest traces its own disk into its card's memory, or through its port, and the host reads it.

What the guest did is counted by two who have no part in tracing: the guest's load, in bytes, and
QEMU, in requests.

usage: traces.py CLASS[.test_name]     environment: FL_PROGRAMS, the folder of the programs;
                                       FL_RELAY_READER, the program relay_reader
"""
import collections
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from rig import MIB, PATIENCE_S, Background, RigTest, main, run, until

READER = os.environ.get("FL_RELAY_READER", "relay_reader")
QUEUE, ISSUE, COMPLETE = 1, 7, 8
READ = 1
SECTOR = 512
VDA = 254 << 20  # the first virtio disk
FULL, KERNEL = 1, 7  # causes of losses
FRAME = struct.Struct("<IHHQ48s")  # of the port: length, type, sequence, stamp, payload
RECORD = struct.Struct("<HHHHQ48s")  # of a recording: kind, source, stream, 0, stamp, payload
BLOCK, DEVICE, LOSS, CLOCK = 1, 3, 4, 6  # types of both, but for the last
HELLO, ANSWER, END = 0x100, 0x101, 0x102


def recorded(path):
    """(kind, payload) of each whole record of a recording."""
    data = pathlib.Path(path).read_bytes()[64:]
    return [(kind, payload) for kind, _, _, _, _, payload in
            RECORD.iter_unpack(data[:len(data) // RECORD.size * RECORD.size])]


def block_of(payload):
    """(act, sector, bytes, device) of a block event."""
    sector, _, _, size, action, device = struct.unpack_from("<QQQIII", payload)
    return action & 0xffff, sector, size, device


def clock_of(records):
    """(offset, half width) of what was known of the guest's clock at last."""
    return [struct.unpack_from("<qQ", payload) for kind, payload in records if kind == CLOCK][-1]


class Port:
    """The host's end of a guest's trace port, decoded by nothing of ours."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)

    def frames(self, session):
        """Of that session, (type, payload), to its end."""
        data, began, turn, frames = b"", False, 0, []
        while True:
            at = 0
            if not began:
                at = max(data.find(struct.pack("<IHHQQ", 64, HELLO, 0, 0, session)), 0)
                began = data[at + 4:at + 6] == struct.pack("<H", HELLO) and len(data) >= at + 64
            while began and len(data) - at >= FRAME.size:
                length, kind, sequence, _, payload = FRAME.unpack_from(data, at)
                at += FRAME.size
                assert length == FRAME.size, frames[-3:]
                if kind == ANSWER:
                    continue
                assert sequence == turn % 65536, (sequence, turn)
                turn += 1
                frames.append((kind, payload))
                if kind == END:
                    return frames
            data = data[at:] + self.socket.recv(1 << 16)

    def close(self):
        self.socket.close()


class TraceCase(RigTest):
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
        return self.record_guest(guest, "--host", loop, *more)

    def record_guest(self, guest, *more):
        pathlib.Path(self.recording()).unlink(missing_ok=True)
        recorder = Background(self.rig, "trace", "fairlead-trace", "record", "--guest",
                              guest["name"], "--file", self.recording(), *more)
        self.addCleanup(recorder.kill)
        until("it is traced", lambda: os.path.exists(self.recording()) or not recorder.running())
        self.assertTrue(recorder.running(), recorder.errors())
        return recorder

    def recording(self):
        return f"{self.rig.folder}/{self.id().rsplit('.', 1)[1]}.flt"

    def report(self, recorder):
        self.assertEqual(recorder.stop(), 0, recorder.errors())
        return json.loads(run("fairlead-trace", "report", self.recording(), "-o", "json").stdout)

    def record_load(self, guest, size):
        """What a recording of that guest alone holds, and how many requests QEMU counted."""
        before = self.requests(guest["name"])
        recorder = self.record_guest(guest)
        self.read_disk(guest, size)
        report = self.report(recorder)
        after = self.requests(guest["name"])
        self.assertEqual(after[1] - before[1], size)
        return recorded(self.recording()), report, after[0] - before[0]

    def stages_of_a_read(self, guest, loop, most_bound_ns):
        """The report of a read of 16 MiB and its one pair: whole, as many requests as QEMU saw."""
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
        self.assertLessEqual(pair["bound_ns"], most_bound_ns)
        return report, pair

    def check_blocks(self, records, requests, size):
        """Each byte once in each act, as many requests as QEMU counted; the counts by act."""
        blocks = collections.defaultdict(list)
        for kind, payload in records:
            if kind == BLOCK:
                act, sector, length, device = block_of(payload)
                self.assertEqual(device, VDA)
                blocks[act].append((sector, length))
        for act in (QUEUE, ISSUE, COMPLETE):
            at = 0
            for sector, length in sorted(blocks[act]):
                self.assertEqual(sector, at // SECTOR)
                at += length
            self.assertEqual(at, size)
        self.assertEqual((len(blocks[ISSUE]), len(blocks[COMPLETE])), (requests, requests))
        return {act: len(blocks[act]) for act in (QUEUE, ISSUE, COMPLETE)}


class Traces(TraceCase):
    def test_the_host_gets_all_that_the_guest_read(self):
        guest = self.up("--disk", "--relay", "4M")
        self.assertEqual(os.stat(guest["relay"]).st_size, 4 * MIB)
        self.assertEqual(os.stat(guest["relay"]).st_mode & 0o777, 0o600)
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

    def test_a_guests_read_is_split_into_its_five_stages(self):
        loop = self.loop_device(16)
        guest = self.up("--disk-path", loop, "--relay", "4M")
        report, pair = self.stages_of_a_read(guest, loop, 5000)
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

    def test_who_is_not_there_is_told(self):
        self.up("--disk")
        done = run("fairlead-trace", "record", "--guest", "nobody", check=False, env=self.rig.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no guest nobody", done.stderr)
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


class Ports(TraceCase):
    """Without a card, or with one out of sight."""

    def test_the_port_says_what_the_card_says(self):
        """One guest with both; with its card's memory out of sight the port is taken."""
        clocks = {}
        guest = self.up("--disk", "--relay", "4M")
        for way, size in (("card", 2 * MIB), ("port", 2 * MIB), ("card", 4 * MIB)):
            hidden = guest["relay"] + ".hidden"
            if way == "port":
                os.rename(guest["relay"], hidden)
            try:
                records, report, requests = self.record_load(guest, size)
            finally:
                if way == "port":
                    os.rename(hidden, guest["relay"])
            self.assertEqual(report["lost"], 0, way)
            seen = self.check_blocks(records, requests, size)
            devices = [payload[4:7] for kind, payload in records if kind == DEVICE]
            self.assertEqual(devices, [b"vda"])
            clocks[way] = clock_of(records)
            [source] = report["sources"]
            self.assertTrue(source["clock_known"])
            print(f"\nby {way}: {seen}, clock ± {source['bound_ns']} ns", flush=True)
        with self.subTest("both bounds hold the truth: they have something in common"):
            (card, card_width), (port, port_width) = clocks["card"], clocks["port"]
            self.assertLessEqual(abs(card - port), card_width + port_width)

    def test_a_guest_without_a_card_is_split_into_stages_too(self):
        loop = self.loop_device(16)
        guest = self.up("--disk-path", loop)
        self.stages_of_a_read(guest, loop, 5_000_000)

    def test_what_the_port_does_not_take_is_counted_and_told(self):
        guest = self.up("--disk")
        port = Port(guest["port"])
        self.addCleanup(port.close)
        words = "trace start disk=vda port=%d queue_kib=16"
        self.assertEqual(self.ask(guest, words % 5), "ok bytes=16384")
        self.assertIn("error it is being traced", self.ask(guest, words % 6))
        self.read_disk(guest, 768 * MIB)  # and nobody reads
        answer = []
        asking = threading.Thread(target=lambda: answer.append(self.ask(guest, "trace stop")))
        asking.start()
        frames = port.frames(5)
        asking.join()
        sums = self.sums(answer[0])
        self.assertGreater(sums["relay_lost"], 0)
        self.assertEqual(sums["unreadable"], 0)
        kinds = collections.Counter(kind for kind, _ in frames)
        losses = [struct.unpack_from("<QQQQI", payload) for kind, payload in frames
                  if kind == LOSS]
        told = collections.Counter()
        for records, _, first, last, cause in losses:
            told[cause] += records
            self.assertLessEqual(first, last)
        self.assertEqual(told[FULL], sums["relay_lost"])
        self.assertEqual(told[KERNEL], sums["kernel_lost"])
        # Names and devices are records, too.
        records = sum(kinds[kind] for kind in (1, 2, 3)) + sums["relay_lost"]
        self.assertGreaterEqual(records, sums["events"])
        self.assertEqual(struct.unpack_from("<QQ", frames[-1][1]),
                         (sum(kinds[kind] for kind in (1, 2, 3, 4)), sum(told.values())))
        print(f"\n{sums}, {kinds[1]} events came, {kinds[LOSS]} gaps", flush=True)

    def test_a_recorder_that_was_stopped_tells_what_is_missing(self):
        guest = self.up("--disk")
        recorder = self.record_guest(guest)
        self.read_disk(guest, MIB)
        recorder.signal(signal.SIGSTOP)
        self.rig.lab("load", guest["name"], "mem:cache,limit=1G,rate=4G")
        until("all is read",
              lambda: self.rig.guests()[0]["report"]["load_bytes"] == 1024 * MIB)
        recorder.signal(signal.SIGCONT)
        report = self.report(recorder)
        self.assertFalse(report["cut"])
        records = recorded(self.recording())
        told = sum(struct.unpack_from("<Q", payload)[0] for kind, payload in records
                   if kind == LOSS)
        self.assertEqual(report["lost"], told)
        print(f"\n{report['lost']} lost while the recorder was stopped", flush=True)

    def test_a_recorder_that_is_killed_is_followed_by_another(self):
        for card in ([], ["--relay", "4M"]):
            with self.subTest(card=card):
                guest = self.up("--disk", *card)
                for _ in range(3):
                    recorder = self.record_guest(guest)
                    beside = run("fairlead-trace", "record", "--guest", guest["name"],
                                 check=False, env=self.rig.env)
                    self.assertEqual(beside.returncode, 1)
                    self.assertIn(str(recorder.process.pid), beside.stderr)
                    self.rig.lab("load", guest["name"], "mem:cache,limit=64M,rate=1G")
                    until("something is recorded",
                          lambda: os.path.getsize(self.recording()) > 64 * 100)
                    recorder.kill()
                    self.rig.lab("load", guest["name"], "stop")
                self.assertTrue(json.loads(run("fairlead-trace", "report", self.recording(), "-o",
                                               "json").stdout)["cut"])
                records, report, requests = self.record_load(guest, 2 * MIB)
                self.assertEqual(report["lost"], 0)
                self.check_blocks(records, requests, 2 * MIB)
                self.rig.lab("down")

    def test_a_tracer_that_is_killed_is_told(self):
        """By the guest's own shell; its port falls silent, and nothing else changes."""
        guest = self.up("--disk")
        recorder = self.record_guest(guest)
        self.read_disk(guest, MIB)
        terminal = os.open(self.rig.virsh("ttyconsole", guest["name"]).strip(),
                           os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, terminal)
        kill = ("for p in /proc/[0-9]*; do grep -q fairlead-trace $p/comm && "
                "kill -9 ${p#/proc/}; done; echo done-$((6*7))\n")
        os.write(terminal, b"\n")
        until("a shell", lambda: b"#" in os.read(terminal, 4096))
        os.write(terminal, kill.encode())
        until("killed", lambda: b"done-42" in pathlib.Path(guest["console"]).read_bytes())
        self.assertTrue(recorder.running())
        self.assertEqual(recorder.stop(), 1)
        self.assertIn("the tracer ended", recorder.errors())
        report = json.loads(run("fairlead-trace", "report", self.recording(), "-o",
                                "json").stdout)
        self.assertEqual((report["lost"], report["cut"]), (1, False))
        records, report, requests = self.record_load(guest, MIB)
        self.check_blocks(records, requests, MIB)

    def test_a_guest_that_ends_ends_its_part_of_the_trace(self):
        for card in ([], ["--relay", "4M"]):
            with self.subTest(card=card):
                guest = self.up("--disk", *card)
                recorder = self.record_guest(guest)
                self.read_disk(guest, MIB)
                self.rig.virsh("destroy", guest["name"])
                self.assertEqual(recorder.wait(), 1)
                self.assertEqual(recorder.errors().count("\n"), 1)
                self.assertIn("ended meanwhile", recorder.errors())
                report = json.loads(run("fairlead-trace", "report", self.recording(), "-o",
                                        "json").stdout)
                self.assertEqual(report["lost"], 1)
                self.assertGreater(report["events"], 0)
                self.assertFalse(report["cut"])
                self.rig.lab("down")


if __name__ == "__main__":
    sys.exit(main(["Traces", "Ports"]))
