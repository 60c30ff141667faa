# SPDX-License-Identifier: Apache-2.0
"""SVG plots by gnuplot, of whatever was measured."""
import os
import statistics
import subprocess

from harness import Failed

HEAD = """set terminal svg size 800,480 background rgb 'white'
set output '{name}.svg'
set title '{title}'
set grid
"""


def draw(results, folder):
    """Draws what the results allow; [(file name, caption)]."""
    os.makedirs(folder, exist_ok=True)
    drawn = []
    for name, caption, make in (
            ("ratio", "Requests/s to fio, median and spread", ratio),
            ("latency", "Times of a one-thread client", latency),
            ("shares", "Shares of clients that want more than there is", shares),
            ("scaling", "Requests/s over threads and over clients", scaling),
            ("reads", "Relay: records of 26 bytes, by how much is read at once", longer_reads)):
        script = make(results)
        if script is None:
            continue
        run(folder, name, HEAD.format(name=name, title=caption) + script)
        drawn.append((f"{name}.svg", caption))
    return drawn


def run(folder, name, script):
    result = subprocess.run(["gnuplot", "-"], input=script, cwd=folder, text=True,
                            capture_output=True, check=False)
    path = os.path.join(folder, f"{name}.svg")
    if result.returncode != 0 or not os.path.exists(path) or os.path.getsize(path) == 0:
        raise Failed(f"gnuplot drew no {name}.svg: {result.stderr.strip()}")


def block(name, rows):
    lines = (" ".join(f'"{cell}"' if isinstance(cell, str) else f"{cell:.9g}" for cell in row)
             for row in rows)
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def ratio(results):
    rows = {peer: [[int(e["point"].split("=")[1]), e["median"], e["min"], e["max"]]
                   for e in results["entries"]
                   if e["row"] in ("1", "2") and e["peer"] == peer and e["unit"] == "requests/s"]
            for peer in ("fio psync", "fio io_uring")}
    rows = {peer: points for peer, points in rows.items() if points}
    if not rows:
        return None
    script = "".join(block(f"r{i}", points) for i, points in enumerate(rows.values()))
    curves = ", ".join(f"$r{i} using 1:2:3:4 with yerrorlines linewidth 2 title 'to {peer}'"
                       for i, peer in enumerate(rows))
    return (script + "set logscale x 2\nset xlabel 'threads of one client'\nset yrange [0:]\n"
            "set ylabel 'ours / fio'\nset xrange [0.8:80]\nset key bottom right\n"
            f"plot {curves}, 1 with lines dashtype 2 linecolor 'gray' notitle\n")


def latency(results):
    curves = results["series"].get("latency")
    if not curves:
        return None
    script = "".join(block(f"l{i}", [[ns / 1000, percent] for percent, ns in enumerate(curve)])
                     for i, curve in enumerate(curves.values()))
    lines = ", ".join(f"$l{i} using 1:2 with lines linewidth 2 title '{name}'"
                      for i, name in enumerate(curves))
    return (script + "set logscale x\nset xlabel 'microseconds'\nset key bottom right\n"
            f"set ylabel 'requests answered within, %'\nplot {lines}\n")


def shares(results):
    given = results["series"].get("shares")
    if not given:
        return None
    rows = [[i, name, 100 * got, 100 * due]
            for i, (name, due, got) in enumerate(given["equal"] + given["weighted"])]
    return (block("s", rows) + "set style fill solid 0.6\nset boxwidth 0.6\nset yrange [0:]\n"
            "set ylabel 'share of the answers, %'\nset xrange [-0.6:6.6]\n"
            "set arrow from 3.5, graph 0 to 3.5, graph 1 nohead dashtype 2\n"
            "plot $s using 1:3:xtic(2) with boxes title 'got', "
            "$s using 1:4 with points pointtype 2 pointsize 2 linewidth 2 title 'due'\n")


def scaling(results):
    given = results["series"].get("scaling")
    if not given:
        return None
    script = "".join(block(f"c{i}", [[int(n), *values] for n, values in curve.items()])
                     for i, curve in enumerate(given.values()))
    lines = ", ".join(f"$c{i} using 1:2:3:4 with yerrorlines linewidth 2 title '{name}'"
                      for i, name in enumerate(given))
    return (script + "set logscale x 2\nset xlabel 'n'\nset ylabel 'requests/s'\nset yrange [0:]\n"
            f"set key bottom right\nplot {lines}\n")


def longer_reads(results):
    given = results["series"].get("longer_reads")
    if not given:
        return None
    points = [[int(n), statistics.median(rates) / 1e6, min(rates) / 1e6, max(rates) / 1e6]
              for n, rates in given.items()]
    return (block("r", points) + "set logscale x 2\nset xlabel 'bytes of a read'\nset yrange [0:]\n"
            "set ylabel 'million records/s'\nunset key\n"
            "plot $r using 1:2:3:4 with yerrorlines linewidth 2\n")
