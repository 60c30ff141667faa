# SPDX-License-Identifier: Apache-2.0
"""docs/examples/read.cc reads from a service, in three builds: CMake's, the command that README
shows, and pkg-config from what `cmake --install` puts into a folder whose name has a space; and
docs/examples/relay.c and relay_clock.c, in C and by pkg-config, relay lines between two processes.

usage: example.py SOURCE_DIR BUILD_DIR COMPILER PROGRAM
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


def from_the_tree(source, build, compiler, program):
    """README's command, with this compiler and this build's libraries."""
    text = (source / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^    (g\+\+ .*docs/examples/read\.cc.*)$", text, re.M)[1]
    words = [word.replace("build/release/", f"{build}/") for word in shlex.split(command)]
    words[0] = compiler
    words[words.index("-o") + 1] = program
    run(words, cwd=source)


def installed(source, build, compiler, program, prefix):
    run(["cmake", "--install", build, "--prefix", prefix])
    libraries = next(pathlib.Path(prefix).rglob("fairlead-block.pc")).parent
    flags = run(["pkg-config", "--cflags", "--libs", "fairlead-block"], text=True,
                env=dict(os.environ, PKG_CONFIG_PATH=str(libraries)))
    # Of the tree only the one file is left to find.
    run([compiler, "-std=c++23", source / "docs/examples/read.cc", "-o", program,
         *shlex.split(flags)], cwd=prefix)
    completions = pathlib.Path(prefix) / "share/bash-completion/completions"
    for name in ("fairlead", "fairlead-service", "fairlead-client", "fairlead-integrity"):
        assert "complete -F" in (completions / name).read_text(encoding="utf-8"), name
    unit = pathlib.Path(prefix) / "lib/systemd/system/fairlead-blockd@.service"
    assert f"ExecStart={prefix}/bin/fairlead service" in unit.read_text(encoding="utf-8")


def build_in_c(source, prefix, folder, name):
    libraries = next(pathlib.Path(prefix).rglob("fairlead-relay.pc")).parent
    flags = run(["pkg-config", "--cflags", "--libs", "fairlead-relay"], text=True,
                env=dict(os.environ, PKG_CONFIG_PATH=str(libraries)))
    program = f"{folder}/{name}"
    run(["cc", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-pedantic",
         source / f"docs/examples/{name}.c", "-o", program, *shlex.split(flags)], cwd=prefix)
    return program


def relay_in_c(source, prefix, folder):
    program = build_in_c(source, prefix, folder, "relay")
    environment = dict(os.environ, FAIRLEAD_RUNTIME_DIR=f"{folder}/relays")
    lines = "".join(f"line {number}\n" for number in range(2000))
    with subprocess.Popen([program, "lines"], stdin=subprocess.PIPE, text=True,
                          env=environment) as writer:
        writer.stdin.write(lines)
        writer.stdin.flush()
        while not pathlib.Path(folder, "relays/relay/lines").exists():
            assert writer.poll() is None
            time.sleep(0.01)
        with subprocess.Popen([program, "-r", "lines"], stdout=subprocess.PIPE, text=True,
                              env=environment) as reader:
            writer.stdin.close()
            assert reader.stdout.read() == lines
        assert writer.wait() == 0 and reader.returncode == 0
    assert not pathlib.Path(folder, "relays/relay/lines").exists()
    nobody = subprocess.run([program, "-r", "lines"], capture_output=True, text=True, check=False,
                            env=environment)
    assert nobody.returncode == 1 and "there is no relay channel 'lines'" in nobody.stderr, nobody


def relay_with_a_clock(source, prefix, folder):
    """Each line has a time that lies where it was written, within its bound."""
    program = build_in_c(source, prefix, folder, "relay_clock")
    memory = f"{folder}/card"
    with open(memory, "wb") as file:
        file.truncate(1 << 20)
    nobody = subprocess.run([program, "-r", memory], capture_output=True, text=True, check=False)
    assert nobody.returncode == 1 and "magic number" in nobody.stderr, nobody
    with subprocess.Popen([program, memory], stdin=subprocess.PIPE, text=True) as writer:
        while pathlib.Path(memory).read_bytes()[:8] == bytes(8):
            assert writer.poll() is None
            time.sleep(0.01)
        with subprocess.Popen([program, "-r", memory], stdout=subprocess.PIPE,
                              text=True) as reader:
            for number in range(20):
                before = time.monotonic_ns()
                writer.stdin.write(f"line {number}\n")
                writer.stdin.flush()
                stamp, bound, line = re.fullmatch(r"(\d+) \+- (\d+): (.*)\n",
                                                  reader.stdout.readline()).groups()
                after = time.monotonic_ns()
                assert line == f"line {number}", line
                assert int(stamp) + int(bound) >= before, (stamp, bound, before)
                assert int(stamp) - int(bound) <= after, (stamp, bound, after)
            writer.stdin.close()
            assert reader.stdout.read() == ""
        assert writer.wait() == 0 and reader.returncode == 0


def main(source, build, compiler, example):
    source, build = pathlib.Path(source), pathlib.Path(build)
    with tempfile.TemporaryDirectory(prefix="fl example ", dir="/var/tmp") as folder:
        built = [example, f"{folder}/tree", f"{folder}/pc"]
        from_the_tree(source, build, compiler, built[1])
        installed(source, build, compiler, built[2], f"{folder}/prefix")
        relay_in_c(source, f"{folder}/prefix", folder)
        relay_with_a_clock(source, f"{folder}/prefix", folder)
        image = os.urandom(64 * 512)
        pathlib.Path(folder, "disk1.img").write_bytes(image)
        service = f"{folder}/prefix/bin/fairlead-service"
        environment = dict(os.environ, FAIRLEAD_RUNTIME_DIR=f"{folder}/run")
        run([service, "start"], cwd=folder, env=environment)
        try:
            for program in built:
                for sector in (0, 17, 63):
                    got = run([program, f"{folder}/run/block.sock", str(sector)])
                    assert got == image[sector * 512:][:512], (program, sector)
        finally:
            run([service, "stop"], env=environment)
    print("the example reads what the image holds")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
