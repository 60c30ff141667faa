#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the rows and writes results.json, plots and benchmarks.md.  scripts/bench calls it."""
import argparse
import json
import os
import shutil
import signal
import sys
import time

import figures
import machine
import plots
import report
from harness import Bench, Failed, Options
from rows import ROWS


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rows", metavar="N,N", help="only these, of " + ", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="only prove that everything runs")
    parser.add_argument("--products", default="bin", metavar="DIR", help="of the programs")
    parser.add_argument("--programs", default="build/release/bench", metavar="DIR",
                        help="of the peers")
    parser.add_argument("--out", default="bench-out", metavar="DIR")
    given = parser.parse_args()
    given.rows = given.rows.split(",") if given.rows else list(ROWS)
    unknown = [row for row in given.rows if row not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return given


def without_missing_tools(rows, quick):
    """fio is not among what the tests need: a quick run goes without it, and says so."""
    if shutil.which("fio"):
        return rows
    lacking = [row for row in rows if row in ("1", "2")]
    if lacking and not quick:
        raise Failed("fio is missing; run scripts/deps install bench")
    for row in lacking:
        print(f"bench: notice: fio is missing, row {row} is left out", file=sys.stderr)
    return [row for row in rows if row not in lacking]


def measure(bench, rows):
    entries, around = [], {}
    for row in rows:
        title, _, function = ROWS[row]
        around[row] = machine.surroundings(0.05 if bench.options.quick else 1)
        print(f"row {row}: {title} (others use {100 * around[row]['busy']:.0f} % of the cores)",
              flush=True)
        bench.row = row
        try:
            for made in function(bench):
                entries.append(made)
                print("  " + figures.line(made), flush=True)
        except (Failed, KeyError, ValueError, OSError, ZeroDivisionError) as error:
            raise Failed(f"row {row}: {type(error).__name__}: {error}"
                         if not isinstance(error, Failed) else f"row {row}: {error}") from error
    return entries, around


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    bench = None
    try:
        options = Options(given.quick)
        rows = without_missing_tools(given.rows, given.quick)
        os.makedirs(given.out, exist_ok=True)
        bench = Bench(options, given.products, given.programs, given.out)
        results = {"machine": machine.machine(bench.out), "rounds": options.rounds,
                   "seconds": options.seconds, "quick": options.quick}
        bench.prepare()
        results["entries"], results["surroundings"] = measure(bench, rows)
        results["series"] = bench.series
        results["commands"] = {row: list(lines.values()) for row, lines in bench.commands.items()}
        results["took_seconds"] = time.monotonic() - began
        with open(os.path.join(bench.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
        drawn = plots.draw(results, os.path.join(bench.out, "benchmarks"))
        with open(os.path.join(bench.out, "benchmarks.md"), "w", encoding="utf-8") as file:
            file.write(report.markdown(results, rows, drawn))
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if bench:
            bench.close()
    missed = [e for e in results["entries"] if e["met"] is False]
    print(f"{len(results['entries'])} figures, {len(missed)} goals missed, "
          f"{results['took_seconds']:.0f} s: {os.path.relpath(bench.out)}/benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
