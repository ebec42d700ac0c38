"""A throw-away Linux with pure cgroup v2, systemd or AppArmor, whose root file system is this machine's own, unharmed.

User-mode Linux (4 s to the command, with systemd 7) or qemu without KVM (the distribution's whole kernel: cpuset,
io.weight, PSI, hugetlb, rdma, time namespaces).  The command's output is streamed, its exit status returned, and what
it leaves in /run/vm-out comes back.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
GUEST = HERE / "guest"
BUSYBOX = Path("/bin/busybox")  # Debian: busybox-static
MODULE_DIRECTORY = Path("/usr/lib/uml/modules")
QEMU_KERNEL = TOP / "build/vm"  # what kernel.sh unpacks
TIMED_OUT, NO_STATUS = 124, 125
DIRECTORY = 0o040755
REGULAR = 0o100755


@dataclass
class Machine:
    """What to start; the defaults are the fastest that has cgroup v2."""

    engine: str = "uml"  # uml, qemu
    init: str = "plain"  # plain, systemd
    user: str = "root"  # another one runs in a cgroup that was delegated to it, or in a session with a user manager
    cgroup: str = "v2"  # v2, v1: hybrid (user-mode Linux only)
    memory_megabytes: int = 2048
    timeout_seconds: float = 600.0
    console: Path | None = None  # the kernel's log


def run(machine: Machine, command: str, out: Path, stream: object = None) -> int:
    """Run a bash script; its exit status, or 124 after the time-out, or 125 when the guest said nothing.

    `out` is /run/vm-out there.  `stream` gets its output (default: our standard output).
    """
    with tempfile.TemporaryDirectory(prefix="vm-") as scratch:
        work = Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        out.chmod(0o777)
        (out / "status").unlink(missing_ok=True)
        console = machine.console or work / "console"
        reading, writing = os.pipe()
        try:
            argv = _uml(machine, work, out, writing) if machine.engine == "uml" else _qemu(machine, work, out, writing)
            (work / "initramfs").write_bytes(initramfs(machine, command))
            with console.open("ab") as log:
                timed_out = _attend(machine, argv, reading, writing, log, stream or sys.stdout.buffer)
        finally:
            os.close(reading)
        if timed_out:
            print(f"vm: still running after {machine.timeout_seconds:g} s", file=sys.stderr)
            return TIMED_OUT
        if not (out / "status").exists():
            tail = console.read_text(errors="replace")[-3000:]
            print(f"vm: no exit status; the end of the kernel's log:\n{tail}", file=sys.stderr)
            return NO_STATUS
        return int((out / "status").read_text())


def _attend(machine: Machine, argv: list[str], reading: int, writing: int, log: object, stream: object) -> bool:
    """Start it, copy what it says, wait; whether it had to be ended."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=[writing],
        start_new_session=True,
    )  # fmt: skip

    def copy() -> None:
        while chunk := os.read(reading, 65536):
            stream.write(chunk)
            stream.flush()

    copier = threading.Thread(target=copy)
    copier.start()
    try:
        process.wait(machine.timeout_seconds)
    except subprocess.TimeoutExpired:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError):  # user-mode Linux leaves helpers in its group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(writing)
        copier.join()
    return False


def _words(machine: Machine) -> list[str]:
    """The kernel's command line, but for where the root file system is."""
    words = ["quiet", "loglevel=4", "panic=-1", "systemd.unit=multi-user.target", "systemd.show_status=no"]
    if machine.cgroup == "v2":
        words += ["cgroup_no_v1=all", "systemd.unified_cgroup_hierarchy=1"]
    else:
        words += ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    return [*words, f"vm.init={machine.init}"]


def _uml(machine: Machine, work: Path, out: Path, writing: int) -> list[str]:
    if not MODULE_DIRECTORY.is_dir():
        raise FileNotFoundError("user-mode-linux is not installed: sudo make setup")
    modules = next(MODULE_DIRECTORY.iterdir())
    return [
        "linux.uml", f"mem={machine.memory_megabytes}M", f"initrd={work}/initramfs", f"uml_dir={work}/",
        "con=null", "con0=null,fd:2", f"con1=null,fd:{writing}", "ssl=null", "lsm=yama,apparmor",
        *_words(machine), "vm.root=hostfs:/",
        f"vm.share=hostfs:{TOP}:{TOP}", f"vm.share=hostfs:{out}:/run/vm-out",
        f"vm.share=hostfs:{modules}:/lib/modules/{modules.name}",
    ]  # fmt: skip


def _qemu(machine: Machine, work: Path, out: Path, writing: int) -> list[str]:
    kernel = QEMU_KERNEL / "vmlinux"
    if not kernel.exists():
        raise FileNotFoundError(f"{kernel} is not there: conformance/vm/kernel.sh makes it")
    shares, words = [], []
    for number, (path, where) in enumerate((("/", ""), (str(TOP), str(TOP)), (str(out), "/run/vm-out"))):
        shares += ["-virtfs", f"local,path={path},mount_tag=share{number},security_model=none,multidevs=remap"]
        words.append(f"vm.share=9p:share{number}:{where}" if where else f"vm.root=9p:share{number}")
    line = [*_words(machine), *words, "console=ttyS0", "mitigations=off", "nokaslr", "tsc=reliable", "no_timer_check"]
    return [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off", "-smp", "2",
        "-m", str(machine.memory_megabytes), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", "file:/dev/stderr", "-kernel", str(kernel), "-initrd", f"{work}/initramfs",
        "-device", "virtio-serial-pci", "-chardev", f"file,id=out,path=/dev/fd/{writing}",
        "-device", "virtserialport,chardev=out,nr=1", "-device", "virtio-rng-pci", *shares,
        "-append", " ".join([*line, "apparmor=1", "security=apparmor"]),
    ]  # fmt: skip


def initramfs(machine: Machine, command: str) -> bytes:
    """busybox, the modules that reach the shares, our scripts, the command."""
    environment = {f"VM_{name.upper()}": getattr(machine, name) for name in ("engine", "init", "user", "cgroup")}
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())
    files: dict[str, bytes | None] = dict.fromkeys(("bin", "dev", "job", "modules", "new", "proc", "sys"))
    files["bin/busybox"] = BUSYBOX.read_bytes()
    files["init"] = (GUEST / "init.sh").read_bytes()
    files["job/command"] = command.encode() + b"\n"
    files["job/environment"] = text.encode()
    for name in ("plain.sh", "job.sh", "vm.service", "masked"):
        files[f"job/{name}"] = (GUEST / name).read_bytes()
    modules = _modules(machine)
    files["modules/order"] = "\n".join(name for name, _content in modules).encode()
    files.update({f"modules/{name}": content for name, content in modules})
    return newc(files)


def _modules(machine: Machine) -> list[tuple[str, bytes]]:
    if machine.engine == "uml":
        paths = [next(MODULE_DIRECTORY.iterdir()) / "kernel/fs/overlayfs/overlay.ko"]
    else:
        listed = (QEMU_KERNEL / "modules/order").read_text().split()
        paths = [QEMU_KERNEL / "modules" / name for name in listed]
    return [(path.name, path.read_bytes()) for path in paths]


def newc(files: dict[str, bytes | None]) -> bytes:
    """A cpio archive (kernel: Documentation/driver-api/early-userspace/buffer-format.rst); None is a directory."""
    archive = bytearray()
    for number, (name, content) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        mode = DIRECTORY if content is None else REGULAR
        size = len(content or b"")
        encoded = name.encode() + b"\0"
        numbers = (number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(encoded), 0)
        archive += b"070701" + b"".join(b"%08X" % value for value in numbers) + encoded
        archive += bytes(-len(archive) % 4) + (content or b"") + bytes(-size % 4)
    return bytes(archive)


def copy_results(out: Path, junit: Path) -> bool:
    """Whether the guest left a JUnit file; it is at `junit` then."""
    found = out / "junit.xml"
    if not found.exists():
        return False
    junit.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(found, junit)
    return True
