"""The plan of an exec: what must come before what."""

from __future__ import annotations

from typing import Any

import pytest

from ocispec.config import read_config
from ocispec.record import replace
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, PR_SET_DUMPABLE
from pyrunc.kernel.host import Host
from pyrunc.process.affinity import affinity_mask
from pyrunc.process.plan_exec import Execution, compile_exec
from pyrunc.program.operations import REPORT, SYNC, Operation

HOST = Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=())
CGROUP = ContainerCgroup(
    hierarchies=(JoinedHierarchy(version=1, controllers=("pids",), path="/sys/fs/cgroup/pids/c1"),)
)
CONFIG: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "process": {
        "args": ["sh"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
        "env": ["PATH=/bin"],
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    },
    "linux": {
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL"}]}
    },
}


def wanted(**changes: Any) -> Execution:
    config = read_config(CONFIG)
    assert config.process is not None
    execution = Execution(
        container_id="c1",
        config=config,
        process=config.process,
        host=HOST,
        cgroup=CGROUP,
        namespaces=CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER,
        has_own_root=False,
    )
    return replace(execution, **changes)


def operations(**changes: Any) -> list[Operation]:
    return compile_exec(wanted(**changes)).program.operations


def first(found: list[Operation], name: str, *arguments: object) -> int:
    for index, operation in enumerate(found):
        if operation.name == name and tuple(operation.arguments[: len(arguments)]) == arguments:
            return index
    raise AssertionError(f"no {name}{arguments}")


def test_order() -> None:
    found = operations()
    moments = [
        first(found, "prctl", PR_SET_DUMPABLE, 0),
        first(found, "sched_setaffinity"),
        first(found, "write"),  # "0" into tasks
        first(found, "setns"),
        first(found, "setresuid", 0, 0, 0),
        first(found, "clone"),
        first(found, "setsid"),
        first(found, "keyctl"),
        first(found, "seccomp"),
        next(index for index, operation in enumerate(found) if operation.kind == SYNC and operation.name == "ready"),
        next(index for index, operation in enumerate(found) if operation.kind == REPORT),
        first(found, "execve"),
    ]
    assert moments == sorted(moments)
    assert found[moments[2]].label.place == "linux.cgroupsPath"


def test_one_setns_for_all() -> None:
    found = [operation for operation in operations() if operation.name == "setns"]
    assert [operation.arguments[1] for operation in found] == [CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER]


def test_no_fork_without_a_pid_namespace() -> None:
    assert "clone" not in [operation.name for operation in operations(namespaces=CLONE_NEWNS)]


def test_same_namespaces_but_another_root() -> None:
    names = [operation.name for operation in operations(namespaces=0, has_own_root=True)]
    assert "setns" not in names
    assert names.index("chroot") < names.index("setsid")


def test_terminal_is_opened_through_the_hosts_proc() -> None:
    """The container's own /proc must not decide which descriptor is opened (CVE-2025-52565)."""
    execution = wanted()
    process = replace(execution.process, terminal=True)
    program = compile_exec(replace(execution, process=process, has_console_socket=True)).program
    found = program.operations
    assert first(found, "openat") < first(found, "setns")
    strings = (program.data[pointer.offset : pointer.offset + pointer.size] for pointer in program.strings)
    assert {text for text in strings if text.startswith(b"/proc/")} <= {b"/proc/self/oom_score_adj\0"}


@pytest.mark.parametrize(
    ("text", "mask"),
    [("0", 1), ("0-3", 15), ("0,2", 5), ("1-2, 4", 22), ("63", 1 << 63), ("64", 1 << 64), ("1030", 1 << 1030)],
)
def test_affinity(text: str, mask: int) -> None:
    found = affinity_mask(text)
    assert int.from_bytes(found, "little") == mask
    assert len(found) % 8 == 0


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,,2", "8192", "٣"])
def test_what_is_no_affinity(text: str) -> None:
    with pytest.raises(ConfigError, match="execCPUAffinity"):
        affinity_mask(text)
