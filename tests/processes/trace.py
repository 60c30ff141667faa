#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`fairlead trace` on a block service: record, report, and everything that can go wrong."""
import fcntl
import json
import os
import resource
import signal
import unittest

from house import House, PROGRAMS, SANITIZED, eventually, scaled


class Trace(House):
    """A service runs, its image random."""

    def setUp(self):
        super().setUp()
        self.image(sectors=8192)

    def trace(self, *words, **more):
        return self.run_program("fairlead-trace", *words, **more)

    def record_client(self, threads, requests, *more):
        """What the recorder said of a client that it ran."""
        out = self.ok("fairlead-trace", "record", "--service", "block", "-o", "json", *more, "--",
                      os.path.join(PROGRAMS, "fairlead-client"), threads, requests, "--no-files")
        return json.loads(out.splitlines()[-1])

    def report(self, file="trace.flt"):
        return json.loads(self.ok("fairlead-trace", "report", file, "-o", "json"))

    def recording(self, *words):
        """A recorder that has begun."""
        recorder = self.spawn("fairlead-trace", "record", "--service", "block", *words)
        eventually(lambda: os.path.exists(self.path("trace.flt")))
        return recorder

    def test_every_read_is_split_into_its_five_stages(self):
        self.start()
        requests = scaled(2000, 500, 20000)
        said = self.record_client(4, requests)
        self.assertEqual(said["lost"], 0)
        report = self.report()
        self.assertEqual((report["events"], report["cut"]), (said["events"], False))
        [pair] = report["pairs"]
        # A call that began before the client heard of the recorder has no marks.
        self.assertLessEqual(pair["ios"], requests)
        self.assertGreaterEqual(pair["ios"], requests - 8)
        self.assertEqual((pair["residual_ns"], pair["unmatched"], pair["ambiguous"],
                          pair["violations"]), (0, 0, 0, 0))
        stages = pair["stages"]
        self.assertEqual(set(stages), {"U-Q2D", "U-T", "0-Q2D", "0-D2C", "0-T", "Q2C"})
        total = sum(stage["mean_ns"] for name, stage in stages.items() if name != "Q2C")
        self.assertAlmostEqual(total / stages["Q2C"]["mean_ns"], 1, places=6)
        back = next(one for one in report["devices"] if one["device"] == "service of block")
        self.assertEqual(back["queued"], requests + 1)  # and the question for the geometry
        self.assertEqual(back["completed"], requests + 1)
        self.assertEqual(back["processes"][0]["name"].split(" ")[0], "client")
        self.stop()

    def test_who_came_before_the_recorder_is_traced_too(self):
        self.start()
        client = self.spawn("fairlead-client", 2, "--duration", "20s", "--no-files")
        eventually(lambda: self.status()["requests"] > 100)
        recorder = self.recording("--duration", "1s")
        self.assertEqual(recorder.wait(20), 0)
        client.kill()
        pair = self.report()["pairs"][0]
        self.assertGreater(pair["ios"], 100)
        self.assertEqual(pair["residual_ns"], 0)
        self.kill_service()

    def test_a_signal_ends_the_recording_whole(self):
        self.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            recorder = self.recording()
            self.ok("fairlead-client", 1, 100, "--no-files")
            recorder.send_signal(number)
            out, err = recorder.communicate(timeout=20)
            self.assertEqual((recorder.returncode, err), (0, ""))
            self.assertRegex(out, r"\Atrace.flt: \d+ events, 0 lost\n\Z")
            self.assertFalse(self.report()["cut"])
            os.unlink(self.path("trace.flt"))
        self.stop()

    def test_a_killed_recorder_leaves_what_it_had_and_room_for_the_next(self):
        self.start()
        recorder = self.recording()
        self.ok("fairlead-client", 4, 2000, "--no-files")
        eventually(lambda: os.path.getsize(self.path("trace.flt")) > 4096)
        recorder.kill()
        recorder.wait()
        report = self.report()
        self.assertTrue(report["cut"])
        self.assertGreater(report["events"], 0)
        self.assertEqual(self.record_client(1, 100)["lost"], 0)
        self.stop()

    def test_a_service_that_ends_or_dies_ends_the_recording(self):
        for end in (self.stop, self.kill_service):
            self.start()
            recorder = self.recording()
            self.ok("fairlead-client", 1, 100, "--no-files")
            end()
            out, err = recorder.communicate(timeout=20)
            self.assertEqual((recorder.returncode, err), (0, ""), out)
            report = self.report()
            self.assertGreaterEqual(report["pairs"][0]["ios"], 90)
            os.unlink(self.path("trace.flt"))

    def test_a_second_recorder_is_refused(self):
        self.start()
        first = self.recording()
        self.one_line_error(self.trace("record", "--service", "block", "-f", "other.flt"), 1)
        self.assertFalse(os.path.exists(self.path("other.flt")))
        first.terminate()
        self.assertEqual(first.wait(20), 0)
        self.stop()

    def test_a_recorder_that_is_too_slow_loses_and_says_where(self):
        self.start()
        recorder = self.recording()
        recorder.send_signal(signal.SIGSTOP)
        self.ok("fairlead-client", 8, 20000, "--no-files")
        recorder.send_signal(signal.SIGCONT)
        self.ok("fairlead-client", 1, 100, "--no-files")
        recorder.send_signal(signal.SIGINT)
        recorder.communicate(timeout=20)
        report = self.report()
        self.assertGreater(report["lost"], 0)
        self.assertEqual({loss["cause"] for loss in report["losses"]}, {"full"})
        back = next(one for one in report["devices"] if one["device"] == "service of block")
        front = next(one for one in report["devices"] if one["device"] == "clients of block")
        touched = ("unknown", "strange", "open_ios", "open_requests")
        self.assertGreater(sum(one[name] for one in (back, front) for name in touched), 0, report)
        # Whatever was lost, no time is longer than the whole.
        for pair in report["pairs"]:
            self.assertEqual((pair["residual_ns"], pair["violations"]), (0, 0))
        self.stop()

    def test_live_shows_the_stages_while_they_happen(self):
        self.start()
        client = self.spawn("fairlead-client", 2, "--duration", "30s", "--no-files")
        out = self.ok("fairlead-trace", "live", "--service", "block", "--interval", "0.3",
                      "--rounds", 4, "-o", "json")
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([event["event"] for event in events],
                         ["start"] + 4 * ["interval"] + ["end"])
        for event in events[2:5]:
            [pair] = event["report"]["pairs"]
            self.assertGreater(pair["ios"], 10)
            self.assertEqual((pair["residual_ns"], event["report"]["lost"]), (0, 0))
        text = self.ok("fairlead-trace", "live", "--service", "block", "--interval", "0.3",
                       "--rounds", 2)
        self.assertEqual(text.count("0-D2C"), 2)
        self.assertNotIn("\x1b", text)
        client.kill()
        self.kill_service()

    def test_pictures(self):
        self.start()
        self.record_client(2, 500)
        self.ok("fairlead-trace", "report", "trace.flt", "--plot", "plots")
        for name in ("stages", "seeks"):
            with open(self.path(f"plots/{name}.svg"), encoding="utf-8") as file:
                self.assertIn("</svg>", file.read())
        self.stop()

    def test_no_name_in_a_recording_is_a_command(self):
        """gnuplot runs what stands in backquotes; a name may come from a guest."""
        self.start()
        self.record_client(1, 20)
        with open(self.path("trace.flt"), "rb") as file:
            records = list(iter(lambda: file.read(64), b""))
        command = b"`touch ran`"
        heads = {b"\x03\x00": 20, b"\x05\x00": 18}  # of a device and a source, before the name
        with open(self.path("trace.flt"), "wb") as file:
            file.write(records[0])
            for record in records[1:]:
                head = heads.get(record[:2], 64)
                file.write(record[:head] + command.ljust(64, b"\0")[:64 - head])
        self.assertIn(command.decode(), self.ok("fairlead-trace", "report", "trace.flt"))
        self.ok("fairlead-trace", "report", "trace.flt", "--plot", "plots")
        self.assertTrue(os.path.exists(self.path("plots/seeks.svg")))
        self.assertEqual([name for name in ("ran", "plots/ran")
                          if os.path.exists(self.path(name))], [])
        self.stop()

    def test_wrong_words(self):
        for words in ([], ["record", "--duration", "x"], ["record", "--service", ""],
                      ["report", "a", "b"], ["rec"], ["record", "-f", "", "--service", "block"]):
            with self.subTest(words=words):
                self.assertEqual(self.trace(*words).returncode, 2)
        for words in (["record"], ["record", "--service", "nobody"], ["report", "nowhere.flt"],
                      ["report", "disk1.img"]):
            with self.subTest(words=words):
                self.one_line_error(self.trace(*words), 1)
        self.assertFalse(os.path.exists(self.path("trace.flt")))
        self.start()
        self.one_line_error(self.trace("record", "--service", "block", "-f", "no/such/folder"), 1)
        self.one_line_error(self.trace("record", "--service", "block", "--", "no-such-program"), 1)
        failed = self.trace("record", "--service", "block", "--", "false")
        self.assertEqual(failed.returncode, 1)
        self.assertIn("false ended with 1", failed.stderr)
        self.stop()

    def test_a_commands_options_are_its_own(self):
        self.start()
        out = self.ok("fairlead-trace", "record", "--service", "block", "--", "printf", "%s,",
                      "--duration", "-f", "--")
        self.assertTrue(out.startswith("--duration,-f,--,trace.flt:"), out)
        self.stop()

    def test_a_command_gets_its_signals_as_they_were(self):
        self.start()
        said = self.ok("fairlead-trace", "record", "--service", "block", "--", "grep", "-E",
                       "^Sig(Blk|Ign):", "/proc/self/status")
        for line in said.splitlines()[:2]:
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                self.assertEqual(int(line.split()[1], 16) & (1 << number - 1), 0, line)
        self.assertEqual(int(said.split()[1], 16), 0, said)
        self.stop()

    def test_a_command_ends_with_its_recording(self):
        """However that ends, and whatever the command thinks of signals."""
        self.start()
        for number, words in ((None, ["--duration", "0.3s"]), (signal.SIGINT, []),
                              (signal.SIGTERM, [])):
            for trap in ("", "trap '' TERM INT; "):
                with self.subTest(number=number, trap=trap):
                    recorder = self.spawn("fairlead-trace", "record", "--service", "block", *words,
                                          "--", "sh", "-c",
                                          trap + "echo $$ >pid; while :; do sleep 0.1; done")
                    eventually(lambda: os.path.exists(self.path("pid")) and
                               os.path.getsize(self.path("pid")) > 0)
                    if number:
                        recorder.send_signal(number)
                    out, err = recorder.communicate(timeout=20)
                    self.assertEqual((recorder.returncode, err), (0, ""), out)
                    with open(self.path("pid"), encoding="ascii") as file:
                        self.assertFalse(os.path.exists("/proc/" + file.read().strip()))
                    os.unlink(self.path("pid"))
                    self.assertFalse(self.report()["cut"])
        self.stop()

    def test_two_recorders_do_not_share_a_file(self):
        """The lock on it is flock's."""
        self.start()
        first = self.recording()
        with open(self.path("trace.flt"), "rb") as file:
            with self.assertRaises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            first.terminate()
            self.assertEqual(first.wait(20), 0)
            fcntl.flock(file, fcntl.LOCK_EX)
            second = self.trace("record", "--service", "block", "--duration", "1s")
            self.one_line_error(second, 1)
            self.assertIn("trace.flt", second.stderr)
        self.assertFalse(self.report()["cut"])
        self.record_client(1, 10)
        self.stop()

    def test_what_was_recorded_before_stays_until_there_is_something_new(self):
        self.start()
        self.record_client(1, 10)
        with open(self.path("trace.flt"), "rb") as file:
            old = file.read()
        for words in (["record", "--service", "block", "--", "no-such-program"],
                      ["export", "--format", "chrome", "--to", "trace.flt"],
                      ["import", "trace.flt"]):
            with self.subTest(words=words):
                self.one_line_error(self.trace(*words), 1)
                with open(self.path("trace.flt"), "rb") as file:
                    self.assertEqual(file.read(), old)
        self.ok("fairlead-trace", "export", "--format", "blktrace", "--to", "set")
        self.assertRegex(self.ok("fairlead-trace", "import", "set", "-f", "again.flt"),
                         r"\Aagain.flt: \d+ events, 0 lost\n\Z")
        size = os.path.getsize(self.path("set.blktrace.0"))
        self.one_line_error(self.trace("import", "set", "-f", "set.blktrace.0"), 1)
        self.assertEqual(os.path.getsize(self.path("set.blktrace.0")), size)
        os.unlink(self.path("trace.flt"))
        self.one_line_error(self.trace("record", "--service", "block", "--", "no-such-program"), 1)
        self.assertFalse(os.path.exists(self.path("trace.flt")))
        self.stop()

    def test_what_is_no_file_keeps_nobody_waiting(self):
        os.mkfifo(self.path("fifo"))
        self.start()
        for words in (["report", "fifo"], ["record", "--service", "block", "-f", "fifo"]):
            result = self.trace(*words)
            self.one_line_error(result, 1)
            self.assertIn("fifo is no regular file", result.stderr)
        self.stop()

    @unittest.skipIf(SANITIZED, "a sanitizer takes all addresses")
    def test_a_file_that_needs_more_memory_than_there_is(self):
        self.start()
        self.record_client(1, 10)
        with open(self.path("trace.flt"), "rb") as file:
            records = list(iter(lambda: file.read(64), b""))
        event = next(record for record in records if record[:2] == b"\x01\0")
        with open(self.path("huge.flt"), "wb") as file:
            file.write(b"".join(records[:4]) + event * 2_000_000)
        limit = 200 << 20
        result = self.trace("report", "huge.flt", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (limit, limit)))
        self.one_line_error(result, 1)
        self.assertIn("memory", result.stderr)
        self.stop()

    def test_a_file_over_its_limit_is_told(self):
        self.start()
        self.record_client(2, 2000)
        result = self.trace("export", "--format", "chrome", "--to", "t.json",
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                  (65536, 65536)))
        self.one_line_error(result, 1)
        self.assertFalse(os.path.exists(self.path("t.json")))
        self.stop()

    def test_a_full_disk_is_told(self):
        self.start()
        self.one_line_error(self.trace("record", "--service", "block", "-f", "/dev/full"), 1)
        self.stop()


if __name__ == "__main__":
    unittest.main()
