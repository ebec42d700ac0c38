"""config-linux.md: devices, default devices."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from duties.container import Box

DEVICE = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}
DEFAULTS = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


def node(pid: int, path: str) -> os.stat_result:
    return Path(f"/proc/{pid}/root{path}").lstat()


@pytest.mark.parametrize("gone", ["type", "path"])
def test_type_and_path_are_required(box: Box, gone: str) -> None:
    box.linux["devices"] = [{key: value for key, value in DEVICE.items() if key != gone}]
    box.refused()


@pytest.mark.parametrize("kind", ["c", "b", "u"])
@pytest.mark.parametrize("gone", ["major", "minor"])
def test_numbers_are_required(box: Box, gone: str, kind: str) -> None:
    box.linux["devices"] = [{key: value for key, value in (DEVICE | {"type": kind}).items() if key != gone}]
    box.refused()


def test_a_fifo_needs_no_numbers(box: Box) -> None:
    box.linux["devices"] = [{"path": "/dev/pipe", "type": "p", "fileMode": 0o600}]
    pid = box.created()
    assert stat.S_ISFIFO(node(pid, "/dev/pipe").st_mode)


ROWS: tuple[dict[str, Any], ...] = (
    {"path": "/dev/char", "type": "c", "major": 10, "minor": 229, "fileMode": 0o644, "uid": 1, "gid": 2},
    {"path": "/dev/unbuffered", "type": "u", "major": 10, "minor": 228, "fileMode": 0o600, "uid": 0, "gid": 0},
    {"path": "/dev/block", "type": "b", "major": 7, "minor": 77, "fileMode": 0o660, "uid": 0, "gid": 6},
    {"path": "/dev/fifo", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 1000},
    {"path": "/dev/deep/er/node", "type": "c", "major": 1, "minor": 5, "fileMode": 0o400, "uid": 7, "gid": 0},
)


@pytest.mark.parametrize("row", ROWS, ids=[row["path"] for row in ROWS])
def test_devices_are_as_configured(box: Box, row: dict[str, Any]) -> None:
    box.linux["devices"] = [row]
    pid = box.created()
    found = node(pid, row["path"])
    kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[row["type"]]
    assert stat.S_IFMT(found.st_mode) == kind
    assert stat.S_IMODE(found.st_mode) == row["fileMode"]
    assert (found.st_uid, found.st_gid) == (row["uid"], row["gid"])
    if "major" in row:
        assert found.st_rdev == os.makedev(row["major"], row["minor"])


def test_a_device_over_another_file_is_refused(box: Box) -> None:
    """A regular file, which keeps its contents."""
    (box.rootfs / "file").write_text("mine")
    box.linux["devices"] = [DEVICE | {"path": "/file"}]
    box.refused()
    assert (box.rootfs / "file").read_text() == "mine"


def test_a_device_may_lie_anywhere(box: Box) -> None:
    box.linux["devices"] = [DEVICE | {"path": "/etc/device"}]
    pid = box.created()
    assert node(pid, "/etc/device").st_rdev == os.makedev(1, 3)


def test_default_devices(box: Box) -> None:
    pid = box.created()
    found = {name: node(pid, f"/dev/{name}") for name in DEFAULTS}
    assert {name: (os.major(one.st_rdev), os.minor(one.st_rdev)) for name, one in found.items()} == DEFAULTS
    assert all(stat.S_ISCHR(one.st_mode) for one in found.values())


def test_default_devices_work(box: Box) -> None:
    script = (
        "echo x > /dev/null && head -c 3 /dev/zero | od -An -tx1 && head -c 1 /dev/urandom | wc -c; echo > /dev/full"
    )
    text = box.output(script)
    assert text.split()[:4] == ["00", "00", "00", "1"]
    assert "No space left" in text


def test_ptmx(box: Box) -> None:
    """A link to or a bind mount of /dev/pts/ptmx."""
    pid = box.created()
    found = node(pid, "/dev/ptmx")
    if stat.S_ISLNK(found.st_mode):
        assert os.readlink(f"/proc/{pid}/root/dev/ptmx").removeprefix("/dev/") == "pts/ptmx"
    else:
        assert box.mountinfo(pid, "/dev/ptmx")[2] == "devpts"
