"""Notices of memory that ran out, version 2: the count of memory.events.  tests/cli/test_events.py has version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc.cgroups.oom import OomCause, OomWatchV2, cause_v1, watch_oom
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = "low 0\nhigh 0\nmax 7\noom {oom}\noom_kill {killed}\noom_group_kill 0\n"


def test_each_kill_is_told_once(tmp_path: Path) -> None:
    """Reclaim that went well (max, oom without a kill) is no notice; kills of before the watch are not either."""
    events = tmp_path / "memory.events"
    events.write_text(EVENTS.format(oom=1, killed=1))
    joined = JoinedHierarchy(version=2, controllers=("memory",), path=str(tmp_path))
    watch = watch_oom(ContainerCgroup(hierarchies=(joined,)))
    assert isinstance(watch, OomWatchV2)
    assert watch.happened() is None
    events.write_text(EVENTS.format(oom=5, killed=1))
    assert watch.happened() is None
    events.write_text(EVENTS.format(oom=6, killed=3))
    assert watch.happened() == OomCause(cause="limit", cgroup=str(tmp_path))
    assert watch.happened() is None
    assert not watch.is_gone()
    watch.file.close()


class Tree:
    """/top/pod/box of version 2, as files; `oom` counts what a cgroup's own limit did."""

    def __init__(self, top: Path) -> None:
        self.box, self.pod = top / "pod/box", top / "pod"
        self.box.mkdir(parents=True)
        self.local = {self.box: 0, self.pod: 0, top: 0}
        self.killed = self.below = 0
        self.write()

    def write(self) -> None:
        for path, oom in self.local.items():
            (path / "memory.events.local").write_text(EVENTS.format(oom=oom, killed=0))
        (self.box / "memory.events").write_text(
            EVENTS.format(oom=self.local[self.box] + self.below, killed=self.killed)
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.parametrize("case", ["limit", "below", "pod", "top", "host"])
def test_whose_memory_it_was(tree: Tree, tmp_path: Path, case: str) -> None:
    watch = OomWatchV2(str(tree.box))
    guilty = {"limit": tree.box, "pod": tree.pod, "top": tmp_path}.get(case)
    if guilty is not None:
        tree.local[guilty] += 1
    tree.below += case == "below"
    tree.killed += 1
    tree.write()
    expected = {
        "limit": OomCause(cause="limit", cgroup=str(tree.box)),
        "below": OomCause(cause="limit", cgroup=str(tree.box)),
        "pod": OomCause(cause="ancestor", cgroup=str(tree.pod)),
        "top": OomCause(cause="ancestor", cgroup=str(tmp_path)),
        "host": OomCause(cause="host"),
    }
    assert watch.happened() == expected[case]
    tree.killed += 1
    tree.write()
    assert watch.happened() == OomCause(cause="host"), "what was counted before is not counted again"
    watch.file.close()


def test_a_neighbour_s_end_is_not_ours(tree: Tree) -> None:
    """The pod's limit was met and somebody else was killed for it; later the host kills one of ours."""
    watch = OomWatchV2(str(tree.box))
    tree.local[tree.pod] += 1
    tree.write()
    assert watch.happened() is None
    watch.file.close()


def test_version_1_looks_who_is_full(tmp_path: Path) -> None:
    pod, box = tmp_path / "pod", tmp_path / "pod/box"
    box.mkdir(parents=True)
    for path in (pod, box):
        for name in ("memory", "memory.memsw"):
            (path / f"{name}.limit_in_bytes").write_text("9000000\n")
            (path / f"{name}.max_usage_in_bytes").write_text("5000000\n")
    assert cause_v1(str(box)) == OomCause(cause="host")
    (pod / "memory.memsw.max_usage_in_bytes").write_text("8999999\n")
    assert cause_v1(str(box)) == OomCause(cause="ancestor", cgroup=str(pod))
    (box / "memory.max_usage_in_bytes").write_text("9000000\n")
    assert cause_v1(str(box)) == OomCause(cause="limit", cgroup=str(box)), "the nearest"


def test_without_a_memory_controller() -> None:
    assert watch_oom(ContainerCgroup(hierarchies=())) is None
