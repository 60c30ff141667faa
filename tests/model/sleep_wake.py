#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies sleep_wake.pml with spin, and that each of its mutants loses a wake-up.

  sleep_wake.py MODEL

Works in a folder of its own; prints the states searched.
"""
import os
import re
import subprocess
import sys
import tempfile

MUTANTS = ("RING_MUTANT", "ARM_MUTANT", "LEAD_MUTANT", "CHECK_MUTANT")


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def search(model, mutant):
    """(errors, states, report) of the whole state space; of a mutant, until the first error."""
    with tempfile.TemporaryDirectory() as folder:
        run(folder, "spin", *([f"-D{mutant}"] if mutant else []), "-a", model)
        run(folder, "gcc", "-O2", "-DSAFETY", "-DMEMLIM=1024", "-DVECTORSZ=2048", "-o", "pan",
            "pan.c")
        report = run(folder, "./pan", "-m1000000")
    errors = int(re.search(r"errors: (\d+)", report).group(1))
    states = re.search(r"(\S+) states, stored", report).group(1)
    if "max search depth too small" in report or "out of memory" in report:
        sys.exit(f"the search was cut short:\n{report}")
    return errors, states, report


def main():
    model = os.path.abspath(sys.argv[1])
    failed = 0
    errors, states, report = search(model, None)
    print(f"unbroken: {states} states, {errors} errors")
    if errors:
        print(report)
        failed = 1
    for mutant in MUTANTS:
        errors, states, report = search(model, mutant)
        caught = errors > 0 and "invalid end state" in report
        print(f"{mutant}: {'caught' if caught else 'NOT CAUGHT'} after {states} states")
        failed |= not caught
    return int(failed)


sys.exit(main())
