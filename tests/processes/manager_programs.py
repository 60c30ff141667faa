#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The managers' and the monitor's programs: command lines, their lock, --restore, all against
libvirt's own test driver, which has one guest and takes no real host."""
import json
import os
import signal
import unittest

from house import House

FAILED, USAGE = 1, 2
MANAGERS = ("fairlead-vcpu", "fairlead-memory")
HERE = ("--uri", "test:///default")
ELSEWHERE = ("--uri", "qemu+ssh://elsewhere/system")
DIFFERENT_HOST = "is another host"


class Managers(House):
    def refused(self, code, hint, program, *arguments):
        with self.subTest(program=program, arguments=arguments):
            result = self.run_program(program, *arguments)
            self.one_line_error(result, code)
            self.assertTrue(result.stderr.startswith(program + ": "), result.stderr)
            self.assertIn(hint, result.stderr)

    def lock(self, program):
        return os.path.join(self.runtime, f"manager@{program.removeprefix('fairlead-')}.lock")

    @property
    def masks(self):
        return os.path.join(self.runtime, "vcpu.masks")

    def running(self, program, *arguments):
        """One that has looked once."""
        manager = self.spawn(program, "0.1", *HERE, *arguments)
        self.assertNotEqual(manager.stdout.readline(), "", program)
        return manager

    def end(self, manager, how=signal.SIGTERM):
        manager.send_signal(how)
        manager.communicate(timeout=20)
        return manager.returncode

    def write_masks(self, *masks):
        os.makedirs(self.runtime, mode=0o700, exist_ok=True)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        with open(self.masks, "w", encoding="utf-8") as file:
            json.dump({"boot_id": boot_id, "masks": list(masks)}, file)

    def of_test(self, **changes):
        """A mask of the first vCPU of the test driver's guest."""
        return {"uuid": "6695eb01-f6a4-8304-79aa-97f2502e193f", "name": "test", "vcpu": 0,
                "uri": "test:///default", "run_id": 1, "allowed": "0"} | changes

    def test_an_empty_file_name_is_a_wrong_command_line(self):
        for program in MANAGERS:
            for option in ("--replay", "--record", "--config"):
                self.refused(USAGE, option, program, "1", option, "", *HERE)
        for verb in ("vcpu", "memory"):
            self.refused(USAGE, "--log", "fairlead-monitor", verb, "--log", "", *HERE)
        self.assertFalse(os.path.exists(self.runtime))

    def test_another_host_is_a_wrong_command_line(self):
        for program in MANAGERS:
            self.refused(USAGE, DIFFERENT_HOST, program, "1", *ELSEWHERE)
            self.refused(USAGE, DIFFERENT_HOST, program, "--replay", "/dev/null", *ELSEWHERE)
        self.refused(USAGE, DIFFERENT_HOST, "fairlead-vcpu", "--restore", *ELSEWHERE)
        self.refused(USAGE, DIFFERENT_HOST, "fairlead-vcpu", "--restore", "--dry-run", *ELSEWHERE)
        for verb in ("vcpu", "memory"):
            self.refused(USAGE, DIFFERENT_HOST, "fairlead-monitor", verb, *ELSEWHERE)

    def test_an_empty_uri_is_a_wrong_command_line(self):
        for program in MANAGERS:
            self.refused(USAGE, "--uri: it is empty", program, "1", "--uri", "")
        self.refused(USAGE, "--uri: it is empty", "fairlead-vcpu", "--restore", "--uri", "")
        for verb in ("vcpu", "memory"):
            self.refused(USAGE, "--uri: it is empty", "fairlead-monitor", verb, "--uri", "")
        for verb in ("up", "ls", "down", "libvirtd"):
            self.refused(USAGE, "--uri: it is empty", "fairlead-lab", verb, "--uri", "")

    def test_what_no_lab_can_be_is_a_wrong_command_line(self):
        for words in (["--pin", "9999"], ["--pin", "0,0"], ["--pin", "x"], ["--name", "../x"],
                      ["--name", ""], ["--memory", "999", "--max", "99"]):
            self.refused(USAGE, words[0], "fairlead-lab", "up", *words)
        for folder in ('a"b', "a\nb", "a\\b", "l" * 90):
            for more in ([], ["--stop"]):
                self.refused(USAGE, "--private: ", "fairlead-lab", "libvirtd", "--private",
                             self.path(folder), *more)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_rule_without_a_processor_is_told_once(self):
        with open(self.path("rules"), "w", encoding="ascii") as file:
            file.write('[guest."test"]\npcpus = "4000"\n')
        done = self.run_program("fairlead-vcpu", "0.1", "--once", "--config", self.path("rules"),
                                *HERE)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr,
                         "fairlead-vcpu: [guest.'test'] pcpus = \"4000\": none of them is managed "
                         "and online, so the guest is left as it is\n")

    def test_guests_are_told_by_their_names(self):
        said = self.ok("fairlead-memory", "0.1", "--once", "--explain", *HERE)
        self.assertIn("test: is to report every 1 s", said)
        self.assertNotIn("6695eb01", said)

    def test_what_has_no_meaning_beside_restore_is_refused(self):
        self.write_masks(self.of_test())
        for words in (["1"], ["--once"], ["--replay", "/dev/null"], ["--record", "x"],
                      ["--config", "/dev/null"], ["--pcpus", "0"], ["--explain"], ["-o", "json"],
                      ["--print-config"]):
            self.refused(USAGE, "excludes", "fairlead-vcpu", "--restore", *words, *HERE)
        self.assertTrue(os.path.exists(self.masks))
        self.assertFalse(os.path.exists(self.path("x")))

    def test_restore_tells_how_many_and_keeps_what_it_cannot_put_back(self):
        elsewhere = self.of_test(uuid="0" * 8 + "-0000-0000-0000-" + "0" * 12, name="db1",
                                 uri="qemu:///system")
        self.write_masks(self.of_test(), elsewhere)
        would = self.ok("fairlead-vcpu", "--restore", "--dry-run", *HERE)
        self.assertRegex(would, r"\Amasks of before: 2 \(dry run: nothing is done\)\n"
                                r"  db1 vCPU 0: kept: .*\n  test vCPU 0: \S+ -> 0\n\Z")
        done = self.run_program("fairlead-vcpu", "--restore", *HERE)
        self.assertEqual(done.stdout, "1 vCPUs may run where they might before\n",
                         "the dry run did nothing")
        self.assertEqual(done.stderr, "fairlead-vcpu: kept the mask of db1 vCPU 0: its guest is "
                                      "one of --uri qemu:///system\n")
        self.assertEqual(done.returncode, FAILED)
        with open(self.masks, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["masks"], [elsewhere])
        self.write_masks(self.of_test())
        self.assertEqual(self.ok("fairlead-vcpu", "--restore", *HERE),
                         "1 vCPUs may run where they might before\n")
        self.assertFalse(os.path.exists(self.masks))
        self.assertEqual(self.ok("fairlead-vcpu", "--restore", *HERE),
                         "0 vCPUs may run where they might before\n")

    def test_a_restore_that_only_looks_makes_nothing(self):
        self.ok("fairlead-vcpu", "--restore", "--dry-run", *HERE)
        self.assertFalse(os.path.exists(self.runtime))

    def test_damaged_masks_are_one_line_and_stay(self):
        os.makedirs(self.runtime, mode=0o700)
        for text in ("", "null", '{"boot_id":"x","masks":[{"vcpu":-1}]}'):
            with open(self.masks, "w", encoding="utf-8") as file:
                file.write(text)
            for words in (["1", "--once"], ["--restore"], ["--restore", "--dry-run"]):
                self.refused(FAILED, f"{self.masks} is damaged (", "fairlead-vcpu", *words, *HERE)
            with open(self.masks, encoding="utf-8") as file:
                self.assertEqual(file.read(), text)

    def test_two_signals_at_one_moment_are_one(self):
        for program, words in (("fairlead-monitor", ["vcpu"]), ("fairlead-monitor", ["memory"]),
                               ("fairlead-vcpu", []), ("fairlead-memory", [])):
            with self.subTest(program=program, words=words):
                process = self.spawn(program, *words, "0.1", *HERE)
                self.assertNotEqual(process.stdout.readline(), "")
                # As timeout(1): to the process, then to its group, of which it is the only one.
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=20)
                self.assertEqual((process.returncode, said), (0, ""))

    def test_a_second_manager_of_a_kind_is_told_of_the_first(self):
        managers = {program: self.running(program) for program in MANAGERS}  # both at once
        for program, manager in managers.items():
            told = f"a manager runs already as process {manager.pid} (end it first)"
            self.refused(FAILED, told, program, "1", *HERE)
            self.refused(FAILED, told, program, "1", "--once", *HERE)
            self.refused(USAGE, "interval", program, *HERE)
            self.assertEqual(self.end(self.running(program, "--dry-run")), 0, "it only looks")
            verb = program.removeprefix("fairlead-")
            self.ok("fairlead-monitor", verb, "0.1", "--rounds", "1", *HERE)
        self.refused(FAILED, "a manager runs already", "fairlead-vcpu", "--restore", *HERE)
        self.ok("fairlead-vcpu", "--restore", "--dry-run", *HERE)
        for program, manager in managers.items():
            self.assertEqual(self.end(manager), 0)
            self.assertFalse(os.path.exists(self.lock(program)))

    def test_a_manager_that_was_killed_hinders_nobody(self):
        for program in MANAGERS:
            self.end(self.running(program), signal.SIGKILL)
            self.assertTrue(os.path.exists(self.lock(program)))
            self.assertEqual(self.end(self.running(program)), 0)
            self.end(self.running(program), signal.SIGKILL)
            self.ok(program, "0.1", "--once", *HERE)
        self.end(self.running("fairlead-vcpu"), signal.SIGKILL)
        self.ok("fairlead-vcpu", "--restore", *HERE)
        self.assertEqual(os.listdir(self.runtime), [])


if __name__ == "__main__":
    unittest.main()
