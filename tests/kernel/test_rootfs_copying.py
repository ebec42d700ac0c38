"""tmpcopyup of a directory with content, on the real kernel: by a second stage, in the container's user namespace."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import KernelError, StageFailed
from pyrunc.kernel.files import Fd
from pyrunc.kernel.mounts import clone_tree
from rootfs_box import INFO, USUAL, Box, bind, mount_of, tmpfs

OWNER = 200000  # on the host: uid 0 of the container
USER_MAP = f"0 {OWNER} 65536\n"
SHOW = "stat -c '%n %F %a %u %g %t:%T'"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    before = Path("/proc/self/mountinfo").read_text()
    yield Box(tmp_path)
    assert Path("/proc/self/mountinfo").read_text() == before


def snapshot(directory: Path) -> list[object]:
    """All of it but access times."""
    found: list[object] = []
    for path in sorted([directory, *directory.rglob("*")]):
        info = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
        found.append((str(path), info.st_mode, info.st_uid, info.st_gid, info.st_ino, info.st_mtime_ns, content))
    return found


def in_user_namespace(rootfs: Fd) -> dict[str, Any]:
    return {"has_user_namespace": True, "id_map": USER_MAP, "fds": {"rootfs": rootfs.number}, "rootfs_fd": 5}


def test_every_kind_with_its_owner_and_mode(box: Box) -> None:
    data = box.rootfs / "data"
    (data / "deep/er").mkdir(parents=True)
    (data / "file").write_text("content\n")
    (data / "empty").touch()
    (data / "deep/er/file").write_text("below\n")
    (data / "link").symlink_to("../../etc/passwd")
    os.mkfifo(data / "fifo")
    os.mknod(data / "device", stat.S_IFBLK | 0o640, os.makedev(259, 70000))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(data / "socket"))
    for number, (name, mode) in enumerate((
        ("file", 0o4755), ("empty", 0o000), ("deep", 0o2770), ("deep/er", 0o1777), ("fifo", 0o600), ("device", 0o640),
        ("socket", 0o666),
    )):  # fmt: skip
        os.chown(data / name, 10 + number, 20 + number)
        os.chmod(data / name, mode)
    os.chown(data / "link", 3, 4, follow_symlinks=False)
    before = snapshot(data)
    script = (
        f"cd /data; for f in * deep/er deep/er/file; do {SHOW} $f; done; readlink link; cat file deep/er/file; >new"
    )
    assert box.run(script, (*USUAL, tmpfs("/data", "tmpcopyup"))).splitlines() == [
        "deep directory 2770 12 22 0:0",
        "device block special file 640 15 25 103:11170",
        "empty regular empty file 0 11 21 0:0",
        "fifo fifo 600 14 24 0:0",
        "file regular file 4755 10 20 0:0",
        "link symbolic link 777 3 4 0:0",
        "socket socket 666 16 26 0:0",
        "deep/er directory 1777 13 23 0:0",
        "deep/er/file regular file 644 0 0 0:0",
        "../../etc/passwd",
        "content",
        "below",
    ]
    assert snapshot(data) == before


def test_what_was_mounted_there_before_is_copied(box: Box) -> None:
    """runc copies what the path shows, mounts below it too."""
    (box.rootfs / "data").mkdir()
    (box.rootfs / "data/hidden").touch()
    volume = box.directory / "volume"
    volume.mkdir()
    (volume / "shown").write_text("volume\n")
    mounts = (
        bind("/data", volume, "bind"),
        bind("/data/passwd", "/etc/passwd", "bind", "ro"),
        tmpfs("/data", "tmpcopyup", "size=1m"),
    )
    shown = box.run(f"ls /data; cat /data/shown; head -c 4 /data/passwd; echo; {INFO}", (*USUAL, *mounts))
    assert shown.splitlines()[:4] == ["passwd", "shown", "volume", "root"]
    assert mount_of(shown, "/data")[1] == "tmpfs"


def test_a_read_only_tmpfs_is_filled_first(box: Box) -> None:
    (box.rootfs / "data").mkdir()
    (box.rootfs / "data/file").write_text("content\n")
    shown = box.run("cat /data/file; echo x > /data/file", (*USUAL, tmpfs("/data", "tmpcopyup", "ro")))
    assert shown.splitlines()[0] == "content"
    assert "Read-only file system" in shown


def test_with_options_that_only_mount_can_say(box: Box) -> None:
    data = box.rootfs / "data"
    data.mkdir(mode=0o700)
    (data / "file").write_text("content\n")
    mount = tmpfs("/data", "tmpcopyup", "iversion", "ro")
    shown = box.run(f"cat /data/file; {SHOW} /data; echo x > /data/file", (*USUAL, mount, tmpfs("/data/inside")))
    assert shown.splitlines()[:2] == ["content", "/data directory 700 0 0 0:0"]
    assert "Read-only file system" in shown


def test_owners_are_those_that_the_container_sees(box: Box) -> None:
    data = box.rootfs / "data"
    data.mkdir()
    box.give_to(OWNER)
    for name, owner in (("roots", OWNER), ("users", OWNER + 1000), ("hosts", 7)):
        (data / name).write_text(name)
        os.chown(data / name, owner, owner)
    (data / "users").chmod(0o4700)
    with clone_tree(str(box.rootfs), recursive=True) as rootfs:
        shown = box.run(f"{SHOW} /data/*", (*USUAL, tmpfs("/data", "tmpcopyup")), **in_user_namespace(rootfs))
    assert shown.splitlines() == [
        "/data/hosts regular file 644 65534 65534 0:0",
        "/data/roots regular file 644 0 0 0:0",
        "/data/users regular file 4700 1000 1000 0:0",
    ]


def test_what_the_container_may_not_read_is_not_copied(box: Box) -> None:
    """The parent could.  It only lists: what opens the file is root of the container's user namespace."""
    data = box.rootfs / "data"
    data.mkdir()
    box.give_to(OWNER)
    (data / "secret").write_text("the host's\n")
    (data / "secret").chmod(0o600)
    with clone_tree(str(box.rootfs), recursive=True) as rootfs:
        text = box.fails((*USUAL, tmpfs("/data", "tmpcopyup")), **in_user_namespace(rootfs))
    assert text == "mounts[3] copied: tmpcopyup: copy secret: EACCES (permission denied)"


def test_links_lead_nowhere(box: Box) -> None:
    outside = box.directory / "outside"
    (outside / "directory").mkdir(parents=True)
    (outside / "file").write_text("the host's\n")
    data = box.rootfs / "data"
    (data / "inner").mkdir(parents=True)
    (data / "file").symlink_to(outside / "file")
    (data / "directory").symlink_to(outside / "directory")
    (data / "up").symlink_to("../../../outside")
    (data / "inner/again").symlink_to("/proc/self/root")
    before = snapshot(outside)
    shown = box.run("ls -A /data /data/inner; readlink /data/file", (*USUAL, tmpfs("/data", "tmpcopyup")))
    assert shown.split() == [
        "/data:",
        "directory",
        "file",
        "inner",
        "up",
        "/data/inner:",
        "again",
        str(outside / "file"),
    ]
    assert snapshot(outside) == before


def test_large_and_sparse_files(box: Box) -> None:
    data = box.rootfs / "data"
    data.mkdir()
    content = os.urandom(1 << 20) * 3 + b"end"
    (data / "large").write_bytes(content)
    with (data / "sparse").open("wb") as file:
        file.truncate(5 << 20)
    source = box.directory / "copy"
    source.mkdir()
    box.run(
        "cat /data/large > /copy/large; stat -c %s /data/sparse > /copy/size",
        (*USUAL, tmpfs("/data", "tmpcopyup"), bind("/copy", source, "bind")),
    )
    assert (source / "large").read_bytes() == content
    assert (source / "size").read_text() == f"{5 << 20}\n"


def test_a_tmpfs_that_is_too_small(box: Box) -> None:
    data = box.rootfs / "data"
    data.mkdir()
    (data / "large").write_bytes(bytes(200_000))
    text = box.fails((*USUAL, tmpfs("/data", "tmpcopyup", "size=64k")))
    assert text == "mounts[3] copied: tmpcopyup: copy large: ENOSPC (no space left on device)"


def test_many_entries_take_several_programs(box: Box) -> None:
    data = box.rootfs / "data"
    for number in range(20000):
        name = f"{number:05}"
        (data / name[:2]).mkdir(parents=True, exist_ok=True)
        (data / name[:2] / name).symlink_to(name * 40)
    shown = box.run("for d in /data/*; do ls $d; done; readlink /data/19/19999", (*USUAL, tmpfs("/data", "tmpcopyup")))
    assert shown.split() == [*(f"{number:05}" for number in range(20000)), "19999" * 40]


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"-rf", b"x" * 255, "\N{SNOWMAN}".encode()])
def test_names_are_bytes(box: Box, name: bytes) -> None:
    data = box.rootfs / "data"
    data.mkdir()
    Path(os.fsdecode(os.fsencode(data) + b"/" + name)).mkdir()
    Path(os.fsdecode(os.fsencode(data) + b"/" + name + b"/inside")).write_text("content\n")
    assert box.run("cat /data/*/inside", (*USUAL, tmpfs("/data", "tmpcopyup"))) == "content\n"


def test_a_path_that_is_too_long_is_said(box: Box) -> None:
    """A hostile image may nest deeper than any path reaches."""
    deep = os.open(box.rootfs, os.O_PATH)
    for name in ("data", *["d" * 200] * 25):
        os.mkdir(name, dir_fd=deep)
        below = os.open(name, os.O_PATH, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    with pytest.raises((KernelError, StageFailed), match="ENAMETOOLONG"):
        box.run("true", (*USUAL, tmpfs("/data", "tmpcopyup")))


def test_ids_stay_where_no_user_namespace_is_entered() -> None:
    """In a user namespace, as podman without root is: uid_map would tell the ids of the one above."""
    script = """
from pyrunc.kernel.files import Fd, open_file
from pyrunc.process.copyup import IdMaps
import os
print(IdMaps(os.getpid(), open_file("/proc/self/ns/user", os.O_RDONLY))(0, 5))
"""
    inside = ["unshare", "--user", "--map-root-user"]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [*inside, sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout == "(0, 5)\n"
