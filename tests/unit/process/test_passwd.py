"""HOME out of a hostile passwd."""

from __future__ import annotations

import os
from errno import EACCES
from typing import TYPE_CHECKING

import pytest

from pyrunc.process.passwd import MAX_HOME, MAX_LINE, home_of
from pyrunc.process.passwd_file import MAX_SIZE, read_passwd

if TYPE_CHECKING:
    from pathlib import Path

ROOT = b"root:x:0:0:root:/root:/bin/sh\n"


@pytest.mark.parametrize(
    ("content", "home"),
    [
        (b"", "/"),
        (ROOT, "/"),
        (b"u:x:1000:1000::/home/u:/bin/sh\n", "/home/u"),
        (b"u:x:1000:1000::/home/u:/bin/sh", "/home/u"),
        (b"u:x:1000:1000::/first:/s\nv:x:1000:1::/second:/s\n", "/first"),
        (b"u:x:1000:1000:::/bin/sh\n", "/"),
        (b"u:x:1000:1000::rel:/bin/sh\n", "rel"),
        (b"u:x:1000:1000::/home/\xff:/bin/sh\n", "/home/\udcff"),
        # numbers that int() would take: CVE-2016-3697 and its kin
        (b"u:x:01000:1::/a:/s\nu:x:+1000:1::/b:/s\nu:x: 1000:1::/c:/s\nu:x:1_000:1::/d:/s\n", "/"),
        (b"1000:x:0:0::/name:/s\n", "/"),
        # NIS, comments, too few and too many fields
        (b"+u:x:1000:1::/nis:/s\n-u:x:1000:1::/nis:/s\n#u:x:1000:1::/c:/s\n", "/"),
        (b"u:x:1000:1::/short\nu:x:1000:1::/home:/s:more\n", "/"),
        (b"u:x:1000:1::/a\0b:/s\n", "/"),
        (b"u:x:1000:1:" + b"x" * MAX_LINE + b":/long:/s\nv:x:1000:1::/next:/s\n", "/next"),
        (b"u:x:1000:1::/" + b"h" * MAX_HOME + b":/s\n", "/"),
        (b"u:x:1000:1::/" + b"h" * (MAX_HOME - 1) + b":/s\n", "/" + "h" * (MAX_HOME - 1)),
        (b"\n\n:::::::\n\xff\xfe\n" + b"u:x:1000:1::/home/u:/s\n", "/home/u"),
    ],
)
def test_home(content: bytes, home: str) -> None:
    assert home_of(1000, content) == home


def test_root() -> None:
    assert home_of(0, ROOT) == "/root"
    assert home_of(4294967294, b"n:x:4294967294:1::/n:/s\n") == "/n"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(ROOT)
    return tmp_path / "root"


def test_a_plain_file(rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_bytes(ROOT)
    assert read_passwd(str(rootfs)) == ROOT


def test_links_stay_inside(rootfs: Path) -> None:
    (rootfs / "etc/passwd").symlink_to("/usr/passwd")
    (rootfs / "usr").mkdir()
    (rootfs / "usr/passwd").write_bytes(ROOT)
    assert read_passwd(str(rootfs)) == ROOT


@pytest.mark.parametrize("link", ["{}/outside", "../../outside", "passwd", "/proc/self/fd/0"])
def test_links_to_the_host_lead_nowhere(rootfs: Path, link: str) -> None:
    (rootfs / "etc/passwd").symlink_to(link.format(rootfs.parent))
    assert read_passwd(str(rootfs)) == b""


def test_what_is_no_file_is_not_opened(rootfs: Path) -> None:
    os.mkfifo(rootfs / "etc/passwd")
    assert read_passwd(str(rootfs)) == b""
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").mkdir()
    assert read_passwd(str(rootfs)) == b""


def test_too_much_is_nothing(rootfs: Path) -> None:
    with open(rootfs / "etc/passwd", "wb") as file:
        file.write(ROOT)
        file.truncate(MAX_SIZE + 1)
    assert read_passwd(str(rootfs)) == b""


def test_no_rootfs_and_no_file() -> None:
    assert read_passwd("/no/such/rootfs") == b""
    assert read_passwd() == b""


def test_descriptors_are_closed(rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_bytes(ROOT)
    before = os.listdir("/proc/self/fd")
    read_passwd(str(rootfs))
    assert os.listdir("/proc/self/fd") == before


def test_a_root_that_may_not_be_entered_is_followed_by_the_next(rootfs: Path) -> None:
    """As nobody: root may enter anything."""
    (rootfs / "etc/passwd").write_bytes(ROOT)
    closed = rootfs.parent / "closed"
    closed.mkdir(mode=0)
    if os.geteuid() == 0:
        for directory in (rootfs.parent, *rootfs.parent.parents):
            directory.chmod(directory.stat().st_mode | 0o111)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(12345, 12345, 12345)
            os.write(writing, read_passwd(f"{closed}/below", str(rootfs)))
        except OSError as error:
            os.write(writing, f"errno {error.errno}, not {EACCES}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        assert answer.read() == ROOT
    os.waitpid(child, 0)
