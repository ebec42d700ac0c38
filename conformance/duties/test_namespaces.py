"""config-linux.md: namespaces, id mappings, time offsets; default file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import namespace
from duties.neighbours import LINKS, Neighbour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duties.container import Box, Island

MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
KINDS = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup")


@pytest.fixture
def neighbour(island: Island) -> Iterator[Callable[..., Neighbour]]:
    started: list[Neighbour] = []

    def start(kind: str, *more: str) -> Neighbour:
        started.append(Neighbour(island, kind, *more))
        return started[-1]

    yield start
    for one in started:
        one.close()


def of_the_runtime(box: Box, kind: str) -> str:
    return namespace(box.island.holder.pid, LINKS[kind])


def with_user_namespace(box: Box) -> None:
    box.namespace("user")
    box.linux["uidMappings"] = box.linux["gidMappings"] = MAPS


def test_default_file_systems(box: Box) -> None:
    pid = box.created()
    found = {point: box.mountinfo(pid, point)[2] for point in ("/proc", "/sys", "/dev/pts", "/dev/shm")}
    assert found == {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}


# -- namespaces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [{}, {"type": ""}, {"type": "nope"}, {"type": "net"}, {"path": "/proc/self/ns/net"}])
def test_type_is_required_and_known(box: Box, row: dict[str, str]) -> None:
    box.linux["namespaces"].append(row)
    box.refused()


def check_new(box: Box, kind: str) -> None:
    if kind == "user":
        with_user_namespace(box)
    else:
        box.namespace(kind)
    pid = box.created()
    assert namespace(pid, LINKS[kind]) != of_the_runtime(box, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces_are_supported(box: Box, kind: str) -> None:
    check_new(box, kind)


def test_the_time_namespace_is_supported(box: Box) -> None:
    check_new(box, "time")


def test_without_a_path_it_is_new(box: Box, other: Box) -> None:
    """Of each kind, and not the one that another container has."""
    for one in (box, other):
        one.namespace("cgroup")
    first, second = box.created(), other.created()
    for kind in ("pid", "network", "mount", "ipc", "uts", "cgroup"):
        assert len({namespace(first, LINKS[kind]), namespace(second, LINKS[kind]), of_the_runtime(box, kind)}) == 3


@pytest.mark.parametrize("path", ["proc/self/ns/net", "ns/net", "./net"])
def test_path_is_absolute(box: Box, path: str) -> None:
    """Even where the relative one leads somewhere, from the runtime's own directory."""
    box.namespace("network", path)
    box.save()
    result = box("create", "--bundle", box.path, box.id, cwd=Path("/"))
    result.refused()
    assert box.status() == "absent"


@pytest.mark.parametrize("kind", ["ipc", "network", "pid", "uts", "cgroup"])
def test_path_is_joined(box: Box, neighbour: Callable[..., Neighbour], kind: str) -> None:
    there = neighbour(kind)
    box.namespace(kind, there.link)
    pid = box.created()
    assert namespace(pid, LINKS[kind]) == os.readlink(there.link)


def test_path_of_a_mount_namespace_is_joined(box: Box, neighbour: Callable[..., Neighbour]) -> None:
    there = neighbour("mount")
    box.namespace("mount", there.link)
    pid = box.created()
    assert namespace(pid, "mnt") == os.readlink(there.link)


@pytest.mark.parametrize("path", ["/proc/self/ns/uts", "/etc/passwd", "/nope", "/proc/self/ns"])
def test_path_of_another_kind_is_refused(box: Box, path: str) -> None:
    box.namespace("network", path)
    box.refused()


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "user", "cgroup", "time"])
def test_what_is_not_listed_is_inherited(box: Box, kind: str) -> None:
    box.without_namespace(kind)
    if kind == "uts":
        del box.config["hostname"]
    if kind == "network":
        box.config["mounts"] = [row for row in box.mounts if row["type"] != "sysfs"]
    pid = box.created()
    assert namespace(pid, LINKS[kind]) == of_the_runtime(box, kind)


@pytest.mark.parametrize("kind", ["network", "mount"])
def test_the_same_type_twice_is_refused(box: Box, kind: str) -> None:
    box.linux["namespaces"].append({"type": kind})
    box.refused()


# -- mappings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uidMappings", "gidMappings"])
@pytest.mark.parametrize("gone", ["containerID", "hostID", "size"])
def test_mappings_are_complete(box: Box, name: str, gone: str) -> None:
    with_user_namespace(box)
    row: dict[str, int] = dict(MAPS[0])
    del row[gone]
    box.linux[name] = [row]
    box.refused()


def test_mappings_are_the_configured_ones(box: Box) -> None:
    box.namespace("user")
    box.linux["uidMappings"] = [*MAPS, {"containerID": 70000, "hostID": 300000, "size": 5}]
    box.linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    pid = box.created()
    found = {
        name: [[int(word) for word in line.split()] for line in Path(f"/proc/{pid}/{name}").read_text().splitlines()]
        for name in ("uid_map", "gid_map")
    }
    assert found == {"uid_map": [[0, 100000, 65536], [70000, 300000, 5]], "gid_map": [[0, 200000, 65536]]}


def test_the_root_file_system_keeps_its_owners(box: Box) -> None:
    with_user_namespace(box)
    files = (box.rootfs, box.rootfs / "bin/busybox", box.rootfs / "etc/passwd", box.rootfs / "home/user")
    before = [(path.stat().st_uid, path.stat().st_gid) for path in files]
    box.output("true")
    assert [(path.stat().st_uid, path.stat().st_gid) for path in files] == before


# -- time --------------------------------------------------------------------------------------------------------------


def offsets(pid: int) -> dict[str, list[int]]:
    lines = Path(f"/proc/{pid}/timens_offsets").read_text().splitlines()
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, lines)}


def test_time_offsets(box: Box) -> None:
    box.namespace("time")
    box.linux["timeOffsets"] = {"monotonic": {"secs": 1000, "nanosecs": 5}, "boottime": {"secs": 2000}}
    pid = box.created()
    assert offsets(pid) == {"monotonic": [1000, 5], "boottime": [2000, 0]}
    assert namespace(pid, "time") == namespace(pid, "time_for_children")


def test_time_offsets_need_a_new_time_namespace(box: Box) -> None:
    given: dict[str, Any] = {"monotonic": {"secs": 1000, "nanosecs": 5}}
    box.linux["timeOffsets"] = given
    box.refused()
