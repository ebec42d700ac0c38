"""intelRdt in an update that fails later, on a FAKE resctrl tree (test_resctrl.py of the cgroups says why)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc.cgroups import resctrl
from pyrunc.cgroups.resctrl import Group
from pyrunc.container import rdt
from pyrunc.container.record import ContainerRecord
from pyrunc.container.undo import Undo

if TYPE_CHECKING:
    from pathlib import Path

FULL = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"


def record_of(path: str) -> ContainerRecord:
    group = {"rdt": Group(path=path, is_own=True).as_json()} if path else {}
    return ContainerRecord(container_id="box", oci_version="", bundle="", rootfs="", created="", owner=0, **group)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resctrl, "mount_point", lambda: str(tmp_path))
    return tmp_path


def test_schemata_are_set_back(root: Path) -> None:
    (root / "box").mkdir()
    schemata = root / "box/schemata"
    schemata.write_text(FULL)
    record, undo = record_of(str(root / "box")), Undo()
    assert rdt.update(record, "L3:0=3", "MB:0=50", undo) == record
    assert schemata.read_text().startswith("L3:0=3\nMB:0=50\n")  # a plain file keeps the rest
    undo.run()
    assert schemata.read_text() == FULL


def test_a_class_that_was_made_is_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(resctrl, "make", lambda _rdt, group, _root: calls.append(f"make {group.path}"))
    monkeypatch.setattr(resctrl, "join", lambda group, _pid: calls.append(f"join {group.path}"))
    monkeypatch.setattr(resctrl, "remove", lambda group: calls.append(f"remove {group.path}"))
    undo = Undo()
    assert rdt.update(record_of(""), "L3:0=3", "", undo).rdt["path"] == f"{root}/box"
    undo.run()
    assert calls == [f"{verb} {root}/box" for verb in ("make", "join", "remove")]
