# SPDX-License-Identifier: Apache-2.0
"""Mutants: the code with one line broken, which a test has to notice.

A table *.mutants holds blocks, and lines that begin with # or are empty between them:

    tests PROGRAM FILTER            a GoogleTest program, and the cases that are to notice

    file PATH                       of the mutants below, from the root of the tree
    - part of a line                as it stands there, exactly once in the file
    + what stands there instead
    = what that breaks

A mutant whose text is not found exactly once is a failure: a table does not outlive its code.  The
tree is copied to a folder of its own, where a build of nothing but the programs is configured; then
each mutant is built, and the programs are run until one is red.  Who survives is told, as is a
mutant that does not compile.  A mutant that never ends is noticed, by a time limit.

usage: mutants.py [--check] [--sample N] [--only TEXT] [--jobs N] TABLE…
    --check     look whether the texts are there, and build nothing
    --sample N  every mutant in so many that N of each table are left
    --only TEXT those whose file or words contain TEXT
"""
import argparse
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDED = ["CMakeLists.txt", "CMakePresets.json", "cmake", "src", "include", "apps", "tests",
          "bench", "docs", "drives", "packaging", "scripts"]
BUILD_S = 1200
TEST_S = 300


@dataclasses.dataclass
class Mutant:
    where: str  # TABLE:LINE
    file: str
    old: str
    new: str = ""
    breaks: str = ""

    def __str__(self):
        return f"{self.where}: {self.file}: {self.breaks}"


@dataclasses.dataclass
class Table:
    path: pathlib.Path
    tests: list = dataclasses.field(default_factory=list)  # (program, filter)
    mutants: list = dataclasses.field(default_factory=list)


class Wrong(Exception):
    """A table, or the tree, is not as it has to be."""


def read_table(path):
    table, file = Table(path), ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where, mark, rest = f"{path.name}:{number}", line[:2], line[2:]
        last = table.mutants[-1] if table.mutants else None
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "tests" and len(words) == 3:
            table.tests.append((words[1], words[2]))
        elif words[0] == "file" and len(words) == 2:
            file = words[1]
        elif mark == "- " and file and rest.strip():
            table.mutants.append(Mutant(where, file, rest))
        elif mark == "+ " and last and not last.new:
            last.new = rest
        elif mark == "= " and last and not last.breaks:
            last.breaks = rest
        else:
            raise Wrong(f"{where}: '{line}' is none of tests, file, -, +, =, or not here")
    for mutant in table.mutants:
        if not mutant.new or not mutant.breaks:
            raise Wrong(f"{mutant.where}: a mutant has three lines: -, +, =")
    if not table.tests or not table.mutants:
        raise Wrong(f"{path.name}: no tests, or no mutants")
    return table


def mutated(tree, mutant):
    """The text of the mutant's file, as it is and broken."""
    path = tree / mutant.file
    if not path.is_file():
        raise Wrong(f"{mutant}: there is no such file")
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise Wrong(f"{mutant}: its text is there {text.count(mutant.old)} times, not once: "
                    f"{mutant.old}")
    if mutant.new == mutant.old:
        raise Wrong(f"{mutant}: it changes nothing")
    return text, text.replace(mutant.old, mutant.new)


def run(words, seconds, **more):
    """(code, output); the code is None if it did not end in time.  What it started ends with it."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True, **more)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return code, output.read()


class Workshop:
    """A copy of the tree, and the one build of it that every mutant changes."""

    def __init__(self, folder, jobs):
        self.tree, self.out, self.jobs = folder / "tree", folder / "build", jobs
        self.tree.mkdir()
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.tree / name, symlinks=True)
            elif source.exists():
                shutil.copy2(source, self.tree / name)
        # The tests of the tree need programs that are not built here, this one among them.
        (self.tree / "tests/CMakeLists.txt").write_text("", encoding="ascii")
        self.must(["cmake", "-S", self.tree, "-B", self.out, "-DFL_TESTS=ON",
                   "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
                   "-DCMAKE_CXX_FLAGS=-w", "--log-level=NOTICE"])

    def must(self, words):
        code, output = run(words, BUILD_S)
        if code != 0:
            raise Wrong(f"{' '.join(map(str, words))} failed:\n{output[-4000:]}")

    def build_words(self, program):
        return ["cmake", "--build", self.out, f"-j{self.jobs}", "--target", program]

    def prepare(self, tests):
        """Whole, and green: a test that is red anyway notices nothing."""
        for program, cases in tests:
            self.must(self.build_words(program))
            code, output = self.test(program, cases)
            if code != 0:
                raise Wrong(f"{program} is red without a mutant:\n{output[-4000:]}")
            if "[  PASSED  ] 0 tests" in output:
                raise Wrong(f"{program} has no cases {cases}")

    def test(self, program, cases):
        found = [path for path in self.out.rglob(program) if path.is_file()]
        return run([found[0], f"--gtest_filter={cases}", "--gtest_fail_fast"], TEST_S,
                   cwd=self.out)

    def try_one(self, mutant, tests):
        """Who noticed; None if nobody did."""
        path = self.tree / mutant.file
        whole, broken = mutated(self.tree, mutant)
        try:
            path.write_text(broken, encoding="utf-8")
            for program, cases in tests:
                code, output = run(self.build_words(program), BUILD_S)
                if code != 0:
                    raise Wrong(f"{mutant}: it does not compile:\n{output[-2000:]}")
                code, output = self.test(program, cases)
                if code is None:
                    return f"{program}: no end in {TEST_S} s"
                if code != 0:
                    red = [line for line in output.splitlines() if "[  FAILED  ]" in line]
                    return red[0].split("]")[1].split("(")[0].strip() if red else f"ends {code}"
            return None
        finally:
            path.write_text(whole, encoding="utf-8")


def chosen(table, options):
    mutants = [mutant for mutant in table.mutants if options.only in str(mutant) + mutant.old]
    if options.sample and len(mutants) > options.sample:
        mutants = [mutants[i * len(mutants) // options.sample] for i in range(options.sample)]
    return mutants


def try_table(workshop, table, options):
    """Mutants tried, and those that were not noticed."""
    workshop.prepare(table.tests)
    mutants, survivors = chosen(table, options), []
    for mutant in mutants:
        start = time.monotonic()
        noticed = workshop.try_one(mutant, table.tests)
        seconds = time.monotonic() - start
        print(f"{'SURVIVED' if noticed is None else 'noticed'} {seconds:5.1f} s  {mutant}"
              f"{'' if noticed is None else '  [' + noticed + ']'}", flush=True)
        if noticed is None:
            survivors.append(mutant)
    return len(mutants), survivors


def main():
    parser = argparse.ArgumentParser(description="breaks lines that a test has to notice")
    parser.add_argument("tables", nargs="+", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    try:
        tables = [read_table(path) for path in options.tables]
        for table in tables:
            for mutant in table.mutants:
                mutated(ROOT, mutant)
        if options.check:
            print(f"{sum(len(table.mutants) for table in tables)} mutants fit the tree")
            return 0
        tried, survivors = 0, []
        with tempfile.TemporaryDirectory(prefix="fl-mutants-") as folder:
            workshop = Workshop(pathlib.Path(folder), options.jobs)
            for table in tables:
                count, left = try_table(workshop, table, options)
                tried += count
                survivors += left
    except Wrong as error:
        print(error)
        return 1
    print(f"{tried} mutants, {len(survivors)} survived")
    for mutant in survivors:
        print(f"  {mutant}\n    - {mutant.old.strip()}\n    + {mutant.new.strip()}")
    return 1 if survivors or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
