"""Default devices, linux.devices and the links of /dev on the real kernel."""

import os
import stat
from pathlib import Path

import pytest

from ocispec.linux import Device, Linux
from pyrunc.errors import ConfigError
from rootfs_box import DEV, PROC, USUAL, Box, bind, mount_of, tmpfs

SHOW = "stat -c '%F %a %u %g %t:%T'"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


DEFAULTS = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


def test_default_devices(box: Box) -> None:
    script = "; ".join(f"{SHOW} /dev/{name}" for name in DEFAULTS)
    expected = [f"character special file 666 0 0 {numbers}" for numbers in DEFAULTS.values()]
    assert box.run(script).splitlines() == expected


def test_links(box: Box) -> None:
    script = "for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done; readlink /dev/core"
    expected = ["/proc/self/fd", *(f"/proc/self/fd/{n}" for n in (0, 1, 2)), "pts/ptmx"]
    if Path("/proc/kcore").exists():
        expected.append("/proc/kcore")
    assert box.run(script).splitlines() == expected


def test_links_of_the_image_stay(box: Box) -> None:
    (box.rootfs / "dev/fd").symlink_to("/somewhere")
    assert box.run("readlink /dev/fd", (PROC,)).strip() == "/somewhere"


@pytest.mark.parametrize(("device", "shown"), [
    (Device(type="c", path="/dev/fuse", major=10, minor=229), "character special file 666 0 0 a:e5"),
    (Device(type="u", path="/dev/x", major=1, minor=3, file_mode=0o600), "character special file 600 0 0 1:3"),
    (Device(type="b", path="/dev/disk", major=259, minor=70000, file_mode=0o640, uid=1, gid=6),
     "block special file 640 1 6 103:11170"),
    (Device(type="p", path="/dev/pipe", file_mode=0o4755, uid=7), "fifo 4755 7 0 0:0"),
    (Device(type="p", path="/dev/pipe", major=1, minor=2), "fifo 666 0 0 0:0"),
    (Device(type="c", path="/deep/er/than/dev", major=1, minor=7, gid=3), "character special file 666 0 3 1:7"),
    (Device(type="c", path="dev/../top", major=4095, minor=(1 << 20) - 1), "character special file 666 0 0 fff:fffff"),
])  # fmt: skip
def test_listed_device(box: Box, device: Device, shown: str) -> None:
    path = "/top" if device.path.endswith("top") else device.path
    assert box.run(f"{SHOW} {path}", linux=Linux(devices=(device,))).strip() == shown


def test_a_listed_device_replaces_the_default(box: Box) -> None:
    device = Device(type="c", path="/dev/null", major=1, minor=3, file_mode=0o600, uid=9, gid=9)
    assert box.run(f"{SHOW} /dev/null", linux=Linux(devices=(device,))).split()[3:6] == ["600", "9", "9"]


def test_the_umask_does_not_matter(box: Box) -> None:
    before = os.umask(0o077)
    try:
        assert box.run(f"{SHOW} /dev/null").split()[3] == "666"
    finally:
        os.umask(before)


def test_an_existing_right_device_gets_its_mode_and_owner(box: Box) -> None:
    os.mknod(box.rootfs / "dev/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.chown(box.rootfs / "dev/null", 5, 5)
    assert box.run(f"{SHOW} /dev/null", (PROC,)).strip() == "character special file 666 0 0 1:3"


def test_nothing_is_made_in_a_dev_of_the_host(box: Box) -> None:
    foreign = box.directory / "foreign"
    foreign.mkdir()
    (foreign / "ptmx").touch()
    box.run("true", (PROC, bind("/dev", foreign, "rbind")))
    assert [path.name for path in foreign.iterdir()] == ["ptmx"]


def test_impossible_numbers(box: Box) -> None:
    for major, minor in ((4096, 0), (0, 1 << 20), (-1, 0)):
        device = Device(type="c", path="/dev/x", major=major, minor=minor)
        with pytest.raises(ConfigError, match=rf"^linux.devices\[0\]: no device has the numbers {major}:{minor}$"):
            box.run("", linux=Linux(devices=(device,)))


def test_a_device_needs_a_name(box: Box) -> None:
    with pytest.raises(ConfigError, match="no place for a device"):
        box.run("", linux=Linux(devices=(Device(type="c", path="/", major=1, minor=3),)))


def test_devices_are_bound_in_a_user_namespace(box: Box) -> None:
    box.directory.parent.chmod(0o755)
    pipe = Device(type="p", path="/dev/pipe", file_mode=0o600)
    shown = box.run(
        "echo gone > /dev/null; head -c 2 /dev/zero | cat | stat -c %F /dev/pipe; cat /proc/self/mountinfo",
        has_user_namespace=True,
        linux=Linux(devices=(pipe,)),
    )
    assert shown.splitlines()[0] == "fifo"
    for name in DEFAULTS:
        assert mount_of(shown, f"/dev/{name}")


def test_a_wrong_device_of_the_host_is_not_bound(box: Box) -> None:
    device = Device(type="c", path="/dev/full", major=1, minor=8)
    text = box.fails((PROC, DEV), has_user_namespace=True, linux=Linux(devices=(device,)))
    assert text == "linux.devices[0] /dev/full: something else is there already: EEXIST (file exists)"


def test_devices_under_a_read_only_mount(box: Box) -> None:
    shown = box.run(f"{SHOW} /x/null", (*USUAL, tmpfs("/x", "ro")), linux=Linux(
        devices=(Device(type="c", path="/x/null", major=1, minor=3),)
    ))  # fmt: skip
    assert shown.strip().endswith("1:3")
