"""Listing, freezing and signalling all of a container's processes.  Needs root."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cgroup_members import Sandbox, is_alive, wait_until
from pyrunc.cgroups import fs
from pyrunc.cgroups.place import ContainerCgroup
from pyrunc.cgroups.processes import freezer_state, kill_all, processes, set_frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

# Forks without end, each generation replacing the one before: a list of pids is out of date when it is read.
FORKING = "while :; do (sleep 0.001; :) & done"
LAYOUTS = {"v1": (1,), "v2": (2,), "hybrid": (1, 2)}


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(request.node.name.replace("[", "-").rstrip("]"))
    yield made
    made.close()
    assert made.leftovers() == []


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.v1_only] * (name != "v2")) for name in sorted(LAYOUTS)])
def cgroup(request: pytest.FixtureRequest, sandbox: Sandbox) -> ContainerCgroup:
    """A container's cgroup on a host that has version 1 only, version 2 only, or both."""
    return sandbox.create("c1", sandbox.only(*LAYOUTS[request.param]))


def freezer(cgroup: ContainerCgroup) -> ContainerCgroup:
    """Only the hierarchy that freezes."""
    kept = [joined for joined in cgroup.hierarchies if joined.version == 2 or "freezer" in joined.controllers]
    return ContainerCgroup(hierarchies=tuple(kept))


def test_processes_are_found_in_sub_cgroups_too(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    assert processes(cgroup) == []
    first = sandbox.run(cgroup)
    for joined in cgroup.hierarchies:
        inner = Path(joined.path, "a/b")
        inner.mkdir(parents=True)
        if "cpuset" in joined.controllers:
            for folder in (inner.parent, inner):
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (folder / name).write_text((folder.parent / name).read_text())
    second = sandbox.run(cgroup, below="/a/b")
    assert processes(cgroup) == sorted([first.pid, second.pid])


def test_a_cgroup_that_is_gone_has_none(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    fs.remove(cgroup)
    assert processes(cgroup) == []
    assert freezer_state(cgroup) == "THAWED"
    kill_all(cgroup, signal.SIGKILL)
    kill_all(cgroup, signal.SIGTERM)


def test_no_hierarchies_at_all() -> None:
    nowhere = ContainerCgroup(hierarchies=())
    assert processes(nowhere) == []
    assert freezer_state(nowhere) == "THAWED"
    kill_all(nowhere, signal.SIGKILL)


def test_sigkill_ends_everything_even_what_forks_all_the_time(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    members = [sandbox.run(cgroup, FORKING), sandbox.run(cgroup)]
    time.sleep(0.05)
    kill_all(cgroup, signal.SIGKILL)
    for member in members:
        assert member.wait(timeout=5) == -signal.SIGKILL
    wait_until(lambda: processes(cgroup) == [])
    assert freezer_state(cgroup) == "THAWED"
    fs.remove(cgroup)


def test_another_signal_reaches_everyone_and_leaves_nothing_frozen(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    told = "trap 'echo told; exit 7' TERM; while :; do sleep 0.01; done"
    members = [sandbox.run(cgroup, told) for _ in range(3)]
    time.sleep(0.05)
    kill_all(cgroup, signal.SIGTERM)
    for member in members:
        assert member.communicate(timeout=5)[0] == b"told\n"
        assert member.returncode == 7
    assert freezer_state(cgroup) == "THAWED"


def test_a_paused_container_dies_of_sigkill(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    member = sandbox.run(cgroup)
    for joined in freezer(cgroup).hierarchies:
        set_frozen(joined, frozen=True)
    wait_until(lambda: freezer_state(cgroup) == "FROZEN")
    kill_all(cgroup, signal.SIGKILL)
    assert member.wait(timeout=5) == -signal.SIGKILL


def test_a_paused_container_stays_paused_for_any_other_signal(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    """One that it handles: of a fatal one a process that version 2 has frozen dies at once, the kernel's rule."""
    member = sandbox.run(cgroup, "trap 'echo told; exit 7' TERM; while :; do sleep 0.01; done")
    time.sleep(0.05)
    joined = freezer(cgroup).hierarchies[0]
    set_frozen(joined, frozen=True)
    wait_until(lambda: freezer_state(cgroup) == "FROZEN")
    kill_all(cgroup, signal.SIGTERM)
    wait_until(lambda: freezer_state(cgroup) == "FROZEN")
    assert is_alive(member.pid)
    set_frozen(joined, frozen=False)
    assert member.communicate(timeout=5)[0] == b"told\n"
    assert member.returncode == 7


@pytest.mark.v1_only
def test_nobody_escapes_by_leaving_the_version_2_tree(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    stays = sandbox.run(cgroup)
    leaves = sandbox.run(cgroup)
    (root,) = (hierarchy.mountpoint for hierarchy in sandbox.only(2))
    Path(root, "cgroup.procs").write_text(str(leaves.pid))
    kill_all(cgroup, signal.SIGKILL)
    assert stays.wait(timeout=5) == -signal.SIGKILL
    assert leaves.wait(timeout=5) == -signal.SIGKILL
    assert freezer_state(cgroup) == "THAWED"


def test_without_any_freezer(sandbox: Sandbox) -> None:
    pids = [hierarchy for hierarchy in sandbox.hierarchies if "pids" in hierarchy.controllers]
    cgroup = sandbox.create("c1", pids)
    members = [sandbox.run(cgroup) for _ in range(3)]
    assert freezer_state(cgroup) == "THAWED"
    kill_all(cgroup, signal.SIGTERM)
    for member in members:
        assert member.wait(timeout=5) == -signal.SIGTERM


def test_threaded_version_2_cgroups(sandbox: Sandbox) -> None:
    """cgroup.procs and cgroup.kill cannot be used there (EOPNOTSUPP)."""
    cgroup = sandbox.create("c1", sandbox.only(2))
    member = sandbox.run(cgroup)
    threaded = Path(cgroup.hierarchies[0].path, "threaded")
    threaded.mkdir()
    (threaded / "cgroup.type").write_text("threaded")
    (threaded / "cgroup.threads").write_text(str(member.pid))
    assert member.pid in processes(cgroup)
    kill_all(cgroup, signal.SIGKILL)
    assert member.wait(timeout=5) == -signal.SIGKILL


def test_processes_outside_are_left_alone(sandbox: Sandbox, cgroup: ContainerCgroup) -> None:
    neighbour = sandbox.run(sandbox.create("c2", [h for h in sandbox.hierarchies if h.version == 2]))
    member = sandbox.run(cgroup)
    kill_all(cgroup, signal.SIGKILL)
    assert member.wait(timeout=5) == -signal.SIGKILL
    assert is_alive(neighbour.pid)
    assert is_alive(os.getpid())
