# SPDX-License-Identifier: Apache-2.0
"""The table of `make demo`, and the data of its plots, from the JSON that the programs wrote."""
import json
import sys


def load(name):
    with open(name, encoding="utf-8") as file:
        return json.load(file)


def micros(ns):
    return f"{ns / 1000:.1f}"


LATENCY_PLOT = """set terminal svg size 800,480 background rgb 'white'
set output 'latency.svg'
set title 'Time of a request, three clients at once'
set xlabel 'microseconds'
set ylabel 'requests answered within, %'
set logscale x
set key bottom right
set grid
plot {curves}
"""

SHARE_PLOT = """set terminal svg size 800,480 background rgb 'white'
set output 'share.svg'
set title 'Requests a second of each client'
set style fill solid 0.6
set boxwidth 0.6
set yrange [0:]
set xlabel 'threads of the client'
set grid y
plot 'share.dat' using 1:3:xtic(2) with boxes notitle
"""


def main(threads):
    clients = [load(f"client.{t}.json") for t in threads]
    checks = [load(f"integrity.{t}.json") for t in threads]
    service = load("service.json")
    total = sum(c["requests_per_second"] for c in clients)
    head = ["threads", "requests/s", "share", "mean us", "p50 us", "p99 us", "max us", "verified"]
    rows = []
    for t, client, check in zip(threads, clients, checks):
        lat = client["latency_ns"]
        rows.append([t, f"{client['requests_per_second']:.0f}",
                     f"{100 * client['requests_per_second'] / total:.1f} %",
                     micros(lat["mean"]), micros(lat["p50"]), micros(lat["p99"]),
                     micros(lat["max"]), f"{check['matched']}/{check['records']}"])
    rows.append(["all", f"{total:.0f}", "100 %", "", "", "", "",
                 f"{sum(c['matched'] for c in checks)}/{sum(c['records'] for c in checks)}"])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print()
    for row in [head, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths)))
    print("\nClients that always have enough requests waiting get equal shares.  One and four "
          "threads\nask for less than a third: each thread asks anew when it has its answer.")
    print(f"\ncache: hit ratio {service['hit_ratio']:.4f} "
          f"({service['hits']} hits / {service['lookups']} lookups), "
          f"{service['cache_bytes']} bytes\n")
    with open("share.dat", "w", encoding="utf-8") as file:
        for i, (t, client) in enumerate(zip(threads, clients)):
            file.write(f"{i} {t} {client['requests_per_second']:.0f}\n")
    curves = []
    for t, client in zip(threads, clients):
        name = f"latency.{t}.dat"
        with open(name, "w", encoding="utf-8") as file:
            for percent, ns in enumerate(client["latency_ns"]["histogram"]):
                file.write(f"{ns / 1000} {percent}\n")
        curves.append(f"'{name}' with lines linewidth 2 title '{t} threads'")
    with open("latency.gnuplot", "w", encoding="utf-8") as file:
        file.write(LATENCY_PLOT.format(curves=", ".join(curves)))
    with open("share.gnuplot", "w", encoding="utf-8") as file:
        file.write(SHARE_PLOT)
    return 0 if all(c["matched"] == c["records"] for c in checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
