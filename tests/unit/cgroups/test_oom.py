"""Notices of memory that ran out, version 2: the count of memory.events.  tests/cli/test_events.py has version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrunc.cgroups.oom import OomWatchV2, watch_oom
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
    assert not watch.happened()
    events.write_text(EVENTS.format(oom=5, killed=1))
    assert not watch.happened()
    events.write_text(EVENTS.format(oom=6, killed=3))
    assert watch.happened()
    assert not watch.happened()
    assert not watch.is_gone()
    watch.file.close()


def test_without_a_memory_controller() -> None:
    assert watch_oom(ContainerCgroup(hierarchies=())) is None
