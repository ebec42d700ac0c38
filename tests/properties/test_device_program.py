"""Device rules for version 2: the program, run in a simulator, decides as the list says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_lists import RULES, devices, may_by_the_list, rule
from ebpf_simulator import BadProgram, decode, may
from ocispec.resources import DeviceRule
from pyrunc.cgroups.device_program import compile_program, live
from pyrunc.cgroups.devices import DEFAULT_ALLOWED
from pyrunc.errors import ConfigError

DENY_ALL = DeviceRule(allow=False, type="a", access="rwm")
ALLOW_ALL = DeviceRule(allow=True, access="rwm")
ACCESSES = ("r", "w", "m", "rw", "rm", "wm", "rwm")


@settings(max_examples=400, deadline=None)
@given(RULES)
def test_it_decides_as_the_list_says(rules: list[DeviceRule]) -> None:
    compiled = compile_program(rules)
    program = decode(compiled) if compiled else None
    for device in devices():
        letters = {letter: may_by_the_list(rules, *device, letter) for letter in "rwm"}
        for access in ACCESSES:
            wanted = all(letters[letter] for letter in access)
            found = may(program, *device, access) if program is not None else True
            assert found == wanted, (rules, device, access)


@settings(max_examples=50, deadline=None)
@given(RULES, st.integers(0, 5), st.booleans())
def test_a_changed_rule_is_noticed(rules: list[DeviceRule], number: int, major: bool) -> None:
    """The comparison above can fail: of a program for one more rule about one more device it does."""
    more = [DENY_ALL, *rules, rule(True, f"b 8:{number} rw" if major else f"c 5:{number} rw")]
    less = [*more, DENY_ALL]
    device = ("b", 8, number) if major else ("c", 5, number)
    assert may(decode(compile_program(more)), *device, "rw")
    allowed_by_default = any(key in (device, (*device[:2], -1)) and "r" in letters for key, letters in DEFAULT_ALLOWED)
    assert may(decode(compile_program(less)), *device, "rw") == allowed_by_default


def test_without_rules_only_the_default_devices_are_allowed() -> None:
    """GHSA-g54h-m393-cpwq: an empty list is no "everything"."""
    program = decode(compile_program(()))
    assert compile_program(()) == compile_program((DENY_ALL,))
    assert may(program, "c", 1, 3, "rw")
    assert may(program, "c", 136, 7, "rw")
    assert may(program, "b", 8, 0, "m")
    assert not may(program, "b", 8, 0, "rm")
    assert not may(program, "c", 1, 1, "r")


def test_everything_needs_no_program() -> None:
    assert compile_program([ALLOW_ALL]) == b""
    assert compile_program([DENY_ALL, rule(True, "c 1:3 r"), ALLOW_ALL]) == b""
    assert compile_program([ALLOW_ALL, DENY_ALL]) == compile_program(())


def test_what_an_engine_lists_twice_is_asked_once() -> None:
    twice = [DENY_ALL, *(rule(True, f"c {numbers} rwm") for numbers in ("1:3", "1:5", "5:0", "136:*"))]
    assert compile_program(twice) == compile_program(())
    verdicts, otherwise = live([rule(True, "c 10:229 rw"), rule(False, "c 10:* r"), rule(True, "b 1:1 r")], "c")
    assert not otherwise
    assert verdicts[-1] == (True, (10, 229), 4), "the r of it was denied later"
    assert (False, (10, -1), 2) in verdicts


def test_holes_that_version_1_cannot_express() -> None:
    program = decode(compile_program([rule(True, "c 10:* rw"), rule(False, "c 10:229 w")]))
    assert may(program, "c", 10, 228, "rw")
    assert may(program, "c", 10, 229, "r")
    assert not may(program, "c", 10, 229, "w")
    assert not may(program, "c", 10, 229, "rw")  # one of the two letters is enough to refuse


def test_numbers_that_no_device_has() -> None:
    """12 bits and 20 (linux/kdev_t.h): shifted into one word they would be another device's."""
    for numbers in ("4096:0", "1:1048576", "4294967295:*", "*:4294967295"):
        assert compile_program([rule(True, f"c {numbers} rw")]) == compile_program(()), numbers
    program = decode(compile_program([rule(True, "c 4095:1048575 rw")]))
    assert may(program, "c", 4095, 1048575, "rw")
    assert not may(program, "c", 4095, 1048574, "rw")
    assert not may(program, "c", 2047, 1048575, "rw")


def test_the_length() -> None:
    """Ten instructions to begin with, one a device with all letters, three with some, four for the answers."""
    base = len(compile_program(())) // 8
    default_characters, any_mknod = 9, 2
    assert base == 10 + default_characters + any_mknod + 4 + any_mknod + 4
    assert len(compile_program([rule(True, f"c 10:{minor} rw") for minor in range(100)])) // 8 == base + 100 * 3
    assert len(compile_program([rule(True, f"c 10:{minor} rwm") for minor in range(100)])) // 8 == base + 100 * 3
    assert len(compile_program([rule(True, "c *:* rwm")])) // 8 == 10 + 2 + any_mknod + 4


def test_more_rules_than_a_jump_reaches() -> None:
    many = [rule(number % 2 == 0, f"c 10:{number} {'rw' if number % 3 else 'w'}") for number in range(10_000)]
    program = decode(compile_program(many))
    assert may(program, "c", 10, 2, "rw")
    assert not may(program, "c", 10, 1, "r")
    with pytest.raises(ConfigError, match=r"^linux\.resources\.devices: more than 10000 rules"):
        compile_program([*many, rule(True, "c 1:1 r")])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (DeviceRule(allow=True, type="c", access=""), r"devices\[1\]\.access: must be made of r, w and m, not ''"),
        (DeviceRule(allow=True, type="p", access="r"), r"devices\[1\]\.type: must be a, b or c, not p"),
    ],
)
def test_rules_that_mean_nothing(bad: DeviceRule, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        compile_program([DENY_ALL, bad])


def test_the_simulator_refuses_what_the_kernel_would() -> None:
    program = compile_program(())
    with pytest.raises(BadProgram, match="no end"):
        decode(program[:-8])
    with pytest.raises(BadProgram, match="goes"):
        decode(program[:-16])
    with pytest.raises(BadProgram, match="nothing leads to"):
        decode(program + program[-16:])
