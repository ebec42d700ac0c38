"""A place for one engine: namespaces of its own (network, mount, pid), a directory, and nothing left when it ends.

What an engine starts cannot outlive its island: with the first process the kernel ends the rest of the pid namespace,
and with the last one the mounts are gone.  Only cgroups stay; those are named after the island, and removed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = os.environ.get("RUNTIME", str(PROJECT / "build/pyrunc"))
RUNTIME_PATH = Path(shutil.which(RUNTIME) or Path(RUNTIME).resolve()).absolute()
USER = "islander"
ENGINES_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What engines name a cgroup without being asked; removed if they were not there before, and are empty.
ENGINES_CGROUPS = ("buildkit", "docker", "libpod_parent", "kubepods", "machine.slice", "user.slice")
TIMEOUT_SECONDS = 60


class Result:
    """How a command ended; `out` is all it printed, on either stream."""

    def __init__(self, argv: list[str], status: int, out: bytes) -> None:
        self.argv = argv
        self.status = status
        self.out = out.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"{' '.join(self.argv)}\nstatus {self.status}\n{self.out[-4000:]}"

    def ok(self, words: str = "") -> Result:
        return self.must_end(0, words)

    def must_end(self, status: int, *words: str) -> Result:
        """With this exit status, and all of these words in what it printed."""
        assert self.status == status, self
        for word in words:
            assert word in self.out, self
        return self

    @property
    def text(self) -> str:
        return self.out.strip()


class Island:
    """`run` and `in_terminal` run commands in it; `directory` is its own, and the same path inside and outside."""

    cgroup_manager = "cgroupfs"  # or systemd: what engines are told to use

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pyrunc-engines-"))
        self.directory.chmod(0o711)
        self.name = self.directory.name.replace("_", "-")  # for cgroups, and containerd's namespaces
        self._cgroups_before = known_cgroups()
        self._daemons: list[subprocess.Popen[bytes]] = []
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        caretaker = [sys.executable, "-I", str(Path(__file__).with_name("caretaker.py"))]
        self._process = subprocess.Popen(
            [*unshare, *caretaker, str(self.directory), USER, str(RUNTIME_PATH)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, env=environment(),
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        pid = self._process.pid
        self.pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def cgroup_parent(self, *names: str) -> str:
        """What an engine is to make its cgroups below: a path, or the slice of that name."""
        if self.cgroup_manager == "systemd":
            return "-".join((self.name, *names)) + ".slice"
        return "/" + "/".join((self.name, *names))

    def inside(self, argv: tuple[str | Path, ...], variables: dict[str, str] | None = None) -> list[str]:
        """argv for the outside, that runs there."""
        settings = [f"{name}={value}" for name, value in environment(variables).items()]
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid"]
        return [*enter, "--", "env", "-i", *settings, *map(str, argv)]

    def run(
        self,
        *argv: str | Path,
        given: bytes = b"",
        variables: dict[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        **options: Any,
    ) -> Result:
        """stdin is a pipe with `given`; what the command leaves running may keep stdout open (it is a file)."""
        line = self.inside(argv, variables)
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, **options
            )
            try:
                process.communicate(given, timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                out.seek(0)
                words = out.read().decode("utf-8", "replace")
                raise AssertionError(f"no end after {timeout} s: {' '.join(map(str, argv))}\n{words}") from None
            out.seek(0)
            return Result([str(word) for word in argv], process.returncode, out.read())

    def in_terminal(
        self,
        *argv: str | Path,
        size: tuple[int, int] = (24, 80),
        typed: bytes = b"",
        variables: dict[str, str] | None = None,
    ) -> Result:
        """On a terminal of `size` (rows, columns); `typed` is typed once the command has printed something."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        process = subprocess.Popen(
            self.inside(argv, variables), stdin=follower, stdout=follower, stderr=follower,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(follower)
        try:
            out = read_terminal(leader, typed, time.monotonic() + TIMEOUT_SECONDS)
        finally:
            os.close(leader)
        return Result([str(word) for word in argv], process.wait(TIMEOUT_SECONDS), out)

    def daemon(self, name: str, *argv: str | Path, variables: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Its output goes to the file `name`.log in the island's directory."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.inside(argv, variables), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._daemons.append(process)
        return process

    def end(self) -> None:
        """Everything in it is gone when this returns."""
        pidfd = os.pidfd_open(self.pid)
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert select.select([pidfd], [], [], TIMEOUT_SECONDS)[0], "the island's first process does not end"
        os.close(pidfd)
        for daemon in self._daemons:
            daemon.wait(TIMEOUT_SECONDS)
        shutil.rmtree(self.directory)
        for path in known_cgroups() - self._cgroups_before | cgroups_named(self.name):
            remove_cgroup(path)
        assert cgroups_named(self.name) == set()


def environment(variables: dict[str, str] | None = None) -> dict[str, str]:
    return {"PATH": ENGINES_PATH, "HOME": "/root", "TERM": "xterm", "LANG": "C.UTF-8"} | (variables or {})


def read_terminal(leader: int, typed: bytes, end: float) -> bytes:
    """All that is printed until nobody has the other side open (EIO: pty(7))."""
    out = b""
    while time.monotonic() < end:
        if not select.select([leader], [], [], 0.1)[0]:
            continue
        try:
            out += os.read(leader, 65536)
        except OSError:
            return out
        if typed:
            os.write(leader, typed)
            typed = b""
    raise AssertionError(f"the terminal is still open; it said {out[-2000:]!r}")


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)
    return value


def hierarchies() -> list[Path]:
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(row[1]) for row in rows if row[2] in ("cgroup", "cgroup2")]


def cgroups_named(name: str) -> set[Path]:
    return {path for top in hierarchies() for path in top.glob(f"**/*{name}*") if path.is_dir()}


def known_cgroups() -> set[Path]:
    return {top / name for top in hierarchies() for name in ENGINES_CGROUPS if (top / name).is_dir()}


def remove_cgroup(path: Path) -> None:
    """Bottom up.  A cgroup that another engine on this machine uses by now is left to that engine."""
    for directory, _children, _files in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            if "pyrunc-engines-" in directory:
                raise
