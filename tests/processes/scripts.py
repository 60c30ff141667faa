#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripts behind `make`: what they refuse, and what they leave when they are interrupted."""
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

from house import House, PROGRAMS, eventually

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Scripts(House):
    def tree(self, *scripts):
        """A tree of its own: these scripts, the built programs, nothing that installs or builds."""
        tree = pathlib.Path(self.path("t" * 120))  # too long for the path of a socket
        (tree / "scripts").mkdir(parents=True)
        for name in scripts:
            shutil.copy(SOURCE / "scripts" / name, tree / "scripts")
        (tree / "scripts/deps").write_text("#!/bin/sh\n", encoding="ascii")
        (tree / "scripts/deps").chmod(0o755)
        (tree / "Makefile").write_text("all: ;\n", encoding="ascii")
        (tree / "bin").symlink_to(PROGRAMS)
        return tree

    def clients(self, folder):
        """Processes of this tree's demo."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "cwd") == str(folder):
                    found.append(entry.name)
            except OSError:
                pass
        return found

    def test_an_interrupted_demo_leaves_nothing_running(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            tree = self.tree("demo", "demo_report.py")
            demo = self.spawn(str(tree / "scripts/demo"), start_new_session=True,
                              env=dict(self.environment, DEMO_SECONDS="60"))
            out = tree / "demo-out"
            eventually(lambda: (out / "client.16.json").exists(), seconds=60)
            eventually(lambda: len(self.clients(out)) >= 4, seconds=60)
            os.killpg(demo.pid, number)
            demo.communicate(timeout=60)
            self.assertEqual(demo.returncode, code)
            self.assertEqual(self.clients(out), [])
            left = set(os.listdir(out))
            self.assertFalse(left & {"disk1.img", "run"}, left)
            self.assertFalse([name for name in left if name.startswith(("sectors.", "read."))])
            shutil.rmtree(tree)

    def test_a_set_that_does_not_exist_is_refused(self):
        for verb in ("list", "missing", "ask", "install"):
            result = self.run_program(str(SOURCE / "scripts/deps"), verb, "nonsense")
            self.one_line_error(result, 2)
            self.assertIn("no set 'nonsense'", result.stderr)

    def test_fuzz_looks_before_it_builds(self):
        tree = self.tree("fuzz")
        result = self.run_program(str(tree / "scripts/fuzz"), "nosuch_fuzz")
        self.one_line_error(result, 2)
        self.assertIn("nosuch_fuzz", result.stderr)
        self.assertIn("NAME", self.ok(str(tree / "scripts/fuzz"), "--help"))
        self.assertEqual(self.run_program(str(tree / "scripts/fuzz"), "--hlep").returncode, 2)
        self.assertEqual(set(os.listdir(tree)), {"scripts", "Makefile", "bin"})

    def test_clean_keeps_findings_and_names_a_service(self):
        tree = self.tree("clean")
        os.unlink(tree / "bin")
        (tree / "bin").mkdir()
        program = shutil.copy(os.path.join(PROGRAMS, "fairlead-service"), tree / "bin")
        for name in ("build/x", "demo-out/y", "reproduce-001/z.svg", "cpu/vcpu_scheduler",
                     "memory/src/memory_coordinator", "fuzz-out/a_fuzz/log"):
            (tree / name).parent.mkdir(parents=True)
            (tree / name).touch()
        self.ok(str(program), "start", "--image", "null:1M")
        finding = tree / "fuzz-out/a_fuzz/crash-1"
        finding.touch()
        result = self.run_program(str(tree / "scripts/clean"))
        self.assertEqual(result.returncode, 0)
        self.assertIn(f"process {self.service_pid()} still serves", result.stderr)
        self.assertIn("fuzz-out/ stays", result.stderr)
        self.assertEqual(os.listdir(tree / "cpu") + os.listdir(tree / "memory/src"), [])
        shutil.rmtree(tree / "cpu")
        shutil.rmtree(tree / "memory")
        self.assertEqual(set(os.listdir(tree)), {"scripts", "Makefile", "fuzz-out"})
        self.ok("service", "stop")
        finding.unlink()
        self.assertEqual(self.ok(str(tree / "scripts/clean")), "")
        self.assertEqual(set(os.listdir(tree)), {"scripts", "Makefile"})

    def test_make_quotes_its_prefix(self):
        said = subprocess.run(["make", "-n", "install", "PREFIX=/tmp/a b"], cwd=SOURCE, check=True,
                              capture_output=True, text=True).stdout
        self.assertIn('--prefix "/tmp/a b"', said)


if __name__ == "__main__":
    unittest.main()
