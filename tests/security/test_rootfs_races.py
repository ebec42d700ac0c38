"""Shared volumes whose owner exchanges directories and links while a container is set up on them.

CVE-2021-30465, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565.  The racer exchanges a real directory and a link to the
host's as fast as it can (renameat2(RENAME_EXCHANGE)).  The oracle is what happened on the host.  The last test does
the same work by path, as older runtimes did, and must be caught: it shows that the racer wins when it is let.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ocispec.config import Mount
from ocispec.linux import Linux
from pyrunc.errors import KernelError, StageFailed
from rootfs_box import INFO, PROC, Box, bind, tmpfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = 150
AT_FDCWD = -100
RENAME_EXCHANGE = 2


@contextlib.contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Another process exchanges the two names until the block ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    pid = os.fork()
    if pid == 0:
        while True:
            libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class Shared:
    """A rootfs with one directory that is a link to the host half of the time."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.host = box.directory / "host"
        self.host.mkdir()
        for name in ("null", "ptmx", "console", "file", "masked"):
            (self.host / name).write_text("the host's\n")
        self.real = box.rootfs / "swap"
        self.link = box.rootfs / "other"
        self.real.mkdir()
        for name in ("file", "masked"):
            (self.real / name).write_text("the container's\n")
        # Relative, by more ".." than there are directories: openat2(2) then has to look at renames (EAGAIN).
        self.link.symlink_to("../" * 30 + str(self.host).lstrip("/"))
        self.before = self.seen()

    def seen(self) -> list[tuple[str, int, int, str]]:
        paths = sorted(self.host.rglob("*"))
        return [(p.name, p.lstat().st_mode, p.lstat().st_uid, p.read_text() if p.is_file() else "") for p in paths]

    def rounds(self, mounts: tuple[Mount, ...], **changes: object) -> list[str]:
        """What each container that came up saw mounted."""
        shown = []
        with exchanging(self.real, self.link):
            for _round in range(ROUNDS):
                with contextlib.suppress(StageFailed):
                    shown.append(self.box.run(INFO, mounts, **changes))
        return shown


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(Box(tmp_path))


# what is mounted, and how many mounts a container must then see below its own root
WORK = {
    "directories": ((PROC, tmpfs("/swap/new/deep"), tmpfs("/swap/more")), 3),
    "files": ((PROC, bind("/swap/file", "/etc/passwd", "bind"), bind("/swap/made", "/etc/passwd", "bind")), 3),
    "devices": ((PROC, bind("/swap/console", "/dev/null", "bind")), 2),
    "proc": ((Mount(destination="/swap/proc", type="proc", source="proc"), PROC), 2),
}


@pytest.mark.parametrize("what", WORK)
def test_mounts_never_reach_the_host(shared: Shared, what: str) -> None:
    mounts, count = WORK[what]
    shown = shared.rounds(mounts)
    assert shared.seen() == shared.before
    assert shown, "not one container came up: nothing was tried"
    for mountinfo in shown:  # the root, and each mount somewhere below it
        assert len(mountinfo.splitlines()) == count + 1, mountinfo


def test_masks_never_reach_the_host(shared: Shared) -> None:
    linux = Linux(masked_paths=("/swap/masked", "/swap"), readonly_paths=("/swap",))
    shown = shared.rounds((PROC,), linux=linux)
    assert shared.seen() == shared.before
    assert shown


def test_dev_itself_is_exchanged(shared: Shared) -> None:
    """CVE-2026-41579, CVE-2026-47766: links, ptmx and nodes are made in /dev while it is a link now and then."""
    (shared.box.rootfs / "dev").rmdir()
    shared.real = shared.real.rename(shared.box.rootfs / "dev")
    shown = shared.rounds((PROC,))
    assert shared.seen() == shared.before
    assert shown


def test_a_copy_never_holds_what_is_the_hosts(shared: Shared) -> None:
    """tmpcopyup of a directory in which a directory, and a file, are links to the host's now and then."""
    data = shared.box.rootfs / "data"
    data.mkdir()
    shared.real, shared.link = shared.real.rename(data / "swap"), shared.link.rename(data / "other")
    (data / "file").write_text("the container's\n")
    (data / "link").symlink_to(shared.host / "file")
    shown = []
    with exchanging(shared.real, shared.link), exchanging(data / "file", data / "link"):
        for _round in range(ROUNDS):
            with contextlib.suppress(StageFailed, KernelError):
                script = "cat /data/swap/* /data/other/* /data/file /data/link 2>&1"
                shown.append(shared.box.run(script, (PROC, tmpfs("/data", "tmpcopyup"))))
    assert shared.seen() == shared.before
    assert "the container's" in "".join(shown), "nothing was copied: nothing was tried"
    assert "the host's" not in "".join(shown)


def test_the_racer_wins_against_a_copy_by_path(shared: Shared) -> None:
    """The control: looked at, then opened by path."""
    deadline = time.monotonic() + 30
    copied = ""
    with exchanging(shared.real, shared.link):
        while copied != "the host's\n" and time.monotonic() < deadline:
            if not shared.real.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    copied = (shared.real / "file").read_text()
    assert copied == "the host's\n"


def test_the_racer_wins_against_paths(shared: Shared) -> None:
    """The control: the same race against mkdir(2) by path, as it once was done, reaches the host within seconds."""
    deadline = time.monotonic() + 30
    with exchanging(shared.real, shared.link):
        while not (shared.host / "by-path").exists() and time.monotonic() < deadline:
            checked = shared.box.rootfs / "swap"
            if not checked.is_symlink():
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    (checked / "by-path").mkdir()
    assert (shared.host / "by-path").exists()
