"""process.terminal on the real kernel."""

import array
import os
import socket
import stat
from pathlib import Path

import pytest

from ocispec.config import ConsoleSize, Mount, User
from pyrunc.errors import ConfigError
from rootfs_box import DEV, PROC, PTS, USUAL, Box, bind

TERMINAL = {"terminal": True}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


class Console:
    """The other end of a console socket."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.message = b""
        self.descriptors: list[int] = []

    def receive(self) -> None:
        self.theirs.close()
        self.socket.settimeout(10)
        room = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        self.message, ancillary, _flags, _address = self.socket.recvmsg(4096, room)
        for level, kind, content in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            self.descriptors += array.array("i", content[: len(content) // 4 * 4]).tolist()

    def read(self) -> str:
        """All that was written to the terminal; EIO is its end."""
        content = b""
        while True:
            try:
                chunk = os.read(self.descriptors[0], 4096)
            except OSError:
                return content.decode().replace("\r\n", "\n")
            content += chunk

    def close(self) -> None:
        self.socket.close()
        self.theirs.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


def through(box: Box, script: str, mounts: tuple[Mount, ...] = USUAL, **changes: object) -> tuple[str, Console]:
    """What the script wrote to its terminal, by a console socket."""
    console = Console()
    process = {**TERMINAL, **changes.pop("process", {})}
    fds = {"console": console.theirs.fileno()}
    try:
        # The other tests' output descriptor is put on 1 and 2: descriptor 0 is still the terminal.
        box.run(f"exec >&0 2>&0; {script}", mounts, process=process, fds=fds, console_fd=5, **changes)
        console.receive()
        return console.read(), console
    finally:
        console.close()


def test_the_terminal_is_the_containers_own(box: Box) -> None:
    shown, console = through(box, "tty; readlink /proc/self/fd/0; ls /dev/pts")
    assert shown.split() == ["/dev/pts/0", "/dev/pts/0", "0", "ptmx"]
    assert console.message == b"/dev/ptmx"
    assert len(console.descriptors) == 1


def test_it_is_the_controlling_terminal(box: Box) -> None:
    assert through(box, "echo by name > /dev/tty")[0] == "by name\n"


def test_the_console_is_the_terminal(box: Box) -> None:
    shown, _console = through(box, "echo by console > /dev/console; stat -c %F /dev/console")
    assert shown == "by console\ncharacter special file\n"


def test_its_size(box: Box) -> None:
    size = ConsoleSize(height=40, width=132)
    assert through(box, "stty size", process={"console_size": size})[0] == "40 132\n"


@pytest.mark.parametrize("uid", [0, 1234])
def test_its_owner(box: Box, uid: int) -> None:
    assert through(box, "stat -c '%u %a' /dev/pts/0", user=User(uid=uid, gid=uid))[0] == f"{uid} 620\n"


def test_the_group_and_mode_are_those_of_the_devpts(box: Box) -> None:
    pts = Mount(destination="/dev/pts", type="devpts", options=("newinstance", "gid=5", "mode=600", "ptmxmode=666"))
    assert through(box, "stat -c '%g %a' /dev/pts/0", (PROC, DEV, pts))[0] == "5 600\n"


def test_a_terminal_needs_a_console_socket(box: Box) -> None:
    with pytest.raises(ConfigError, match="no console socket"):
        box.run("", process=TERMINAL)


def test_nothing_else_is_left_open(box: Box) -> None:
    """3 and 4 are this test's own; 250 is the spare number."""
    script = "for number in 0 1 2 5 6 7 8 9 10 11 12 250; do readlink /proc/self/fd/$number; done"
    assert through(box, script)[0].split() == ["/dev/pts/0"] * 3


def test_no_devpts_no_terminal(box: Box) -> None:
    text = box.fails((PROC, DEV), process=TERMINAL, console_fd=9)
    assert (
        text == "process.terminal /dev/pts/ptmx: open /dev/pts/ptmx in the rootfs: ENOENT (no such file or directory)"
    )


@pytest.mark.parametrize("kind", ["file", "fifo", "null", "another multiplexer", "link"])
def test_the_multiplexer_must_be_one(box: Box, kind: str) -> None:
    """CVE-2025-52565.  It is looked at before it is opened: a FIFO would block, a device could do anything."""
    place = box.rootfs / "dev/pts/ptmx"
    place.parent.mkdir()
    makers = {
        "file": place.touch,
        "fifo": lambda: os.mkfifo(place),
        "null": lambda: os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        "another multiplexer": lambda: os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(5, 2)),
        "link": lambda: place.symlink_to("/dev/null"),
    }
    makers[kind]()
    text = box.fails((PROC,), process=TERMINAL, console_fd=9)
    wrong = "EXDEV (invalid cross-device link)" if kind == "another multiplexer" else "ENODEV (no such device)"
    assert text == f"process.terminal /dev/pts/ptmx: not the multiplexer of a devpts: {wrong}"


@pytest.mark.parametrize("kind", ["file", "device"])
def test_an_existing_console_is_covered(box: Box, kind: str) -> None:
    place = box.rootfs / "dev/console"
    if kind == "file":
        place.write_text("the image's\n")
    else:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(5, 1))
    assert through(box, "echo covered > /dev/console", (PROC, PTS))[0] == "covered\n"
    assert kind == "device" or place.read_text() == "the image's\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc/new", "../../../../etc/new", "pts/0"])
def test_a_link_in_place_of_the_console_is_refused(box: Box, target: str) -> None:
    """CVE-2026-88264."""
    (box.rootfs / "dev/console").symlink_to(target)
    text = box.fails((PROC, PTS), process=TERMINAL, console_fd=9)
    assert text == "process.terminal /dev/console: a link is there: EEXIST (file exists)"
    assert not (box.rootfs / "etc/new").exists()


def test_a_directory_in_place_of_the_console_is_refused(box: Box) -> None:
    (box.rootfs / "dev/console").mkdir()
    text = box.fails((PROC, PTS), process=TERMINAL, console_fd=9)
    assert text == "process.terminal /dev/console: a directory is there: EEXIST (file exists)"


def test_with_the_hosts_dev(box: Box) -> None:
    foreign = box.directory / "foreign"
    (foreign / "pts").mkdir(parents=True)
    shown, _console = through(box, "echo here > /dev/console", (PROC, bind("/dev", foreign, "rbind"), PTS))
    assert shown == "here\n"


def test_in_a_user_namespace(box: Box) -> None:
    box.directory.parent.chmod(0o755)
    assert through(box, "tty; echo x > /dev/tty", has_user_namespace=True)[0].split() == ["/dev/pts/0", "x"]


def test_with_a_read_only_root(box: Box) -> None:
    assert through(box, "echo x > /dev/console", readonly=True)[0] == "x\n"
