# SPDX-License-Identifier: Apache-2.0
"""benchmarks.md: what is worse than a peer first, then every figure, then how it came about."""
import statistics

from figures import number
from rows import ROWS

LIMITS = """## Honest limits

- One machine, one disk, one image; its {cores} cores are shared by client, service and the kernel.
  A virtual disk's speed also depends on who else uses the host: hence ratios of sides that took
  turns, not figures of their own.
- The image fits the host's memory; the guest's page cache is passed by (O_DIRECT), the host's may
  not be.
- Uniform reads hit our 1 % cache about once in a hundred; fio has none.
- Each point runs for {seconds:g} s after a warm-up; slow drifts and rare events are not seen.
- The client counts its own times, as fio does; neither counts the start of its threads.
- Reads of 512 bytes only: nothing here tells of larger requests or of writes.
- The relay's rows need a core for each side: where others run, both spin, and the figures are those
  of the scheduler.
"""


def goal_text(e):
    return f"{'≥' if e['goal']['relation'] == '>=' else '≤'} {e['goal']['value']:g}" \
        if e["goal"] else "–"


def spread(e):
    return f"{number(e['min'])} … {number(e['max'])}"


def met_text(e):
    return "–" if e["met"] is None else "yes" if e["met"] else "**no**"


def side(e, rounds):
    """The median of one side; times in units that people read."""
    if not rounds:
        return "–"
    value = statistics.median(rounds)
    if e["unit"] == "ns":
        return f"{number(value / 1000)} µs"
    if e["unit"] == "s":
        return f"{number(value * 1e6)} µs" if value < 1e-3 else f"{number(value * 1e3)} ms"
    return number(value) + (" /s" if e["unit"] == "requests/s" else "")


def worse(entries):
    listed = [e for e in entries if e["worse_than_peer"]]
    missed = [e for e in entries if e["met"] is False]
    lines = ["## What is worse than the peer", ""]
    lines += [f"- Row {e['row']}, {e['point']}: {e['what']} is {number(e['median'])} "
              f"({spread(e)})." for e in listed] or ["Nothing that was measured."]
    lines += ["", "## Goals missed", ""]
    lines += [f"- Row {e['row']}, {e['point']}: {e['what']} is {number(e['median'])} "
              f"({spread(e)}), the goal is {goal_text(e)}." for e in missed] or ["None."]
    return lines


def table(entries):
    lines = ["## All rows", "",
             "Median of the rounds, and the smallest and greatest. Where there is a peer the "
             "figure is ours ÷ peer, each round's ours with the same round's peer: the median of "
             "these ratios, which need not be the ratio of the medians shown before it.", "",
             "| row | point | figure | ours | beside | median | spread | goal | met |",
             "|---|---|---|---|---|---|---|---|---|"]
    for e in entries:
        ours = side(e, e["ours_rounds"]) if e["kind"] != "value" else "–"
        shown = side(e, e["rounds"]) if e["kind"] == "value" and e["unit"] else number(e["median"])
        reach = spread(e) if e["kind"] != "value" or not e["unit"] else \
            f"{side(e, [e['min']])} … {side(e, [e['max']])}"
        lines.append(f"| {e['row']} | {e['point']} | {e['what']} | {ours} | "
                     f"{side(e, e['peer_rounds'])} | {shown} | {reach} | {goal_text(e)} | "
                     f"{met_text(e)} |")
    return lines


def method(results, rows):
    lines = ["## How each was measured", "",
             f"Both sides take turns (A B A B …), {results['rounds']} rounds of "
             f"{results['seconds']:g} s for each point after a warm-up, on the same file. The "
             "command lines are those of one point; numbers vary.", ""]
    for row in rows:
        title, how, _ = ROWS[row]
        around = results["surroundings"][row]
        lines += [f"### Row {row}: {title}", "", how, "",
                  f"Before it began others used {100 * around['busy']:.0f} % of the cores, "
                  f"{100 * around['stolen']:.0f} % were stolen.", "", "```"]
        lines += results["commands"].get(row, []) + ["```", ""]
    return lines


def machine_lines(results):
    m = results["machine"]
    idle = ", ".join(f"{name} {value}" for name, value in m["idle"].items())
    disk = ", ".join(f"{name} {value}" for name, value in m["disk"].items())
    return [f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {idle}; {disk}; {m['fio']}. "
            f"Commit {m['commit']}, {m['date']}. `make bench` made this page in "
            f"{results['took_seconds'] / 60:.0f} minutes; `results.json` beside it has every "
            "round."]


def markdown(results, rows, drawn):
    lines = ["# Benchmarks", ""]
    if results["quick"]:
        lines += ["**A quick run: it proves that the benchmark runs; the figures mean nothing.**",
                  ""]
    lines += [*machine_lines(results), "", *worse(results["entries"]), "",
              *table(results["entries"]), "", "## Plots", ""]
    for name, caption in drawn:
        lines += [f"![{caption}](benchmarks/{name})", ""]
    lines += method(results, rows)
    return "\n".join(lines) + LIMITS.format(cores=results["machine"]["cores"],
                                            seconds=results["seconds"])
