"""A cgroup that does not come to a stop is let go again, and the words for none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc.cgroups.freezer import freeze, thaw
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
from pyrunc.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path


def cgroup(version: int, path: Path) -> ContainerCgroup:
    names = ("freezer",) if version == 1 else ()
    return ContainerCgroup(hierarchies=(JoinedHierarchy(version=version, controllers=names, path=str(path)),))


def test_v1_that_stays_freezing(tmp_path: Path) -> None:
    """An ordinary file: it never says FROZEN, as what is written leaves its longer content."""
    (tmp_path / "freezer.state").write_text("FREEZING\n")
    with pytest.raises(StateError, match="unable to freeze"):
        freeze(cgroup(1, tmp_path), timeout_seconds=0.05)
    assert (tmp_path / "freezer.state").read_text().startswith("THAWED")


def test_v2_that_stays_freezing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.freeze").write_text("0\n")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    with pytest.raises(StateError, match="unable to freeze"):
        freeze(cgroup(2, tmp_path), timeout_seconds=0.05)
    assert (tmp_path / "cgroup.freeze").read_text() == "0\n"


def test_none_at_all(tmp_path: Path) -> None:
    for change in (freeze, thaw):
        with pytest.raises(StateError, match="cannot toggle freezer: cgroups not configured for container"):
            change(ContainerCgroup(hierarchies=()))
    thaw(cgroup(2, tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()
