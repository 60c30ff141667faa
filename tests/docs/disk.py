# SPDX-License-Identifier: Apache-2.0
"""`fairlead disk` as its users type it.

usage: disk.py PROGRAM
"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop()


def disk(*words, folder=None):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False,
                          cwd=folder, timeout=60)


class Disk(unittest.TestCase):
    def said(self, *words):
        done = disk(*words, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, code, *words):
        done = disk(*words)
        self.assertEqual((done.returncode, done.stderr.count("\n"), done.stdout), (code, 1, ""),
                         done.stderr)
        return done.stderr

    def test_the_worked_example_is_the_documents(self):
        means = {table["name"]: table["mean_response"] for table in self.said("example")["tables"]}
        self.assertEqual(means, {"FCFS": 138.5, "SATF": 62.0, "OPT": 61.0})
        text = disk("example").stdout
        for figure in ("138.50", "62.00", "61.00", "----"):
            self.assertIn(figure, text)

    def test_every_drive_and_scheduler_runs(self):
        schedulers = [one["name"] for one in self.said("schedulers")]
        self.assertIn("cats", schedulers)
        for drive in self.said("drives"):
            words = ["compare", "--drive", drive["name"], "--requests", "300", "--seeds", "1"]
            table = self.said(*words)["schedulers"]
            self.assertEqual([one["scheduler"] for one in table], schedulers)
            for one in table:
                self.assertGreater(one["response_ms"]["mean"], 0)

    def test_those_that_are_named_are_compared(self):
        words = ["--scheduler", "satf", "--scheduler", "cats:gate=0"]
        table = self.said("compare", *words, "--requests", "300", "--seeds", "1")["schedulers"]
        self.assertEqual([one["scheduler"] for one in table], ["satf", "cats:gate=0"])

    def test_a_page_cache_makes_fewer_and_longer_reads(self):
        run = {pages: self.said("simulate", "--requests", "2000", "--page-cache", pages)
               for pages in ("0", "2000")}
        sectors = {pages: one["elapsed_ns"] * one["sectors_per_ms"] / 1e6 / one["requests"]
                   for pages, one in run.items()}
        self.assertAlmostEqual(sectors["0"], 8, delta=0.01)
        self.assertGreater(sectors["2000"], 12)

    def test_the_same_seed_gives_the_same_bytes(self):
        words = ["compare", "--requests", "500", "--seeds", "2"]
        self.assertEqual(disk(*words).stdout, disk(*words).stdout)
        self.assertNotEqual(disk(*words).stdout, disk(*words, "--seed", "9").stdout)

    def test_a_log_has_each_request_and_adds_up(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log.csv"
            run = self.said("simulate", "--requests", "400", "--warm-up", "0", "--log", str(log))
            with open(log, encoding="ascii") as file:
                rows = list(csv.DictReader(file))
        self.assertEqual(run["requests"], 400)
        self.assertEqual(len(rows), 400)
        responses = [int(row["ended_ns"]) - int(row["arrived_ns"]) for row in rows]
        self.assertAlmostEqual(sum(responses) / len(rows) / 1e6, run["response_ms"], delta=1e-3)
        self.assertEqual(len({row["number"] for row in rows}), len(rows))

    def replay(self, folder, text, *words, code=1):
        path = pathlib.Path(folder) / "t.csv"
        path.write_text(text, encoding="ascii")
        return self.refused(code, "simulate", "--workload", "replay", "--trace", str(path), *words)

    def test_a_trace_is_replayed(self):
        with tempfile.TemporaryDirectory() as folder:
            logs = [folder + "/one.csv", folder + "/two.csv"]
            words = ["simulate", "--scheduler", "deadline", "--log"]
            self.said(*words, logs[0], "--requests", "500", "--workload", "poisson", "--rate", "90")
            again = ["--workload", "replay", "--trace", logs[0]]
            run = self.said(*words, logs[1], *again)
            self.assertEqual(run["requests"], 1500)  # those of the warm-up are in it, too
            fast = self.said("simulate", "--scheduler", "deadline", *again, "--speed", "1000")
            self.assertLess(fast["elapsed_ns"], run["elapsed_ns"])
            some = self.said("compare", *again, "--requests", "100", "--warm-up", "1450")
            self.assertEqual((some["requests"], some["seeds"]), (50, 1))
            self.assertIn("has 1500 requests", self.refused(1, "simulate", *again, "--warm-up",
                                                            "1500"))

    def test_a_trace_that_is_wrong_names_file_line_and_remedy(self):
        head = "time_ms,sector,sectors\n"
        with tempfile.TemporaryDirectory() as folder:
            for text, hint in (
                    ("", "t.csv: no request is in it"),
                    ("time_ms,block\n", "t.csv line 1: no column 'block' is known; there is"),
                    (head + "1,2,8\n1,2\n", "t.csv line 3: 2 cells where 3 are expected"),
                    (head + "9,2,8\n8,2,8\n", "t.csv line 3: time runs backwards"),
                    (head + "9,143374737,2\n", "t.csv line 2: sectors 143374737 to 143374738 are "
                     "past the end of cheetah-15k4-mechanical, which has 143374738 (take a larger"),
                    (head + "9,two,2\n", "t.csv line 2: sector: ")):
                self.assertIn(hint, self.replay(folder, text))
            self.assertIn("No such file", self.refused(
                1, "simulate", "--workload", "replay", "--trace", folder + "/none"))
            self.assertIn("only --workload replay", self.refused(1, "simulate", "--trace", folder))
            self.assertIn("say which --trace", self.refused(1, "compare", "--workload", "replay"))
            self.assertIn("directory", self.refused(1, "simulate", "--workload", "replay",
                                                    "--trace", folder))

    def fit(self, trace, *words):
        return self.said("fit", trace, *words)

    def test_a_drive_that_was_simulated_is_found_again(self):
        drive = ('model = "linear"\nsectors = 1000000\nrotation = "6ms"\nfull_stroke = "9ms"\n'
                 'hit = "200us"\n[cache]\nsegments = 64\nsegment_sectors = 221\n'
                 "ahead_sectors = 64\n")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "drive.toml"
            path.write_text(drive, encoding="ascii")
            log, to = folder + "/log.csv", folder + "/found.toml"
            run = ["simulate", "--workload", "random", "--onwards", "0.5", "--requests", "3000"]
            self.said(*run, "--depth", "1", "--drive", str(path), "--log", log)
            told = self.fit(log, "--sectors", "1000000", "--to", to)
            self.assertLess(told["demerit"], 1e-3)
            self.assertGreater(told["held_out"], 1000)
            text = pathlib.Path(to).read_text(encoding="utf-8")
            self.assertEqual(text, told["toml"])
            found = dict(line.split(" = ") for line in text.split("\n") if " = " in line)
            for key, ns in (("rotation", 6e6), ("full_stroke", 9e6), ("hit", 2e5)):
                self.assertAlmostEqual(float(found[key].strip('"').removesuffix("ns")), ns, delta=9)
            # The same drive gives the same run.
            other = folder + "/again.csv"
            self.said(*run, "--depth", "1", "--drive", to, "--log", other)
            times = []
            for name in (log, other):
                with open(name, encoding="ascii") as file:
                    times.append([int(row["ended_ns"]) for row in csv.DictReader(file)])
            self.assertAlmostEqual(times[0][-1] / times[1][-1], 1, delta=1e-3)
            # What is there stays, unless it is asked for.
            self.assertIn("--force replaces", self.refused(1, "fit", log, "--to", to))
            self.assertEqual(pathlib.Path(to).read_text(encoding="utf-8"), text)
            self.fit(log, "--model", "rate", "--to", to, "--force")
            self.assertIn('model = "rate"', pathlib.Path(to).read_text(encoding="utf-8"))

    def test_transfers_with_others_in_flight_are_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            log, to = folder + "/log.csv", folder + "/found.toml"
            self.said("simulate", "--workload", "random", "--requests", "1000", "--log", log,
                      "--drive", "cheetah-15k4")
            said = self.refused(1, "fit", log, "--to", to)
            self.assertRegex(said, r"log.csv: \d+ transfers can be fitted to, 100 are needed: ")
            self.assertFalse(pathlib.Path(to).exists())
            self.assertLess(self.fit(log, "--fifo")["demerit"], 1e-3)
            self.assertIn("--like: cheetah-15k4 is a linear drive", self.refused(
                1, "fit", log, "--model", "mechanical", "--like", "cheetah-15k4"))
            self.assertIn("--sectors: sectors: ", self.refused(
                1, "fit", log, "--model", "mechanical", "--sectors", "999999999"))
            self.assertIn("past the end of --like", self.refused(1, "fit", log, "--sectors", "9"))
            self.refused(2, "fit")

    def test_other_schedulers_are_predicted_from_a_run(self):
        with tempfile.TemporaryDirectory() as folder:
            log = folder + "/log.csv"
            run = ["--requests", "20000", "--population", "3"]
            self.said("simulate", "--scheduler", "deadline", "--log", log, *run)
            words = ["predict", log, "--ran", "deadline", "--model", "mechanical", "--draws", "3",
                     "--scheduler", "cats", "--scheduler", "cfq"]
            told = self.said(*words)
            self.assertEqual(told["early"], 0)
            self.assertGreater(told["fit"]["coherence"], 0.9)
            self.assertEqual([one["scheduler"] for one in told["schedulers"]], ["cats", "cfq"])
            outside = []
            for one in told["schedulers"]:
                truth = self.said("simulate", "--scheduler", one["scheduler"], *run)
                for figure in ("service_ms", "response_ms", "p99_ms", "sectors_per_ms"):
                    away = abs(one[figure]["mean"] - truth[figure])
                    if away > one[figure]["half_width_95"]:
                        outside.append((one["scheduler"], figure, truth[figure], one[figure]))
            self.assertLessEqual(len(outside), 1, outside)  # of 8, each with 95 % to be inside
            plain = ["predict", log, "--ran", "deadline", "--loop", "open", "--scheduler", "noop"]
            self.assertEqual(self.said(*plain), self.said(*plain))
            text = disk(*plain).stdout
            self.assertIn("deadline, observed", text)
            self.assertIn(" ± ", text)
            self.refused(2, "predict", log)
            self.assertIn("no scheduler 'none'", self.refused(2, "predict", log, "--ran", "none"))

    def test_out_has_figures_and_a_plot(self):
        with tempfile.TemporaryDirectory() as folder:
            done = disk("compare", "--requests", "300", "--seeds", "2", "--out", folder + "/new")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(folder + "/new/compare.csv", encoding="ascii") as file:
                self.assertEqual({row["run"] for row in csv.DictReader(file)}, {"1", "2"})
            self.assertTrue(pathlib.Path(folder + "/new/responses.gp").exists())

    def test_what_is_wrong_is_said_in_a_line(self):
        self.assertIn("there is noop", self.refused(2, "simulate", "--scheduler", "elevator"))
        self.assertIn("no parameter 'x'", self.refused(2, "simulate", "--scheduler", "cats:x=1"))
        self.assertIn("there is cheetah", self.refused(1, "simulate", "--drive", "floppy"))
        self.assertIn("--rate", self.refused(1, "simulate", "--workload", "poisson"))
        self.assertIn("--files", self.refused(1, "simulate", "--files", "9000000"))
        self.assertIn("No such file", self.refused(1, "simulate", "--log", "/none/such"))
        self.assertIn("faster than", self.refused(1, "simulate", "--workload", "poisson", "--rate",
                                                  "1000000", "--requests", "100000000"))
        self.refused(2, "compare", "--seeds", "0")
        self.refused(2, "simulate", "--zipf", "much")
        self.refused(2)

    def test_a_full_disk_is_no_success(self):
        self.assertIn("No space", self.refused(1, "simulate", "--log", "/dev/full"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
