# SPDX-License-Identifier: Apache-2.0
"""Every option that a program's --help names stands in its man page and in the completion, and
every man page is well-formed.

usage: options.py SOURCE_DIR PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

SUBCOMMANDS = {"fairlead-service": ["start", "stop", "status"],
               "fairlead-guest": ["build", "headers", "lock"],
               "fairlead-trace": ["record", "report", "export", "import", "live"],
               "fairlead-disk": ["example", "schedulers", "drives", "simulate", "compare", "fit",
                                 "predict"],
               "fairlead-monitor": ["vcpu", "memory"],
               "fairlead-lab": ["up", "ls", "load", "console", "down", "libvirtd"]}


def help_of(program, words):
    run = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True)
    return run.stdout


def options_of(program, name):
    text = help_of(program, [])
    for word in SUBCOMMANDS.get(name, []):
        text += help_of(program, [word])
    return set(re.findall(r"(--[a-z][a-z-]+)", text)) - {"--help", "--version"}


def main(source, programs):
    source = pathlib.Path(source)
    completion = (source / "packaging/completion/fairlead.bash").read_text(encoding="utf-8")
    failures = []
    for program in programs:
        name = pathlib.Path(program).name
        page = source / f"docs/man/{name}.1"
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                              capture_output=True, text=True, check=False)
        if lint.returncode:
            failures.append(lint.stdout)
        text = page.read_text(encoding="utf-8").replace("Fl -", "--")
        for option in sorted(options_of(program, name)):
            if option not in text:
                failures.append(f"{page.name} does not name {option}")
            if option not in completion:
                failures.append(f"fairlead.bash does not name {option}")
    print("\n".join(failures) or "every option is documented")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
