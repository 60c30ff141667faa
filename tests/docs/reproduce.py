# SPDX-License-Identifier: Apache-2.0
"""`fairlead reproduce` as a user meets it: files, figures, plots, and wrong command lines.

usage: reproduce.py SOURCE_DIR FAIRLEAD_REPRODUCE
FL_UPDATE=1 puts its figures and plots into docs/managers.md.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

SOURCE, PROGRAM = pathlib.Path(sys.argv[1]), sys.argv[2]
UPDATE = os.environ.get("FL_UPDATE") == "1"
FAILED, USAGE = 1, 2
CPU, MEMORY = 7, 5  # cases


class Reproduce(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fl-reproduce-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_program(self, *arguments, path=None):
        environment = dict(os.environ, PATH=os.environ["PATH"] if path is None else path)
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                              cwd=self.folder, env=environment)

    def good(self, *arguments, **options):
        result = self.run_program(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def files(self, name):
        return {path.name: path.read_bytes() for path in (self.folder / name).iterdir()}

    def refused(self, code, hint, *arguments):
        with self.subTest(arguments=arguments):
            result = self.run_program(*arguments)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertEqual(result.stdout, "")
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertTrue(result.stderr.startswith("fairlead-reproduce: "), result.stderr)
            self.assertIn(hint, result.stderr)
            for document in ("001", "003"):
                self.assertFalse((self.folder / f"reproduce-{document}").exists())

    def test_the_same_seed_gives_the_same_bytes(self):
        texts = [self.good("001", "--out", name).stdout.partition("; samples")[0]
                 for name in ("a", "b")]
        self.assertEqual(*texts)
        first, second = self.files("a"), self.files("b")
        self.assertEqual(first, second)
        kinds = sorted(name.rsplit(".", 1)[1] for name in first)
        for kind in ("tsv", "gnuplot", "svg"):
            self.assertEqual(kinds.count(kind), CPU + MEMORY, kinds)
        self.good("001", "--out", "c", "--seed", "2", path="")
        self.assertNotEqual(first["vcpu-1-all-on-one.tsv"],
                            self.files("c")["vcpu-1-all-on-one.tsv"])

    def test_plots_show_every_policy(self):
        self.good("001", "--out", "a")
        for name, content in self.files("a").items():
            if not name.endswith(".svg"):
                continue
            with self.subTest(name=name):
                text = "".join(ElementTree.fromstring(content).itertext())
                words = ["fairlead:"]
                words += (["longest first:", "one smallest move:", "utilisation, %", "interval"]
                          if name.startswith("vcpu") else
                          ["fixed deficit:", "proportional:", "MiB", "seconds", "target"])
                for word in words:
                    self.assertIn(word, text)

    def test_the_page_shows_what_it_prints(self):
        printed = self.good("001", "--out", "a").stdout
        tables = printed[:printed.index("seed 1;")].rstrip("\n").split("\n\n")
        page = SOURCE / "docs/managers.md"
        text = page.read_text(encoding="utf-8")
        for kind, table in zip(("vcpu", "memory"), tables, strict=True):
            shown = re.search(rf"<!-- {kind} figures: .*? -->\n(.*?)<!-- end -->", text, re.DOTALL)
            due = "\n" + "".join(f"    {line}\n" for line in table.split("\n")) + "\n"
            if UPDATE:
                text = text[:shown.start(1)] + due + text[shown.end(1):]
            else:
                self.assertEqual(shown[1], due, f"{page} shows other figures than the program")
        pictures = re.findall(r"\]\(managers/([a-z0-9-]*\.svg)\)", text)
        self.assertGreaterEqual(len(pictures), 4)
        if UPDATE:
            page.write_text(text, encoding="utf-8")
            for name in pictures:
                shutil.copy(self.folder / "a" / name, SOURCE / "docs/managers" / name)
        self.assertEqual(sorted(pictures), sorted(os.listdir(SOURCE / "docs/managers")))
        self.assertLessEqual(set(pictures), set(self.files("a")))

    def test_json_is_one_object_with_all_figures(self):
        result = json.loads(self.good("001", "--out", "a", "-o", "json", "--seed", "3").stdout)
        self.assertEqual((result["document"], result["seed"]), ("001", 3))
        kinds = [case["kind"] for case in result["cases"]]
        self.assertEqual((kinds.count("vcpu"), kinds.count("memory")), (CPU, MEMORY))
        for case in result["cases"]:
            self.assertEqual([policy["policy"] for policy in case["policies"]][0], "fairlead")
            self.assertEqual(len(case["policies"]), 3)

    def test_one_case(self):
        self.good("001", "--out", "deep/er", "--case", "memory-scarce")
        self.assertEqual(sorted(self.files("deep/er")), ["memory-scarce.gnuplot",
                                                         "memory-scarce.svg", "memory-scarce.tsv"])

    def test_messages_are_carried_and_drawn(self):
        result = json.loads(self.good("003", "--case", "messages", "--rounds", "1", "--out", "a",
                                      "-o", "json").stdout)
        self.assertEqual((result["document"], result["rounds"], result["drawn"]),
                         ("003", 1, True))
        sizes = [26, 64, 256, 1024, 4096, 16384, 65536]
        for carrier in ("relay", "pipe", "unix", "tcp"):
            points = [point for point in result["by_message"] if point["carrier"] == carrier]
            self.assertEqual([point["write_bytes"] for point in points], sizes)
            self.assertTrue(all(point["bytes_per_s"] > 0 for point in points))
        self.assertEqual([point["read_bytes"] for point in result["by_read"]], sizes)
        self.assertEqual({point["write_bytes"] for point in result["by_read"]}, {26})
        files = self.files("a")
        self.assertEqual(sorted(files), ["messages.csv", "messages.gnuplot", "messages.svg"])
        self.assertEqual(len(files["messages.csv"].splitlines()), 1 + 5 * len(sizes))
        text = "".join(ElementTree.fromstring(files["messages.svg"]).itertext())
        for word in ("relay", "pipe", "unix", "tcp", "bytes a second"):
            self.assertIn(word, text)

    def test_a_signal_ends_the_measurements(self):
        process = subprocess.Popen([PROGRAM, "003", "--case", "messages", "--rounds", "100"],
                                   cwd=self.folder, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, said)
        self.assertEqual(said, "fairlead-reproduce: SIGINT: it was not finished\n")

    def test_without_gnuplot_the_samples_are_written(self):
        result = self.good("001", "--out", "a", path=str(self.folder))
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn("gnuplot is missing", result.stderr)
        self.assertIn("vCPU scheduler", result.stdout)
        self.assertEqual(len(self.files("a")), 2 * (CPU + MEMORY))

    def test_a_gnuplot_that_fails_is_a_failure(self):
        fake = self.folder / "gnuplot"
        fake.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
        fake.chmod(0o755)
        result = self.run_program("001", "--out", "a", path=str(self.folder))
        self.assertEqual(result.returncode, FAILED)
        self.assertIn("gnuplot failed on a/vcpu-1", result.stderr)

    def test_wrong_command_lines(self):
        self.refused(USAGE, "document", )
        self.refused(USAGE, "no document '002' to reproduce; there are 001 003", "002")
        self.refused(USAGE, "no case 'x'; there are vcpu-1-all-on-one", "001", "--case", "x")
        self.refused(USAGE, "no case ''", "001", "--case", "")
        self.refused(USAGE, "--out: no folder", "001", "--out", "")
        self.refused(USAGE, "--seed: '-1'", "001", "--seed", "-1")
        self.refused(USAGE, "--rounds: only for 003", "001", "--rounds", "1")
        self.refused(USAGE, "--seed: only for 001", "003", "--seed", "1")
        self.refused(USAGE, "--rounds: '0'", "003", "--rounds", "0")
        self.refused(USAGE, "no case 'x'; there are messages guest", "003", "--case", "x")
        self.refused(USAGE, "output", "001", "-o", "xml")
        (self.folder / "file").write_text("", encoding="utf-8")
        self.refused(FAILED, "file", "001", "--out", "file")
        self.refused(FAILED, "file/in", "001", "--out", "file/in")
        self.refused(FAILED, "/proc/x", "001", "--out", "/proc/x")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
