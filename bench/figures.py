# SPDX-License-Identifier: Apache-2.0
"""An entry: one line of the table, with every round's values."""
import statistics


def entry(row, point, what, rounds, **more):
    """`rounds`: pairs (ours, peer), or plain values when nothing is divided.

    more: goal     (">=", 0.95) or ("<=", 3), or None: for information; `better` then says which way
          peer     what the second of a pair is
          own      True: the second of a pair is a figure of ours, no peer
          unit     of both sides, or of the plain value
          extra    anything else worth keeping
    """
    paired = isinstance(rounds[0], tuple)
    values = [ours / peer if paired else ours for ours, peer in
              (r if paired else (r, None) for r in rounds)]
    goal = more.get("goal")
    made = {
        "row": row,
        "point": point,
        "what": what,
        "goal": {"relation": goal[0], "value": goal[1]} if goal else None,
        "better": more.get("better") or ("higher" if goal and goal[0] == ">=" else "lower"),
        "kind": "value" if not paired else "own" if more.get("own") else "peer",
        "peer": more.get("peer"),
        "unit": more.get("unit", ""),
        "ours_rounds": [r[0] if paired else r for r in rounds],
        "peer_rounds": [r[1] for r in rounds] if paired else None,
        "rounds": values,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "extra": more.get("extra", {}),
    }
    made["met"] = meets(made["median"], goal) if goal else None
    made["worse_than_peer"] = made["kind"] == "peer" and (
        made["median"] < 1 if made["better"] == "higher" else made["median"] > 1)
    return made


def meets(value, goal):
    relation, limit = goal
    return value >= limit if relation == ">=" else value <= limit


def jain(shares):
    """(sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(x * x for x in shares))


def number(value):
    """Three significant digits or more, as people write them."""
    size = abs(value)
    if size >= 10_000:
        return f"{value:,.0f}".replace(",", " ")
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.095:
        return f"{value:.3f}"
    return f"{value:.2g}"


def line(e):
    """One entry for the terminal."""
    text = f"row {e['row']:>3}  {e['point']:<22} {e['what']}: {number(e['median'])}"
    text += f" ({number(e['min'])} .. {number(e['max'])})"
    if e["goal"]:
        text += f"  goal {e['goal']['relation']} {e['goal']['value']:g}: "
        text += "met" if e["met"] else "MISSED"
    return text
