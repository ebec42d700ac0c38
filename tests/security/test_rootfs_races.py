"""Shared volumes whose owner exchanges directories and links while a container is set up on them.

CVE-2021-30465, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565 (S07 to S11).  The racer exchanges a real directory and a
link to the host's as fast as it can (renameat2(RENAME_EXCHANGE)).  The oracle is what happened on the host.  The last
tests do the same work by path, as older runtimes did, and with our own stage but without RESOLVE_IN_ROOT: both must be
caught, which shows that the racer wins when it is let.  Six hundred rounds each are slow: `make test-long`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from ocispec.config import Mount
from ocispec.linux import Linux
from one_by_one import replacements
from pyrunc.errors import KernelError, StageFailed
from pyrunc.rootfs import paths
from rootfs_box import INFO, PROC, PTS, Box, bind, tmpfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = (60, pytest.param(600, marks=pytest.mark.slow))
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

    def __init__(self, box: Box, count: int) -> None:
        self.box = box
        self.count = count
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

    def take_dev(self) -> None:
        """It is /dev that is exchanged; on the host there is no null that would end it at once (EEXIST)."""
        (self.box.rootfs / "dev").rmdir()
        self.real = self.real.rename(self.box.rootfs / "dev")
        (self.host / "null").unlink()
        self.before = self.seen()

    def seen(self) -> list[tuple[str, int, int, str]]:
        paths = sorted(self.host.rglob("*"))
        return [(p.name, p.lstat().st_mode, p.lstat().st_uid, p.read_text() if p.is_file() else "") for p in paths]

    def rounds(self, mounts: tuple[Mount, ...], **changes: object) -> list[str]:
        """What each container that came up saw mounted."""
        shown = []
        with exchanging(self.real, self.link):
            for _round in range(self.count):
                with contextlib.suppress(StageFailed):
                    shown.append(self.box.run(INFO, mounts, **changes))
        return shown


@pytest.fixture(params=ROUNDS)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    return Shared(Box(tmp_path), request.param)


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
    shared.take_dev()
    shown = shared.rounds((PROC,))
    assert shared.seen() == shared.before
    assert shown


def test_null_is_exchanged(shared: Shared) -> None:
    """CVE-2025-31133: /dev/null is a link now and then, made after it was checked; what covers the masked file?"""
    null, masked = shared.box.rootfs / "dev/null", shared.box.rootfs / "etc/masked"
    os.mknod(null, 0o020666, os.makedev(1, 3))
    masked.write_text("masked\n")
    shared.link = shared.link.rename(shared.box.rootfs / "dev/other")
    shared.link.unlink()
    shared.link.symlink_to("../" * 30 + str(shared.host / "null").lstrip("/"))
    shared.real = null
    linux = Linux(masked_paths=("/etc/masked",))
    shown = []
    with exchanging(null, shared.link):
        for _round in range(shared.count):
            with contextlib.suppress(StageFailed):
                shown.append(shared.box.run("cat /etc/masked; echo pwned >/etc/masked", (PROC,), linux=linux))
    assert shared.seen() == shared.before
    assert set(shown) == {""}


@pytest.mark.parametrize("name", ["console", "pts"])
def test_the_terminal_is_exchanged(shared: Shared, name: str) -> None:
    """CVE-2025-52565, CVE-2026-88264: what the terminal is opened from, or bound on, is a link now and then."""
    place = shared.box.rootfs / "dev" / name
    place.mkdir() if name == "pts" else place.touch()
    shared.link.unlink()
    target = "/dev/pts" if name == "pts" else shared.host / name
    shared.link = shared.box.rootfs / "dev/other"
    shared.link.symlink_to("../" * 30 + str(target).lstrip("/"))
    terminals, shown = os.listdir("/dev/pts"), []
    with exchanging(place, shared.link):
        for _round in range(shared.count):
            ours, theirs = socket.socketpair()
            changes = {"process": {"terminal": True}, "fds": {"console": theirs.fileno()}, "console_fd": 5}
            with ours, theirs, contextlib.suppress(StageFailed):
                shown.append(shared.box.run("stat -c %d /proc/self/fd/0", (PROC, PTS), **changes))
    assert shared.seen() == shared.before
    assert os.listdir("/dev/pts") == terminals
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
        for _round in range(shared.count):
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


@pytest.mark.parametrize("what", ["directories", "files", "dev"])
def test_the_racer_wins_against_our_stage(shared: Shared, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the very tests above, without RESOLVE_IN_ROOT."""
    into = paths.RootPaths.open_into

    def open_into(self: paths.RootPaths, register: object, path: str, *words: object, **named: object) -> None:
        named["resolve"] = 0
        into(self, register, path.lstrip("/") or ".", *words, **named)  # type: ignore[arg-type]

    for replacement in replacements():
        monkeypatch.setattr(*replacement)
    monkeypatch.setattr(paths.RootPaths, "open_into", open_into)
    if what == "dev":
        shared.take_dev()
    shared.rounds((PROC,) if what == "dev" else WORK[what][0])
    assert shared.seen() != shared.before
