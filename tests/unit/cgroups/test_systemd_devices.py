"""What systemd does to device rules when it changes something else, played here; conformance/vm has the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocispec.record import replace
from pyrunc.cgroups import systemd_devices
from pyrunc.cgroups.device_transition import parse_list
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy, from_json
from pyrunc.cgroups.systemd_devices import DevicesKept
from pyrunc.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc.cgroups.writes import Write

RULES = "b *:* m\nc 1:3 rwm\nc 10:183 rw\n"


class Host:
    """Version 1, with a log of what is done to it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.list = path / "devices.list"
        self.done: list[str] = []
        self.state = "THAWED"
        joined = JoinedHierarchy(version=1, controllers=("devices",), path=str(path))
        self.cgroup = ContainerCgroup(hierarchies=(joined,), unit="x.scope")
        monkeypatch.setattr(systemd_devices, "freezer_state", lambda _cgroup: self.state)
        monkeypatch.setattr(systemd_devices, "freeze", self.freeze)
        monkeypatch.setattr(systemd_devices, "thaw", lambda _cgroup: self.done.append("thaw"))
        monkeypatch.setattr(systemd_devices, "apply", self.apply)

    def freeze(self, _cgroup: ContainerCgroup, _seconds: float) -> None:
        self.done.append("freeze")

    def apply(self, _cgroup: ContainerCgroup, writes: list[Write]) -> None:
        self.done.extend(f"{write.file.removeprefix('devices.')} {write.value}" for write in writes)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, monkeypatch)
    made.list.write_text(RULES)
    return made


def test_frozen_meanwhile_and_then_as_before(host: Host) -> None:
    with DevicesKept(host.cgroup):
        host.list.write_text("c 1:3 rwm\nb *:* m\nc 5:1 rw\n")
    assert host.done == ["freeze", "allow c 10:183 rw", "deny c 5:1 rw", "thaw"]


def test_thawed_after_an_error(host: Host) -> None:
    with pytest.raises(StateError), DevicesKept(host.cgroup):
        raise StateError("systemd says no")
    assert host.done == ["freeze", "thaw"]


def test_one_that_is_paused_stays_so(host: Host) -> None:
    host.state = "FROZEN"
    with DevicesKept(host.cgroup):
        host.list.write_text("c 1:3 rwm\nb *:* m\n")
    assert host.done == ["allow c 10:183 rw"]


def test_one_that_cannot_be_frozen_has_its_rules_again_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_cgroup: ContainerCgroup, _seconds: float) -> None:
        raise StateError("not all processes stopped")

    monkeypatch.setattr(systemd_devices, "freeze", refuse)
    with DevicesKept(host.cgroup):
        host.list.write_text("b *:* m\n")
    assert host.done == ["allow c 1:3 rwm", "allow c 10:183 rw"]


def test_where_everything_is_allowed_nothing_is_done(host: Host) -> None:
    host.list.write_text("a *:* rwm\n")
    assert parse_list(["a *:* rwm"]).allow
    with DevicesKept(host.cgroup):
        pass
    assert host.done == []


@pytest.fixture
def all_but_one(host: Host) -> Host:
    """Version 1 does not tell what is denied."""
    host.list.write_text("a *:* rwm\n")
    host.cgroup = replace(host.cgroup, denied=("c 10:183 rw", "b 8:* w"))
    return host


def test_what_is_denied_beside_everything_is_denied_again(all_but_one: Host) -> None:
    with DevicesKept(all_but_one.cgroup):
        pass
    assert all_but_one.done == ["freeze", "deny c 10:183 rw", "deny b 8:* w", "thaw"]


def test_nothing_is_changed_while_it_would_run_with_all_devices(
    all_but_one: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_cgroup: ContainerCgroup, _seconds: float) -> None:
        raise StateError("not all processes stopped")

    monkeypatch.setattr(systemd_devices, "freeze", refuse)
    with pytest.raises(StateError, match="not all processes"), DevicesKept(all_but_one.cgroup):
        all_but_one.done.append("told systemd")
    assert all_but_one.done == []


def test_state_json_keeps_what_is_denied(all_but_one: Host) -> None:
    assert from_json(all_but_one.cgroup.as_json()) == all_but_one.cgroup
    assert "denied" not in replace(all_but_one.cgroup, denied=()).as_json()


def test_a_user_s_manager_knows_of_no_devices(host: Host) -> None:
    with DevicesKept(ContainerCgroup(hierarchies=host.cgroup.hierarchies, unit="x.scope", unit_of_user=True)):
        host.list.write_text("")
    assert host.done == []
