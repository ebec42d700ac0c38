"""The order of setns, unshare, syncs and clone, in the simulator (tests/kernel/test_namespaces.py has the kernel)."""

from __future__ import annotations

from errno import EPERM

import pytest

from ocispec.config import Config, Root
from ocispec.linux import IDMapping, Linux, Namespace, TimeOffset
from pyrunc.kernel.constants import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_PARENT,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    SIGCHLD,
)
from pyrunc.kernel.host import Host
from pyrunc.namespaces.join import emit_processes
from pyrunc.namespaces.plan import plan_namespaces
from pyrunc.program.builder import Program
from pyrunc.program.simulator import CHILD, Run, simulate

MAP = (IDMapping(container_id=0, host_id=1000, size=1),)


def emitted(*namespaces: str, euid: int = 0, **linux: object) -> tuple[Program, dict[str, int]]:
    host = Host(euid=euid, egid=euid, machine="x86_64", in_user_namespace=False, cgroups=())
    spaces = tuple(Namespace(type=k, path=path) for k, _, path in (text.partition("=") for text in namespaces))
    config = Config(oci_version="1.2.0", root=Root(path="r"), linux=Linux(namespaces=spaces, **linux))
    plan = plan_namespaces(config, host)
    fds = {kind: 10 + index for index, kind in enumerate(plan.joined_kinds())}
    p = Program()
    emit_processes(p, plan, fds, 1, 2)
    return p, fds


def shape(run: Run) -> list[str]:
    return [name for name in run.names() if name not in ("prctl", "close")]


def test_namespaces_made_by_clone3_need_nothing() -> None:
    p, _ = emitted("pid", "mount", "network", "uts", "ipc", "cgroup")
    assert p.operations == []


def test_joins_without_a_user_namespace_do_not_tolerate() -> None:
    p, fds = emitted("network=/n", "ipc=/i", "pid")
    run = simulate(p)
    assert run.calls("setns") == [(fds["network"], CLONE_NEWNET), (fds["ipc"], 0x08000000)]
    assert run.calls("prctl") == [(PR_SET_DUMPABLE, 0)]
    assert simulate(p, {"setns": -EPERM}).failure is not None


def test_a_new_user_namespace_waits_for_its_maps_and_becomes_root() -> None:
    p, _ = emitted("user", "mount", uid_mappings=MAP, gid_mappings=MAP)
    run = simulate(p)
    assert shape(run) == ["unshare", "map ids", "setgroups", "setresgid", "setresuid", "unshare"]
    assert run.calls("unshare") == [(CLONE_NEWUSER,), (CLONE_NEWNS,)]
    assert simulate(p, {"setgroups": -EPERM}).ended == "end"


@pytest.mark.parametrize("refused", [True, False])
def test_a_refused_join_is_repeated_inside_the_user_namespace(refused: bool) -> None:
    p, fds = emitted("user=/u", "network=/n")
    run = simulate(p, {"setns": [-EPERM if refused else 0, 0, 0]})
    network, user = (fds["network"], CLONE_NEWNET), (fds["user"], CLONE_NEWUSER)
    assert run.calls("setns") == ([network, user, network] if refused else [network, user])
    assert run.ended == "end"
    assert run.calls("close") == [(fds["user"],), (fds["network"],)]


def test_a_join_that_is_refused_twice_fails() -> None:
    p, _ = emitted("user=/u", "network=/n")
    run = simulate(p, {"setns": [-EPERM, 0, -EPERM]})
    assert run.failure is not None
    assert p.operations[run.failure[0]].label.failure(EPERM).startswith("linux.namespaces[1] network /n: join")


def dumpable(run: Run) -> list[int | str | bytes]:
    return [value for option, value in run.calls("prctl") if option == PR_SET_DUMPABLE]


def test_an_unprivileged_parent_needs_a_dumpable_process_to_write_maps() -> None:
    """Otherwise nothing is dumpable once there is a namespace that others are in (CVE-2016-9962)."""
    maps = {"uid_mappings": MAP, "gid_mappings": MAP}
    p, _ = emitted("user", "network=/n", euid=1000, **maps)
    run = simulate(p)
    assert dumpable(run) == [0, 1, 0]
    assert shape(run)[:3] == ["setns", "unshare", "map ids"]
    p, _ = emitted("user", "network=/n", euid=0, **maps)
    assert set(dumpable(simulate(p))) == {0}


def test_the_first_process_tells_the_pid_and_ends() -> None:
    p, _ = emitted("user", "pid", uid_mappings=MAP, gid_mappings=MAP)
    run = simulate(p)
    assert run.calls("clone") == [(CLONE_NEWPID | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)]
    assert [step.result for step in run.trace if step.name == "report the pid of init"] == [CHILD]
    assert run.ended == "exit_group"


def test_the_second_process_dies_with_the_parent_and_waits_for_the_lock() -> None:
    p, _ = emitted("user", "pid", uid_mappings=MAP, gid_mappings=MAP)
    run = simulate(p, {"clone": 0})
    assert "report the pid of init" not in run.names()
    assert run.names()[-3:] == ["prctl", "fcntl", "close"]
    assert run.calls("prctl")[-1][0] == PR_SET_PDEATHSIG
    assert run.ended == "end"


def test_time_offsets_are_opened_first_and_written_before_the_fork() -> None:
    offsets = {"monotonic": TimeOffset(secs=1, nanosecs=2), "boottime": TimeOffset(secs=-3)}
    p, _ = emitted("time", "network=/n", time_offsets=offsets)
    run = simulate(p)
    assert shape(run) == [
        "openat", "setns", "unshare", "write", "memfd_create", "fcntl", "clone", "report the pid of init", "exit_group",
    ]  # fmt: skip
    text = "monotonic 1 2\nboottime -3 0\n"
    assert run.calls("write")[0][1:] == (text, len(text))
