"""What systemd is told of an update; conformance/vm has the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ocispec.resources import read_resources
from pyrunc.cgroups import systemd
from pyrunc.cgroups.drivers import update_unit
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
from pyrunc.kernel.host import CgroupHierarchy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, {}),
        ({"pids": {"limit": 7}}, {"TasksMax": ("t", 7)}),
        # It takes a policy with a new unit alone.
        ({"unified": {"memory.oom.group": "1"}}, {}),
        ({"unified": {"memory.oom.group": "1", "memory.high": "9"}}, {"MemoryHigh": ("t", 9)}),
        ({"cpu": {"idle": 1}}, {"CPUWeight": ("t", 0)}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": ("t", 59)}),
        ({"cpu": {"idle": 0, "shares": 1024}}, {"CPUWeight": ("t", 100)}),
    ],
)
def test_what_an_update_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], told: dict[str, Any]
) -> None:
    (tmp_path / "cpu.weight").write_text("59\n")
    joined = JoinedHierarchy(version=2, controllers=("cpu", "pids"), path=str(tmp_path))
    host = CgroupHierarchy(version=2, controllers=("cpu", "pids"), mountpoint=str(tmp_path), own_path="/")
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(systemd, "set_properties", lambda _cgroup, properties: heard.append(dict(properties)))
    cgroup = ContainerCgroup(hierarchies=(joined,), unit="x.scope")
    assert update_unit(cgroup, read_resources(document), [host]) == bool(told)
    assert heard == ([told] if told else [])
    assert not update_unit(ContainerCgroup(hierarchies=(joined,)), read_resources(document), [host])
