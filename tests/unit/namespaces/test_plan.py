"""Config -> NamespacePlan: who makes which namespace, and with how many processes."""

from __future__ import annotations

import pytest

from ocispec.config import Config, Root
from ocispec.linux import IDMapping, Linux, Namespace, TimeOffset
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from pyrunc.kernel.host import Host
from pyrunc.namespaces.plan import FLAGS, NamespacePlan, plan_namespaces

HOST = Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=())
ROOTLESS = Host(euid=1000, egid=1000, machine="x86_64", in_user_namespace=False, cgroups=())
MAP = (IDMapping(container_id=0, host_id=1000, size=1),)
EVERYTHING = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS


def plan(*namespaces: str, host: Host = HOST, **linux: object) -> NamespacePlan:
    spaces = tuple(Namespace(type=k, path=path) for k, _, path in (text.partition("=") for text in namespaces))
    config = Config(oci_version="1.2.0", root=Root(path="r"), linux=Linux(namespaces=spaces, **linux))
    return plan_namespaces(config, host)


def user_plan(*namespaces: str, host: Host = HOST) -> NamespacePlan:
    return plan("user", *namespaces, host=host, uid_mappings=MAP, gid_mappings=MAP)


def test_flags_are_the_kernels() -> None:
    assert FLAGS == {
        "user": CLONE_NEWUSER, "pid": CLONE_NEWPID, "network": CLONE_NEWNET, "ipc": CLONE_NEWIPC, "uts": CLONE_NEWUTS,
        "cgroup": CLONE_NEWCGROUP, "time": CLONE_NEWTIME, "mount": CLONE_NEWNS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("namespaces", "clone", "later", "second"),
    [
        ((), 0, 0, False),
        (("pid", "network", "ipc", "uts", "mount", "cgroup"), EVERYTHING, 0, False),
        (("pid", "mount", "network=/n", "ipc=/i", "uts=/u"), CLONE_NEWPID | CLONE_NEWNS, 0, False),
        (("pid=/p", "mount"), 0, CLONE_NEWNS, True),
        (("pid", "mount", "time"), 0, CLONE_NEWPID | CLONE_NEWNS, True),
        (("time=/t", "mount"), CLONE_NEWNS, 0, False),
        (("mount=/m", "pid"), CLONE_NEWPID, 0, False),
    ],
)
def test_who_makes_what(namespaces: tuple[str, ...], clone: int, later: int, second: bool) -> None:
    found = plan(*namespaces)
    assert (found.clone_flags, found.later_flags, found.needs_second_process) == (clone, later, second)


@pytest.mark.parametrize(
    ("namespaces", "later", "second"),
    [
        ((), 0, False),
        (("mount", "uts"), CLONE_NEWNS | CLONE_NEWUTS, False),
        (("pid", "network", "ipc", "uts", "mount", "cgroup"), EVERYTHING, True),
    ],
)
def test_with_a_user_namespace_the_stage_makes_all(namespaces: tuple[str, ...], later: int, second: bool) -> None:
    found = user_plan(*namespaces)
    assert (found.clone_flags, found.later_flags, found.needs_second_process) == (0, later, second)
    joined = plan("user=/x", *namespaces)
    assert (joined.clone_flags, joined.later_flags, joined.needs_second_process) == (0, later, second)


def test_new_has_and_joined() -> None:
    found = plan("uts", "network=/n", "ipc=/i")
    assert [found.is_new(kind) for kind in ("uts", "network", "mount")] == [True, False, False]
    assert [found.has(kind) for kind in ("uts", "network", "mount")] == [True, True, False]
    assert found.joined_kinds() == ("network", "ipc")
    assert [joined.place for joined in found.joined] == ["linux.namespaces[1]", "linux.namespaces[2]"]


def test_the_mount_namespace_is_joined_last_and_the_user_namespace_first() -> None:
    assert plan("mount=/m", "pid=/p", "user=/u").joined_kinds() == ("user", "pid", "mount")


def test_map_sync() -> None:
    assert user_plan().needs_map_sync
    assert not plan("user=/u").needs_map_sync
    assert plan("user=/u", uid_mappings=MAP, gid_mappings=MAP).needs_map_sync
    assert not plan("mount").needs_map_sync


def test_privilege_is_the_callers() -> None:
    assert plan().is_privileged
    assert not user_plan(host=ROOTLESS).is_privileged


def test_time_offsets_are_kept() -> None:
    found = plan("time", time_offsets={"boottime": TimeOffset(secs=-3, nanosecs=4)})
    assert found.time_offsets == (("boottime", -3, 4),)


def test_without_root_there_must_be_a_user_namespace() -> None:
    with pytest.raises(ConfigError) as error:
        plan("pid", host=ROOTLESS)
    assert str(error.value) == "rootless container requires user namespaces"
    assert user_plan("pid", host=ROOTLESS).has_user_namespace


def mapping(container_id: int, host_id: int, size: int) -> IDMapping:
    return IDMapping(container_id=container_id, host_id=host_id, size=size)


@pytest.mark.parametrize(
    ("mappings", "problem"),
    [
        ((mapping(1, 1000, 5),), "linux.uidMappings: id 0 of the user namespace is not mapped"),
        ((mapping(0, 1000, 0),), "linux.uidMappings[0].size: must not be 0"),
        ((mapping(0, 1000, 9), mapping(8, 5000, 1)), "linux.uidMappings[1].containerID: overlaps"),
        ((mapping(0, 1000, 9), mapping(9, 1008, 1)), "linux.uidMappings[1].hostID: overlaps"),
        ((mapping(0, 2**32 - 2, 2),), "linux.uidMappings[0]: 2 ids from 4294967294 on go beyond 2^32-2"),
        (tuple(mapping(n, n, 1) for n in range(341)), "linux.uidMappings: more than 340 mappings"),
    ],
)
def test_mappings_that_the_kernel_would_refuse(mappings: tuple[IDMapping, ...], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan("user", uid_mappings=mappings, gid_mappings=MAP)
    assert str(error.value).startswith(problem)


def test_mappings_at_the_limits_pass() -> None:
    edge = (mapping(0, 0, 9), mapping(9, 9, 2**32 - 10))
    assert plan("user", uid_mappings=edge, gid_mappings=edge).uid_mappings == edge
