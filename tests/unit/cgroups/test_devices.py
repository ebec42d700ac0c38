"""Device rules: what they come to, and what version 1 then says, over a model of the kernel's devices controller."""

from __future__ import annotations

import pytest

from device_lists import rule
from devices_controller import with_rules
from ocispec.resources import DeviceRule
from pyrunc.cgroups.devices import ANY, DEFAULT_ALLOWED, spell, v1_writes, work_out
from pyrunc.errors import ConfigError

DEFAULT_LINES = [spell(key, letters) for key, letters in DEFAULT_ALLOWED]
DENY_ALL = DeviceRule(allow=False, type="a", access="rwm")
ALLOW_ALL = DeviceRule(allow=True, access="rwm")


def written(*rules: DeviceRule) -> list[str]:
    return [f"{write.file.removeprefix('devices.')} {write.value}" for write in v1_writes(rules)]


def test_without_rules_only_the_default_devices_are_allowed() -> None:
    """GHSA-g54h-m393-cpwq: an empty list is no "everything"."""
    assert written() == ["deny a", *(f"allow {line}" for line in DEFAULT_LINES)]
    assert written(DENY_ALL) == written()


def test_the_default_list_is_runc_s() -> None:
    assert sorted(DEFAULT_LINES) == [
        "b *:* m",
        "c *:* m",
        "c 10:200 rwm",
        "c 136:* rwm",
        "c 1:3 rwm",
        "c 1:5 rwm",
        "c 1:7 rwm",
        "c 1:8 rwm",
        "c 1:9 rwm",
        "c 5:0 rwm",
        "c 5:2 rwm",
    ]


def test_rules_come_in_the_listed_order_and_before_the_default_ones() -> None:
    """runtime-tools' linux_cgroups_devices compares devices.list by position."""
    lines = written(DENY_ALL, rule(True, "c 10:229 rwm"), rule(True, "b 8:20 rw"), rule(True, "b 10:200 r"))
    assert lines == [
        "deny a",
        "allow c 10:229 rwm",
        "allow b 8:20 rw",
        "allow b 10:200 r",
        *(f"allow {line}" for line in DEFAULT_LINES),
    ]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([ALLOW_ALL], ["allow a"]),
        ([rule(True, "c 1:3 rwm"), ALLOW_ALL], ["allow a"]),
        ([ALLOW_ALL, rule(False, "b 8:* rw")], ["allow a", "deny b 8:* rw"]),
        ([ALLOW_ALL, rule(False, "b 8:* rwm")], ["allow a", "deny b 8:* rw"]),
        ([ALLOW_ALL, rule(False, "b *:* rwm")], ["allow a", "deny b *:* rw"]),
        ([ALLOW_ALL, DENY_ALL], written()),
        ([rule(True, "b 8:0 rw"), rule(False, "b 8:0 w")], ["deny a", "allow b 8:0 r", *written()[1:]]),
        ([rule(True, "b 8:0 rw"), rule(False, "b *:* rw")], written()),
        ([rule(True, "b 8:0 r"), rule(True, "b 8:0 w")], ["deny a", "allow b 8:0 rw", *written()[1:]]),
    ],
)
def test_what_lists_come_to(rules: list[DeviceRule], expected: list[str]) -> None:
    assert written(*rules) == expected


def test_a_hole_in_a_denied_range_is_said_the_other_way_round() -> None:
    lines = written(ALLOW_ALL, rule(False, "c *:* rwm"), rule(True, "c 7:7 rw"))
    assert lines[:3] == ["deny a", "allow b *:* rwm", "allow c 7:7 rw"]
    assert set(lines[3:]) == {f"allow {line}" for line in DEFAULT_LINES if line != "b *:* m"}


def test_what_cannot_be_expressed_is_an_error_and_no_silent_hole() -> None:
    with pytest.raises(ConfigError, match=r"^linux\.resources\.devices\[1\]: denies a part of what a wider rule"):
        work_out([rule(True, "c 10:* rw"), rule(False, "c 10:200 w")])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (DeviceRule(allow=True, type="c", access=""), r"devices\[1\]\.access: must be made of r, w and m, not ''"),
        (DeviceRule(allow=True, type="c", access="rx"), r"devices\[1\]\.access: must be made of r, w and m, not 'rx'"),
        (DeviceRule(allow=True, type="p", access="r"), r"devices\[1\]\.type: must be a, b or c, not p"),
    ],
)
def test_rules_that_mean_nothing(bad: DeviceRule, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        work_out([DENY_ALL, bad])


def test_the_kernel_then_decides_as_the_list_says() -> None:
    """One list; tests/properties has the random ones."""
    model = with_rules([ALLOW_ALL, rule(False, "b 8:* rw")])
    assert model.may("c", 10, 229, "w")
    assert [model.may("b", 8, 0, letter) for letter in "rwm"] == [False, False, True]
    assert model.may("b", 9, 0, "w")


def test_the_file_takes_one_spelling() -> None:
    assert spell(("c", 136, ANY), "rwm") == "c 136:* rwm"
    assert spell(("b", ANY, ANY), "m") == "b *:* m"
