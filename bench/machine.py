# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on."""
import datetime
import glob
import os
import platform
import subprocess
import time


def text_of(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return default


def first_line(argv):
    try:
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return (result.stdout or result.stderr).strip().split("\n")[0]


def cpu_model():
    for line in text_of("/proc/cpuinfo").split("\n"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def idle_block():
    """How the processors idle and clock, which the price of a wake-up depends on."""
    names = {"cpuidle_driver": "/sys/devices/system/cpu/cpuidle/current_driver",
             "cpuidle_governor": "/sys/devices/system/cpu/cpuidle/current_governor",
             "cpufreq_governor": "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
             "haltpoll_ns": "/sys/module/haltpoll/parameters/guest_halt_poll_ns",
             "clocksource": "/sys/devices/system/clocksource/clocksource0/current_clocksource"}
    return {name: text_of(path, "none") for name, path in names.items()}


def disk_block(folder):
    device = os.stat(folder).st_dev
    block = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    queue = next(iter(glob.glob(f"{block}/queue") + glob.glob(f"{block}/../queue")), "")
    kind = first_line(["stat", "-f", "-c", "%T", folder])
    return {"file_system": kind, "scheduler": text_of(f"{queue}/scheduler", "none"),
            "logical_block": text_of(f"{queue}/logical_block_size", "unknown"),
            "device": os.path.basename(os.path.realpath(block))}


def machine(folder):
    commit = first_line(["git", "rev-parse", "--short=12", "HEAD"])
    dirty = first_line(["git", "status", "--porcelain", "--untracked-files=no"])
    return {"kernel": platform.release(), "cpu": cpu_model(),
            "cores": len(os.sched_getaffinity(0)), "idle": idle_block(),
            "disk": disk_block(folder), "commit": commit + ("+changes" if dirty else ""),
            "fio": first_line(["fio", "--version"]),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def _ticks():
    fields = [int(x) for x in text_of("/proc/stat").split("\n", maxsplit=1)[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4], fields[7]


def surroundings(seconds):
    """What others do just now, while nothing of ours runs: share of all cores, share stolen."""
    total, idle, stolen = _ticks()
    time.sleep(seconds)
    total2, idle2, stolen2 = _ticks()
    span = max(total2 - total, 1)
    return {"busy": 1 - (idle2 - idle) / span, "stolen": (stolen2 - stolen) / span,
            "load": os.getloadavg()[0]}
