"""What must not change: files on a tmpfs that stands for the host, and the real host's mounts, settings and programs.

The tests that use it run in a mount namespace of their own: an attack that succeeds hurts the tmpfs.  The oracle is
never that a command failed, but what is different afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cli.runtime import ROOT_OF_PROJECT
from pyrunc.kernel.constants import CLONE_NEWNS, MS_BIND, MS_MOVE, MS_PRIVATE, MS_REC

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "the host's secret"
CGROUP2 = "/sys/fs/cgroup/unified"
SETTINGS = ("kernel/core_pattern", "kernel/hostname", "net/ipv4/ip_forward", "vm/swappiness")
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    if LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), flags, data.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} on {target}")


@contextlib.contextmanager
def private_mounts() -> Iterator[None]:
    """This process in a mount namespace from which nothing reaches the host's; setns(2) leads back.

    The cgroup2 part of a hybrid tree is covered: crun 1.8 refuses to run beside it.  /dev is a copy: crun 1.8 gives
    /dev/null to whoever has it as stdin.
    """
    before, cwd = os.open("/proc/self/ns/mnt", os.O_RDONLY), os.open(".", os.O_PATH)
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        if os.path.ismount(CGROUP2):
            LIBC.umount2(CGROUP2.encode(), 0)
            mount("none", CGROUP2, "tmpfs", data="mode=755")
        _copy_dev()
        yield
    finally:
        if LIBC.setns(before, CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.fchdir(cwd)
        os.close(before)
        os.close(cwd)


def _copy_dev() -> None:
    """A tmpfs on /dev with nodes of the same numbers."""
    with tempfile.TemporaryDirectory() as place:
        mount("none", place, "tmpfs", data="mode=755")
        umask = os.umask(0)
        for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "fuse"):
            info = os.stat(f"/dev/{name}")
            os.mknod(f"{place}/{name}", info.st_mode, info.st_rdev)
        os.umask(umask)
        for name in ("fd", "stdin", "stdout", "stderr"):
            os.symlink(os.readlink(f"/dev/{name}"), f"{place}/{name}")
        os.symlink("pts/ptmx", f"{place}/ptmx")
        os.mkdir(f"{place}/pts")
        mount("/dev/pts", f"{place}/pts", flags=MS_BIND)
        mount(place, "/dev", flags=MS_MOVE)


class Canaries:
    """`top` is the tmpfs; `damage` says what is no longer as it was."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir()
        mount("canaries", top, "tmpfs", data="mode=755")
        for directory in ("dev/pts", "etc", "sub", "proc/sys"):
            (top / directory).mkdir(parents=True)
        for name in (
            "file",
            "core_pattern",
            "dev/ptmx",
            "dev/null",
            "dev/console",
            "dev/pts/0",
            "etc/hosts",
            "etc/passwd",
        ):
            (top / name).write_text(f"{SECRET}\n")
        self._before = self._seen()

    def forms(self, target: str) -> list[str]:
        """Link texts that lead there when they are followed from the host's root: absolutely, by "..", by procfs."""
        path = f"{self.top}/{target}".rstrip("/")
        return [path, "../" * 40 + path.lstrip("/"), f"/proc/1/root{path}", f"{path}/"]

    def accept(self) -> None:
        """What is there now is how it should be."""
        self._before = self._seen()

    def damage(self) -> list[str]:
        """Names of what changed, appeared or is gone."""
        before, after = self._before, self._seen()
        return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))

    def _seen(self) -> dict[str, object]:
        seen: dict[str, object] = {}
        for path in [self.top, *self.top.rglob("*")]:
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            facts = (info.st_mode, info.st_uid, info.st_gid, info.st_ino, info.st_mtime_ns, content)
            seen[str(path.relative_to(self.top))] = facts
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            seen["mount " + line] = True
        for name in SETTINGS:
            seen["sysctl " + name] = Path("/proc/sys", name).read_text()
        for path in Path("/dev").iterdir():
            info = path.lstat()
            seen[f"/dev/{path.name}"] = (info.st_mode, info.st_rdev, info.st_ino)
        return seen


def programs() -> dict[str, str]:
    """Hashes of everything of ours that a container could want to change, and of the interpreter."""
    trees = [ROOT_OF_PROJECT / name for name in ("build/lib", "runtime", "spec")]
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file() and "site-packages" not in path.parts]
    files += [ROOT_OF_PROJECT / "build/pyrunc", Path("/usr/bin/python3"), Path("/bin/busybox")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
