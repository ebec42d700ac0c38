"""Where links of an image lead that dangle."""

import os
from pathlib import Path

import pytest

from ocispec.config import Config, Mount, Root
from ocispec.linux import Device, Linux
from pyrunc.kernel.beneath import resolve_dangling
from pyrunc.kernel.files import open_directory
from pyrunc.rootfs.dangling import with_links_resolved

LINKS = {
    "var/run": "/run",
    "var/lock": "../run/lock",
    "chain": "var/run/x",
    "out": "../../../etc/y",
    "there": "/etc",
    "etc/dangling": "gone",
    "slashes": "//a//b/./c/",
    "up": "missing/../../other",
}


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    for name in ("var", "etc"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    for name, text in LINKS.items():
        (tmp_path / name).symlink_to(text)
    return tmp_path


@pytest.mark.parametrize(("path", "resolved"), [
    ("/etc", ""),  # no link
    ("/missing/x", ""),
    ("/there/x", "/etc/x"),
    ("/there", ""),  # leads to something
    ("/var/run", "/run"),
    ("/var/run/a/b", "/run/a/b"),
    ("/var/lock/x", "/run/lock/x"),
    ("/chain/z", "/run/x/z"),
    ("/out", "/etc/y"),
    ("/etc/dangling/x", "/etc/gone/x"),
    ("/there/dangling", "/etc/gone"),
    ("/slashes/d", "/a/b/c/d"),
    ("/up/x", "/other/x"),
    ("/file/below/x", ""),  # ENOTDIR is not made better by this
])  # fmt: skip
def test_resolved(rootfs: Path, path: str, resolved: str) -> None:
    with open_directory(str(rootfs)) as root:
        assert resolve_dangling(root, path) == resolved


def test_a_circle(rootfs: Path) -> None:
    (rootfs / "one").symlink_to("two")
    (rootfs / "two").symlink_to("one/x")
    with open_directory(str(rootfs)) as root, pytest.raises(OSError, match="Too many levels"):
        resolve_dangling(root, "/one")


def test_no_descriptor_is_left(rootfs: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with open_directory(str(rootfs)) as root:
        resolve_dangling(root, "/chain/../var/lock/deep/er")
    assert os.listdir("/proc/self/fd") == before


def config(*destinations: str, kind: str = "tmpfs", devices: tuple[str, ...] = ()) -> Config:
    return Config(
        oci_version="1.3.0",
        root=Root(path="rootfs"),
        mounts=tuple(Mount(destination=destination, type=kind) for destination in destinations),
        linux=Linux(devices=tuple(Device(type="p", path=path) for path in devices)),
    )


def test_only_what_dangles_is_changed(rootfs: Path) -> None:
    changed = with_links_resolved(
        config("/etc", "there/x", "var/run/x", devices=("/var/lock", "/var/lock/p")), str(rootfs)
    )
    assert changed is not None
    assert [mount.destination for mount in changed.mounts] == ["/etc", "/etc/x", "/run/x"]
    assert [device.path for device in changed.linux.devices] == ["/var/lock", "/run/lock/p"]


def test_nothing_to_change(rootfs: Path) -> None:
    assert with_links_resolved(config("/etc", "/missing", devices=("/var/lock",)), str(rootfs)) is None


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_proc_and_sysfs_are_never_behind_a_link(rootfs: Path, kind: str) -> None:
    assert with_links_resolved(config("/var/run/x", kind=kind), str(rootfs)) is None


def test_dev_stays_dev(rootfs: Path) -> None:
    (rootfs / "dev").symlink_to("elsewhere")
    assert with_links_resolved(config("/dev"), str(rootfs)) is None
