"""Bind mounts, masked and read-only paths are emitted once: the program is the one that each alone would have made."""

from __future__ import annotations

import itertools

import pytest

from ocispec.config import Config, Mount, Process, Root, User
from ocispec.linux import Linux
from one_by_one import replacements
from pyrunc.kernel.host import CgroupHierarchy
from pyrunc.program.builder import Program
from pyrunc.program.operations import Pointer
from pyrunc.rootfs.inputs import RootfsInputs
from pyrunc.rootfs.masks import emit_masks
from pyrunc.rootfs.mounts import emit_mounts
from pyrunc.rootfs.prepare import emit_rootfs

OPTIONS = (
    ("rbind",),
    ("bind", "ro", "nosuid"),
    ("rbind", "rro", "rprivate"),
    ("bind", "src-nofollow"),
    ("bind", "dest-nofollow"),
)
DESTINATIONS = (
    "/a",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/a/a/a",
    "/" + "/".join("x" * 120),
    "/proc/meminfo",
    "/process",
)
SOURCES = ("/etc", "relative", "/etc/hosts", "/a")


def inputs(mounts: tuple[Mount, ...]) -> RootfsInputs:
    config = Config(
        oci_version="1.3.0",
        root=Root(path="rootfs"),
        process=Process(args=("sh",), cwd="/", user=User(uid=0, gid=0)),
        mounts=mounts,
        linux=Linux(masked_paths=("/proc/kcore", "/a", "/a/../b"), readonly_paths=("/proc/sys", "/proc/bus")),
    )
    return RootfsInputs(
        config=config,
        bundle="/srv/bundle",
        rootfs="/srv/bundle/rootfs",
        has_mount_namespace=True,
        has_user_namespace=False,
        has_cgroup_namespace=False,
        has_network_namespace=False,
        cgroups=(CgroupHierarchy(version=2, controllers=(), mountpoint="/sys/fs/cgroup", own_path="/"),),
        cgroup_paths=("/x",),
        console_fd=9,
    )


def listed(mounts: tuple[Mount, ...]) -> list[tuple[object, ...]]:
    """Each operation with its strings, registers, jump and error, but not with where in the data anything lies."""
    p = Program()
    given = inputs(mounts)
    root = emit_rootfs(p, given)
    emit_mounts(p, root, given)
    emit_masks(p, root, given)
    found = []
    for index, operation in enumerate(p.operations):
        arguments = [
            p.data[argument.offset : argument.offset + argument.size]
            if isinstance(argument, Pointer)
            else repr(argument)
            for argument in operation.arguments
        ]
        target = operation.target and operation.target.index - index
        into = operation.into and operation.into.index
        found.append((operation.name, arguments, into, operation.tolerated, target, operation.label.template()))
    return found


@pytest.mark.parametrize("with_proc", [False, True])
def test_the_same_program_as_one_by_one(monkeypatch: pytest.MonkeyPatch, with_proc: bool) -> None:
    mounts = tuple(
        Mount(destination=destination, source=source, options=options)
        for options, destination, source in itertools.product(OPTIONS, DESTINATIONS, SOURCES)
    )
    if with_proc:
        third = len(mounts) // 3  # what is emitted changes with each mount on /proc
        proc = Mount(destination="/proc", type="proc", source="proc")
        mounts = (*mounts[:third], proc, *mounts[third : 2 * third], proc, *mounts[2 * third :])
    stamped = []
    stamp = Program.stamp
    monkeypatch.setattr(Program, "stamp", lambda *words: stamped.append(stamp(*words)))
    alike = listed(mounts)
    assert len(stamped) > len(mounts) // 2
    for replacement in replacements():
        monkeypatch.setattr(*replacement)
    assert alike == listed(mounts)
    assert not any("\x01" in operation[-1] for operation in alike)  # type: ignore[operator]
