"""Version 1, from the rules that a cgroup has to those that it is to have: over a model of the kernel's controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device_lists import rule
from devices_controller import DevicesController, step, with_rules
from ocispec.resources import DeviceRule
from pyrunc.cgroups.device_transition import changes, parse_list
from pyrunc.cgroups.devices import v1_writes

if TYPE_CHECKING:
    from collections.abc import Sequence


DENY_ALL = DeviceRule(allow=False, type="a", access="rwm")
ALLOW_ALL = DeviceRule(allow=True, access="rwm")


def follow(model: DevicesController, rules: Sequence[DeviceRule]) -> None:
    for write in changes(parse_list(model.list()), list(v1_writes(rules))):
        step(model, write)


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
