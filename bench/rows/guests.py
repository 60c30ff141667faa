# SPDX-License-Identifier: Apache-2.0
"""Row 20: out of a guest: the relay in its ivshmem card beside its virtio-serial port and TCP."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from figures import entry
from harness import MIB, Failed, wait_until

SIZES = [64, 4096]
BATCH = 65536
CARD_BYTES = 16 * MIB
MODULES = ["failover", "net_failover", "virtio_net"]  # each after what it needs
QEMU = "qemu-system-x86_64"


class Lacking(Failed):
    """The machine has not what a guest of its own needs: a quick run goes without the row."""


def lacking(bench):
    missing = [tool for tool in (QEMU, "ip", "dpkg-deb") if not shutil.which(tool)]
    missing += [name for name, path in (("fairlead-guest", bench.product("fairlead-guest")),
                                        ("guest_sender", bench.program("guest_sender")))
                if not os.path.exists(path)]
    if os.geteuid() != 0:
        missing.append("root (a network namespace)")
    return ", ".join(missing)


# ---- an initramfs to add to that of the lab's guests: later files replace earlier ones ----

def cpio_entry(number, name, data, mode):
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0"
    return b"".join(part + b"\0" * (-len(part) % 4) for part in (head, data))


def cpio(files):
    """`files`: (name, data, mode)."""
    entries = [cpio_entry(number, *file) for number, file in enumerate(files, 1)]
    return b"".join([*entries, cpio_entry(0, "TRAILER!!!", b"", 0)])


def file_of(archive, name):
    """The data of one file of a cpio archive."""
    at = 0
    while archive[at:at + 6] == b"070701":
        size, name_size = (int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in (6, 11))
        begin = at + 110
        data = (begin + name_size + 3) // 4 * 4
        if archive[begin:begin + name_size - 1].decode() == name:
            return archive[data:data + size]
        at = (data + size + 3) // 4 * 4
    raise Failed(f"the guests' initramfs has no {name}")


def kernel_modules(version):
    """(name, bytes) of MODULES, out of the kernel's package as `fairlead guest` has it."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    for package in (cache / "fairlead/packages").glob("*.deb"):
        said = subprocess.run(["dpkg-deb", "-f", package, "Package", "Version"], check=False,
                              capture_output=True, text=True).stdout
        if "Package: linux-image-" not in said or f"Version: {version}\n" not in said:
            continue
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
            found = {path.stem: path.read_bytes() for path in pathlib.Path(folder).rglob("*.ko")
                     if path.stem in MODULES}
        if len(found) == len(MODULES):
            return [(name, found[name]) for name in MODULES]
    raise Lacking("the guests' kernel package with virtio_net is not in the cache of "
                  "fairlead-guest")


def make_initramfs(bench, image, to):
    """The lab's, whose first process is ours and which has a driver for the network."""
    with open(image["initramfs"], "rb") as file:
        archive = file.read()
    with open(bench.program("guest_sender"), "rb") as file:
        sender = file.read()
    modules = kernel_modules(image["version"])
    order = file_of(archive, "modules/order").decode()
    order += "".join(f"{name}.ko\n" for name, _ in modules)
    more = [("sender", sender, 0o100755), ("modules/order", order.encode(), 0o100644)]
    more += [(f"modules/{name}.ko", data, 0o100644) for name, data in modules]
    with open(to, "wb") as file:
        file.write(archive + b"\0" * (-len(archive) % 512) + cpio(more))


# ---- one guest with all three ----

@contextlib.contextmanager
def namespace():
    """A network of its own with a tap device; removed with all that is in it."""
    name = f"fl-bench-{os.getpid()}"
    def ip(*words):
        done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Lacking(f"ip {' '.join(words)}: {done.stderr.strip()}")
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr")
        ip("-n", name, "addr", "add", "10.77.0.1/24", "dev", "tap0")
        ip("-n", name, "link", "set", "tap0", "up")
        yield ["ip", "netns", "exec", name]
    finally:
        ip("netns", "del", name)


class Guest:
    def __init__(self, bench, folder, within):
        self.bench, self.folder, self.within = bench, folder, within
        self.card = f"/dev/shm/fairlead-bench-{os.getpid()}"
        self.process = None

    def start(self):
        bench, folder = self.bench, self.folder
        try:
            image = json.loads(bench.run([bench.product("fairlead-guest"), "build", "-o", "json"],
                                         timeout=100))
        except Failed as error:  # no packages to be had
            raise Lacking(str(error)) from error
        make_initramfs(bench, image, f"{folder}/initramfs")
        words = [*self.within, QEMU, "-machine", "pc", "-accel", "tcg", "-smp", "1", "-m", "256",
                 "-nodefaults", "-display", "none", "-kernel", image["kernel"],
                 "-initrd", f"{folder}/initramfs", "-append",
                 "rdinit=/sender console=ttyS0 quiet cryptomgr.notests audit=0 no_timer_check",
                 "-serial", f"file:{folder}/console",
                 "-object", f"memory-backend-file,id=card,share=on,mem-path={self.card},"
                            f"size={CARD_BYTES}",
                 "-device", "ivshmem-plain,memdev=card", "-device", "virtio-serial-pci",
                 "-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no",
                 "-device", "virtio-net-pci,netdev=net"]
        for name in ("control", "data"):
            words += ["-chardev", f"socket,id={name},path={folder}/{name},server=on,wait=off",
                      "-device", f"virtserialport,chardev={name},name=bench.{name}"]
        self.process = bench.spawn(words)
        console = pathlib.Path(f"{folder}/console")
        def ready():
            if self.process.poll() is not None:
                raise Failed("QEMU ended: " + self.process.stderr.read().decode().strip())
            return console.exists() and b"guest_sender: ready" in console.read_bytes()
        try:
            wait_until("the guest boots", ready, 120)
        except Failed as error:
            text = console.read_text(errors="replace").strip() if console.exists() else ""
            raise Failed(f"{error}; its console: {text[-200:]}") from error

    def carry(self, carrier, size, batch=0, *more):
        options = self.bench.options
        return json.loads(self.bench.run(
            [*self.within, self.bench.program("guest_stream"), carrier, "--write", size,
             "--batch", batch, "--folder", self.folder, "--card", self.card,
             "--pid", self.process.pid, "--seconds", options.seconds,
             "--warm-up", options.warm_up, *more]))

    def tcp(self, size, batch):
        """With Nagle's algorithm or without, whichever is faster."""
        return max((self.carry("tcp", size, batch, *more) for more in ([], ["--no-delay"])),
                   key=lambda result: result["messages_per_second"])

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.bench.bury(self.process)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.card)


@contextlib.contextmanager
def guest_of(bench):
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder, namespace() as within:
        guest = Guest(bench, folder, within)
        try:
            guest.start()
            yield guest
        finally:
            guest.end()


PEERS = [("serial", 0, "virtio-serial, one write a message"),
         ("serial", BATCH, "virtio-serial, 64 KiB a write"),
         ("tcp", 0, "TCP, one send a message"),
         ("tcp", BATCH, "TCP, 64 KiB a send")]


def measure(bench, guest):
    for size in SIZES:
        rounds = []
        for _ in range(bench.options.rounds):
            results = {"relay": guest.carry("relay", size)}
            for carrier, batch, name in PEERS:
                results[name] = guest.tcp(size, batch) if carrier == "tcp" else \
                    guest.carry(carrier, size, batch)
            rounds.append(results)
        rate, unit = ("messages_per_second", "messages/s") if size == SIZES[0] else \
            ("bytes_per_second", "bytes/s")
        for _, _, name in PEERS:
            yield entry("20", f"{size} bytes", f"{unit} to {name}",
                        [(r["relay"][rate], r[name][rate]) for r in rounds],
                        goal=(">=", 3), peer=name, unit=unit)
        for _, _, name in PEERS:
            yield entry("20", f"{size} bytes",
                        f"processor time of QEMU and reader a message to {name}",
                        [(r["relay"]["cpu_ns_per_message"], r[name]["cpu_ns_per_message"])
                         for r in rounds], better="lower", peer=name, unit="ns")


def out_of_a_guest(bench):
    try:
        missing = lacking(bench)
        if missing:
            raise Lacking(f"missing: {missing}")
        with guest_of(bench) as guest:
            yield from measure(bench, guest)
    except Lacking as error:
        if not bench.options.quick:
            raise
        print(f"bench: notice: row 20 is left out: {error}", file=sys.stderr)


ROWS = {
    "20": ("out of a guest through its ivshmem card to its virtio-serial port and virtio-net TCP",
           "One emulated guest (TCG, one virtual processor, the kernel of the lab's guests) has an "
           "ivshmem card of 16 MiB, a virtio-serial port and a virtio-net card on a tap device in "
           "a network namespace of its own. Its one process sends numbered messages as fast as it "
           "can; the host's looks at each number, and that all came. The card: a relay channel, "
           "each message an item; the reader waits a millisecond when there is nothing. The "
           "others: one system call a message in the guest, and, as a second figure, messages "
           "gathered into calls of 64 KiB; their reader takes what there is, at most 256 KiB a "
           "call. TCP with Nagle's algorithm or without, whichever is faster in that round. "
           "Processor time: that of all of QEMU's threads and of the reader.", out_of_a_guest),
}
