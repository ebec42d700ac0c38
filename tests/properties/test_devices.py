"""Device rules for version 1, at random: over a model of the kernel's devices controller."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from device_lists import RULES, devices, may_by_the_list
from devices_controller import DevicesController, step, with_rules
from ocispec.resources import DeviceRule
from pyrunc.cgroups.device_transition import changes, parse_list
from pyrunc.cgroups.devices import v1_writes
from pyrunc.errors import ConfigError

ALLOW_ALL = DeviceRule(allow=True, access="rwm")
LISTS = st.one_of(RULES, RULES.map(lambda rules: [ALLOW_ALL, *rules]))
Access = dict[tuple[str, int, int, str], bool]


def access(model: DevicesController) -> Access:
    return {(*device, letter): model.may(*device, letter) for device in devices() for letter in "rwm"}


def test_the_kernel_then_decides_as_the_list_says() -> None:
    expressed = []

    @settings(max_examples=300, deadline=None)
    @given(RULES)
    def check(rules: list[DeviceRule]) -> None:
        try:
            writes = list(v1_writes(rules))
        except ConfigError:
            expressed.append(False)
            return
        expressed.append(True)
        model = DevicesController(allow=True, exceptions={("b", 8, 0): {"r"}})
        for write in writes:
            model.write(write.file, write.value)
        for device in devices():
            for letter in "rwm":
                wanted = may_by_the_list(rules, *device, letter)
                assert model.may(*device, letter) == wanted, (rules, device, letter)

    check()
    # Holes in wider rules are the exception: else the test would say nothing.
    assert sum(expressed) > len(expressed) / 2


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
