"""Version 1, from the rules that a cgroup has to those that it is to have: over a model of the kernel's controller."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_lists import RULES, devices, may_by_the_list, rule
from devices_controller import DevicesController
from ocispec.resources import DeviceRule
from pyrunc.cgroups.device_transition import changes, parse_list
from pyrunc.cgroups.devices import v1_writes
from pyrunc.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.writes import Write

DENY_ALL = DeviceRule(allow=False, type="a", access="rwm")
ALLOW_ALL = DeviceRule(allow=True, access="rwm")
LISTS = st.one_of(RULES, RULES.map(lambda rules: [ALLOW_ALL, *rules]))
Access = dict[tuple[str, int, int, str], bool]


def with_rules(rules: Sequence[DeviceRule], *, has_children: bool = False) -> DevicesController:
    model = DevicesController(allow=True, exceptions={})
    for write in v1_writes(rules):
        model.write(write.file, write.value)
    model.has_children = has_children
    return model


def step(model: DevicesController, write: Write) -> None:
    try:
        model.write(write.file, write.value)
    except OSError as error:
        if error.errno not in write.tolerate:
            raise


def follow(model: DevicesController, rules: Sequence[DeviceRule]) -> None:
    for write in changes(parse_list(model.list()), list(v1_writes(rules))):
        step(model, write)


def access(model: DevicesController) -> Access:
    return {(*device, letter): model.may(*device, letter) for device in devices() for letter in "rwm"}


def told(model: DevicesController, rules: Sequence[DeviceRule]) -> list[str]:
    found = changes(parse_list(model.list()), list(v1_writes(rules)))
    return [f"{write.file.removeprefix('devices.')} {write.value}" for write in found]


@pytest.mark.parametrize("rules", [[], [DENY_ALL], [rule(True, "c 10:229 rwm")], [rule(True, "b 8:0 rw")]])
def test_nothing_is_written_where_the_rules_are_there(rules: list[DeviceRule]) -> None:
    assert told(with_rules(rules), rules) == []


def test_what_is_new_is_allowed_before_what_is_old_is_denied() -> None:
    present = with_rules([rule(True, "c 10:* rwm"), rule(True, "b 8:0 rw")])
    assert told(present, [rule(True, "c 10:229 rwm"), rule(True, "b 8:0 rm")]) == [
        "allow c 10:229 rwm",
        "allow b 8:0 m",
        "deny c 10:* rwm",
        "deny b 8:0 w",
    ]


def test_another_default_is_written_whole() -> None:
    nothing = [f"allow {line}" for line in with_rules([]).list()]
    assert told(with_rules([ALLOW_ALL]), []) == ["deny a", *nothing]
    assert told(with_rules([]), [ALLOW_ALL, rule(False, "b 8:0 rw")]) == ["allow a", "deny b 8:0 rw"]


def test_a_parent_of_others_keeps_its_default() -> None:
    """EINVAL is what the kernel says to `a` there."""
    parent = with_rules([], has_children=True)
    follow(parent, [rule(True, "c 10:229 rwm")])
    assert parent.may("c", 10, 229, "r")
    with pytest.raises(OSError, match="has children"):
        follow(parent, [ALLOW_ALL])
    everything = with_rules([ALLOW_ALL], has_children=True)
    follow(everything, [ALLOW_ALL, rule(False, "b 8:0 rw")])
    assert not everything.may("b", 8, 0, "r")


def test_from_any_rules_to_any_others() -> None:
    """The end is as the list says, and on the way nothing is denied that is allowed before and after, nor allowed."""
    seen = {"same default": 0, "another": 0, "cannot be expressed": 0}

    @settings(max_examples=400, deadline=None)
    @given(LISTS, LISTS, st.booleans())
    def check(before: list[DeviceRule], after: list[DeviceRule], has_children: bool) -> None:
        try:
            model, full = with_rules(before), list(v1_writes(after))
        except ConfigError:
            seen["cannot be expressed"] += 1
            return
        keeps = not model.allow and full[0].file == "devices.deny"
        model.has_children = has_children and keeps
        old = access(model)
        writes = list(changes(parse_list(model.list()), full))
        wanted = {key: may_by_the_list(after, *key[:3], key[3]) for key in old}
        moments = []
        for write in writes:
            step(model, write)
            moments.append(access(model))
        assert access(model) == wanted, (before, after)
        seen["same default" if keeps else "another"] += 1
        if keeps:
            assert {write.value for write in writes}.isdisjoint("a")
            assert all(now[key] in (old[key], wanted[key]) for now in moments for key in now), (before, after)
            again = deepcopy(model)
            assert list(changes(parse_list(again.list()), full)) == []

    check()
    assert min(seen["same default"], seen["another"]) > 40, seen
