# SPDX-License-Identifier: Apache-2.0
"""Real guests: built from Debian's packages, booted by libvirt and QEMU (emulated) and as
User-Mode Linux, loaded, measured from outside.

One libvirt daemon of its own for each run, in a folder of its own; it and its guests end with the
run.  What the machine lacks is said and skipped, never passed over in silence.

usage: guests.py CLASS[.test_name]     environment: FL_PROGRAMS, the folder of the programs
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from rig import PATIENCE_S, PROGRAMS, Background, RigTest, build, main, run, until


class Image(unittest.TestCase):
    def test_built_twice_it_is_the_same(self):
        image = build()
        with tempfile.TemporaryDirectory() as folder:
            packages = pathlib.Path(image["kernel"]).parents[2] / "packages"
            os.makedirs(f"{folder}/fairlead")
            os.symlink(packages, f"{folder}/fairlead/packages")
            again = json.loads(run("fairlead-guest", "build", "-o", "json",
                                   "--cache", f"{folder}/fairlead").stdout)
            self.assertTrue(again["fresh"])
            for part in ("kernel", "initramfs"):
                first = pathlib.Path(image[part]).read_bytes()
                self.assertEqual(first, pathlib.Path(again[part]).read_bytes(), part)

    def test_a_version_that_has_gone_is_one_clear_line(self):
        with tempfile.TemporaryDirectory() as folder:
            lock = pathlib.Path(folder) / "lock"
            digest = "0" * 64
            lock.write_text(f"kernel linux-image-cloud-amd64 0.0.1 {digest}\n"
                            f"busybox busybox-static 0.0.1 {digest}\n", encoding="ascii")
            done = run("fairlead-guest", "build", "--lock", str(lock), "--cache", folder,
                       check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("fairlead guest lock", done.stderr)


class UserModeLinux(unittest.TestCase):
    def test_it_boots_loads_and_reports_on_its_console(self):
        image = build("--uml")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [image["kernel"], "mem=128M", "initrd=" + image["initramfs"], "con=null",
                 "con0=null,fd:1", "ssl=null", "quiet", f"uml_dir={folder}",
                 "fairlead.load=cpu:light;mem:limit=4M,rate=64M", "fairlead.report=500",
                 "fairlead.seconds=3"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                timeout=PATIENCE_S, check=False, env={**os.environ, "TMPDIR": folder})
        lines = [line for line in done.stdout.decode(errors="replace").splitlines()
                 if line.startswith("fairlead-report ")]
        self.assertTrue(lines, done.stdout)
        last = dict(pair.split("=") for pair in lines[-1].split()[1:])
        self.assertEqual(last["memory_kib"], str(4 * 1024))
        self.assertGreater(int(last["rounds"]), 10)
        self.assertEqual(last["loads"], "2")


class Lab(RigTest):
    """One libvirt daemon for all tests, in a folder of its own; each test ends its guests."""

    def setUp(self):
        self.addCleanup(self.lab, "down")

    def lab(self, *words, **more):
        return self.rig.lab(*words, **more)

    def up(self, *words):
        self.rig.up("--memory", "128", "--max", "256", *words)

    def virsh(self, *words):
        return self.rig.virsh(*words)

    def guests(self):
        return json.loads(self.lab("ls", "-o", "json").stdout)["guests"]

    def report(self, index=0):
        return self.guests()[index]["report"]

    def vcpu_thread(self, name):
        """(pid, task) of the guest's one vCPU."""
        shown = self.virsh("qemu-monitor-command", name, "--hmp", "info cpus")
        task = int(shown.split("thread_id=")[1].split()[0])
        for path in pathlib.Path("/proc").glob(f"[0-9]*/task/{task}"):
            return path
        raise AssertionError(f"no thread {task}")

    def vcpu_time(self, name):
        stat = (self.vcpu_thread(name) / "stat").read_text(encoding="ascii")
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_loads_pins_and_balloon_are_seen_from_outside(self):
        self.up("--vms", "2", "--pin", "0,1" if os.cpu_count() > 1 else "0")
        with self.subTest("pins take effect on the vCPU's thread"):
            for index, guest in enumerate(self.guests()):
                status = (self.vcpu_thread(guest["name"]) / "status").read_text(encoding="ascii")
                wanted = str(index) if os.cpu_count() > 1 else "0"
                self.assertIn(f"Cpus_allowed_list:\t{wanted}\n", status)
                self.assertEqual(guest["pins"], wanted)
        with self.subTest("a CPU load is seen by the host, and its end"):
            self.lab("load", "aos_1", "cpu:share=60%")
            before, start = self.vcpu_time("aos_1"), time.monotonic()
            until("1.5 s of load", lambda: time.monotonic() - start > 1.5)
            share = (self.vcpu_time("aos_1") - before) / (time.monotonic() - start)
            self.assertGreater(share, 0.3)
            rounds = self.report(0)["rounds"]
            self.assertGreater(rounds, 0)
            self.assertEqual(self.report(1)["rounds"], 0)
            self.lab("load", "aos_1", "stop")
            self.assertEqual(self.report(0)["loads"], 0)
        with self.subTest("a memory load takes what it says, and gives it back"):
            free = self.report(1)["available_bytes"]
            self.lab("load", "aos_2", "mem:limit=24M,rate=200M")
            until("24 MiB held", lambda: self.report(1)["load_bytes"] == 24 << 20)
            taken = free - self.report(1)["available_bytes"]
            self.assertAlmostEqual(taken / (24 << 20), 1, delta=0.25)
            self.lab("load", "aos_2", "stop")
            until("memory back", lambda: self.report(1)["available_bytes"] > free - (4 << 20))
        with self.subTest("the balloon obeys"):
            total = self.report(0)["total_bytes"]
            self.virsh("setmem", "aos_1", "192M", "--live")
            until("grown", lambda: self.guests()[0]["memory_bytes"] == 192 << 20)
            until("MemTotal", lambda: self.report(0)["total_bytes"] == total + (64 << 20))
            stats = self.virsh("dommemstat", "aos_1")
            self.assertIn("usable", stats)

    def test_up_that_a_signal_ends_leaves_nothing(self):
        self.up("--vms", "1", "--name", "other_")
        self.addCleanup(self.lab, "down", "--name", "other_")
        files = pathlib.Path(self.rig.folder) / "run/lab"
        for number, ready in ((signal.SIGINT, "aos_1"), (signal.SIGTERM, "aos_2")):
            up = self.rig.program("up", "fairlead-lab", "up", "--vms", "2", "--accel", "tcg",
                                  "--memory", "128", "--max", "256")
            until(f"{ready} is there", lambda name=ready: name in self.virsh("list", "--name"))
            up.signal(number)
            self.assertEqual(up.wait(), 128 + number)
            self.assertRegex(up.errors(), rf"\Afairlead-lab: {number.name}: the \d guests that "
                             r"were started are ended\n\Z")
            self.assertEqual(self.virsh("list", "--name").split(), ["other_1"])
            self.assertEqual(sorted(path.name for path in files.iterdir()),
                             ["other_1.agent", "other_1.console", "other_1.port", "other_1.run"])

    def test_a_libvirtd_in_a_folder_of_an_odd_name(self):
        folder = ["--private", f"{self.rig.folder}/a & b #1 ü"]
        done = run("fairlead-lab", "libvirtd", *folder, env=self.rig.env)
        try:
            guests = run("fairlead-lab", "ls", "--uri", done.stdout.strip(), "-o", "json",
                         env=self.rig.env)
            self.assertEqual(json.loads(guests.stdout), {"guests": []})
        finally:
            run("fairlead-lab", "libvirtd", "--stop", *folder, env=self.rig.env)

    def in_guest(self, command, *words, **more):
        return run("fairlead-lab", "run", "--uri", self.rig.uri, *words, "aos_1", "--", command,
                   env=self.rig.env, **more)

    def test_a_command_says_what_it_says_and_ends_as_it_ends(self):
        self.up("--vms", "1", "--disk")
        self.assertEqual(self.in_guest("echo two  'words  ' $((40 + 2))").stdout,
                         "two words   42\n")
        refused = run("fairlead-lab", "run", "--uri", self.rig.uri, "all", "--", "true",
                      env=self.rig.env, check=False)
        self.assertEqual((refused.returncode, refused.stderr.count("\n")), (1, 1))
        self.assertIn("in one guest", refused.stderr)
        for command, status in (("exit 7", 7), ("kill -9 $$", 137), ("no-such-program", 127)):
            self.assertEqual(self.in_guest(command, check=False).returncode, status, command)
        # More than any buffer on the way holds, and bytes that a line cannot.
        self.assertEqual(self.in_guest("seq 1 30000").stdout.split(),
                         [str(number) for number in range(1, 30001)])
        said = self.in_guest(r"printf ' \\\001\r\n\n\303\274 '").stdout
        self.assertEqual(said, " \\\x01\n\nü ")  # Python reads \r\n as one end of a line
        self.assertEqual(json.loads(self.in_guest("echo a; echo b >&2; sleep 1000 &",
                                                  "-o", "json").stdout),
                         {"guest": "aos_1", "exit": 0, "output": "a\nb\n"})

    def test_modules_come_when_they_are_asked_for(self):
        self.up("--vms", "1", "--disk")
        for scheduler in ("bfq", "kyber", "mq-deadline", "none"):
            self.in_guest(f"echo {scheduler} > /sys/block/vda/queue/scheduler")
            self.assertIn(f"[{scheduler}]",
                          self.in_guest("cat /sys/block/vda/queue/scheduler").stdout)
        self.in_guest("mount -t ext4 /dev/vda /tmp", check=False)  # an empty disk
        self.assertIn("ext4", self.in_guest("cat /proc/filesystems").stdout)

    def test_a_command_ends_with_its_host(self):
        self.up("--vms", "1")
        words = ["run", "--uri", self.rig.uri, "aos_1", "--", "echo began; sleep 1000; echo late"]
        for number, status in ((signal.SIGINT, 137), (signal.SIGKILL, -signal.SIGKILL)):
            host = Background(self.rig, "run", "fairlead-lab", *words)
            self.addCleanup(host.kill)
            until("the command runs", lambda: host.text() == "began\n")
            host.signal(number)
            self.assertEqual(host.wait(), status, host.errors())
            self.assertEqual(host.text(), "began\n")
            until("it has ended",
                  lambda: self.in_guest("! pgrep sleep", check=False).returncode == 0)

    def test_a_command_that_never_stops_talking(self):
        self.up("--vms", "1")
        words = ["run", "--uri", self.rig.uri, "aos_1", "--", "yes"]
        for form in ("text", "json"):
            with self.subTest(form=form):
                host = Background(self.rig, "yes", "fairlead-lab", *words[:1], "-o", form,
                                  *words[1:])
                self.addCleanup(host.kill)
                time.sleep(1)
                self.assertIsNotNone(self.report(), "others get their answers meanwhile")
                host.signal(signal.SIGINT)
                self.assertEqual(host.wait(10), 137, host.errors())
                self.assertIn("y", host.text())
                if form == "json":
                    self.assertEqual(json.loads(host.text())["exit"], 137)
        with self.subTest("nobody reads it any more"):
            host = subprocess.Popen([PROGRAMS / "fairlead-lab", *words], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=self.rig.env)
            self.addCleanup(host.kill)
            self.assertEqual(host.stdout.readline(), b"y\n")
            host.stdout.close()
            self.assertNotEqual(host.wait(10), 0)
            host.stderr.close()
        until("it has ended", lambda: self.in_guest("! pgrep yes", check=False).returncode == 0)

    def test_a_load_that_outgrows_its_guest_is_killed_and_the_agent_lives(self):
        self.up("--vms", "1")
        self.lab("load", "all", "mem:rate=400M")
        until("an OOM kill", lambda: self.report()["oom_kills"] == 1)
        until("it is buried", lambda: self.report()["loads"] == 0)
        self.assertGreater(self.report()["load_peak_bytes"], 32 << 20)
        refused = self.lab("load", "all", "mem:cache,limit=1M", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("no disk", refused.stderr)

    def test_down_takes_what_a_killed_up_left_and_nothing_else(self):
        self.virsh("define", self.foreign_domain())
        self.virsh("start", "aos_foreign")
        program = subprocess.Popen(
            [PROGRAMS / "fairlead-lab", "up", "--accel", "tcg", "--vms", "3", "--memory", "128",
             "--max", "128", "--uri", self.rig.uri], env=self.rig.env, stderr=subprocess.DEVNULL)
        until("a first guest", lambda: "aos_1" in self.virsh("list", "--name"))
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        self.assertTrue(list(pathlib.Path(f"{self.rig.folder}/run/lab").iterdir()))
        # The daemon may still be starting what it was last asked for.
        until("only the foreign one", lambda: self.lab("down", check=False).returncode == 0 and
              self.virsh("list", "--all", "--name").split() == ["aos_foreign"])
        self.assertEqual(list(pathlib.Path(f"{self.rig.folder}/run/lab").iterdir()), [])
        self.virsh("destroy", "aos_foreign")
        self.virsh("undefine", "aos_foreign")

    def foreign_domain(self):
        path = f"{self.rig.folder}/foreign.xml"
        pathlib.Path(path).write_text(
            "<domain type='qemu'><name>aos_foreign</name><memory unit='MiB'>16</memory>"
            "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>", encoding="ascii")
        return path

    def test_a_silent_agent_and_a_stranger_on_the_socket_hurt_nobody(self):
        self.up("--vms", "1")
        guest = self.guests()[0]
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(guest["agent"])
            stranger.sendall(b"\xff" * 5000 + b"\n9 nonsense\n" + b"3 load cpu:what\n" + b"1 ")
        self.assertIsNotNone(until("an answer again", self.report))
        self.virsh("suspend", "aos_1")
        self.assertIsNone(self.report())
        self.assertEqual(self.guests()[0]["state"], "paused")
        self.virsh("resume", "aos_1")
        self.assertIsNotNone(until("an answer again", self.report))


if __name__ == "__main__":
    sys.exit(main(["Lab"]))
