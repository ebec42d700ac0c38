"""Hostile links in the image: whatever they say, nothing outside the rootfs changes.

The oracle is a directory of the host that every link points to: what is in it afterwards, not that something failed.
"""

import contextlib
import os
import stat
from pathlib import Path

import pytest

from ocispec.config import Mount, User
from ocispec.linux import Device, Linux
from pyrunc.errors import StageFailed
from rootfs_box import DEV, PROC, PTS, USUAL, Box, bind, tmpfs


class Host:
    """A directory that stands for the host: every change in it is seen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        for name in ("ptmx", "null", "file"):
            (directory / name).write_text("the host's\n")
        (directory / "sub").mkdir()
        self.before = self.snapshot()

    def is_untouched(self) -> bool:
        return self.snapshot() == self.before

    def snapshot(self) -> list[object]:
        found: list[object] = [Path("/proc/self/mountinfo").read_text()]
        for path in sorted([self.directory, *self.directory.rglob("*")]):
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found.append((str(path), info.st_mode, info.st_uid, info.st_ino, info.st_mtime_ns, content))
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def host(box: Box) -> Host:
    return Host(box.directory / "host")


def links_to(target: Path, rootfs: Path) -> list[str]:
    """The same place, absolutely and by more ".." than there are directories."""
    return [str(target), "../" * 40 + str(target).lstrip("/"), f"/proc/1/root{target}", f"{target}/"]


def attempt(box: Box, mounts: tuple[Mount, ...] = USUAL, **changes: object) -> None:
    """Whether it comes up or not is the image's own affair."""
    with contextlib.suppress(StageFailed):
        box.run("true", mounts, **changes)


def replace(path: Path, link: str) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(link)


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("place", [
    "proc", "sys", "dev", "dev/null", "dev/pts", "dev/ptmx", "dev/console", "dev/shm", "dev/fd", "etc", "a/b",
])  # fmt: skip
@pytest.mark.parametrize("dev", ["with /dev", "without /dev"])
def test_a_link_in_place_of_a_directory(box: Box, host: Host, place: str, form: int, dev: str) -> None:
    """CVE-2026-41579, CVE-2026-47766, CVE-2026-88264, CVE-2019-19921 and their kin."""
    replace(box.rootfs / place, links_to(host.directory, box.rootfs)[form])
    usual = (PROC, DEV, PTS) if dev == "with /dev" else (PROC,)
    more = (tmpfs("/dev/shm"), tmpfs("/etc/new/deep"), bind("/a/b/file", "/etc/passwd", "bind"), tmpfs("/a/b"))
    attempt(box, (*usual, *more), linux=Linux(masked_paths=("/etc/file", "/a/b/sub"), readonly_paths=("/etc",)))
    assert host.is_untouched()


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("name", ["null", "ptmx", "console", "core", "tty"])
def test_a_link_in_place_of_a_device(box: Box, host: Host, name: str, form: int) -> None:
    """CVE-2025-31133, CVE-2026-88265: neither changed nor followed, and nothing of it is bound over a masked file."""
    replace(box.rootfs / "dev" / name, links_to(host.directory / "file", box.rootfs)[form].rstrip("/"))
    (box.rootfs / "etc/masked").write_text("secret\n")
    attempt(box, (PROC,), linux=Linux(masked_paths=("/etc/masked",)), user=User(uid=1234, gid=1234))
    assert host.is_untouched()


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("terminal", [True, False])
def test_dangling_links_make_nothing_on_the_host(box: Box, host: Host, form: int, terminal: bool) -> None:
    missing = host.directory / "not there"
    for place in ("dev/console", "dev/null", "etc/new", "dev/fuse"):
        replace(box.rootfs / place, links_to(missing, box.rootfs)[form])
    device = Device(type="c", path="/dev/fuse", major=10, minor=229, file_mode=0o600, uid=5, gid=5)
    attempt(
        box,
        (PROC, bind("/etc/new", "/etc/passwd", "bind"), tmpfs("/etc/new/dir")),
        linux=Linux(devices=(device,)),
        process={"terminal": terminal},
        console_fd=9,
    )
    assert host.is_untouched()


def test_a_harmless_link_is_followed_inside(box: Box) -> None:
    (box.rootfs / "run").mkdir()
    (box.rootfs / "var").mkdir()
    (box.rootfs / "var/run").symlink_to("/run")
    (box.rootfs / "var/lock").symlink_to("../run/lock")
    (box.rootfs / "run/lock").mkdir()
    mounts = (*USUAL, tmpfs("/var/run/secrets"), bind("/var/lock/file", "/etc/passwd", "bind"))
    shown = box.run("cat /proc/self/mountinfo", mounts)
    assert " /run/secrets " in shown
    assert " /run/lock/file " in shown


def test_a_link_out_of_the_root_stays_in_it(box: Box) -> None:
    (box.rootfs / "out").symlink_to("../../../../etc")
    assert " /etc/x " in box.run("cat /proc/self/mountinfo", (*USUAL, tmpfs("/out/x")))


def test_magic_links_are_not_followed(box: Box, host: Host) -> None:
    directory = os.open(host.directory, os.O_PATH)
    try:
        (box.rootfs / "magic").symlink_to("/proc/self/fd/4")
        text = box.fails((*USUAL, tmpfs("/magic/sub")), fds={"leaked": directory})
    finally:
        os.close(directory)
    assert host.is_untouched()
    assert text == "mounts[3] /magic/sub: open /magic/sub in the rootfs: ELOOP (too many levels of symbolic links)"


def test_a_masked_file_is_covered_by_the_hosts_null_device(box: Box) -> None:
    """CVE-2025-31133: the image's /dev/null has no part in it."""
    (box.rootfs / "etc/masked").write_text("secret\n")
    (box.rootfs / "etc/decoy").write_text("decoy\n")
    replace(box.rootfs / "dev/null", "/etc/decoy")
    shown = box.run("cat /etc/masked; stat -c '%F %t:%T' /etc/masked", (PROC, bind("/dev", "dev", "bind")), linux=Linux(
        masked_paths=("/etc/masked",)
    ), bundle=str(box.rootfs))  # fmt: skip
    assert shown == "character special file 1:3\n"


def test_a_device_that_is_another_is_refused(box: Box) -> None:
    os.mknod(box.rootfs / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    text = box.fails((PROC,))
    assert text == "default devices /dev/null: something else is there already: EEXIST (file exists)"


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link"])
def test_something_else_in_place_of_a_device_is_refused(box: Box, kind: str) -> None:
    place = box.rootfs / "dev/zero"
    makers = {"file": place.touch, "directory": place.mkdir, "fifo": lambda: os.mkfifo(place)}
    makers.get(kind, lambda: place.symlink_to("/etc/passwd"))()
    assert box.fails((PROC,)).startswith("default devices /dev/zero: something else is there already: EEXIST")


def test_ptmx_of_the_image_is_replaced(box: Box) -> None:
    os.mknod(box.rootfs / "dev/ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    assert box.run("readlink /dev/ptmx", (PROC, PTS)).strip() == "pts/ptmx"
