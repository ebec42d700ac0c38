"""A seccomp profile read plainly, rule by rule, without any tree: the arbiter between two filters."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pyrunc.security.syscalls import ABSENT, Architecture, columns, multiplexed_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.seccomp import ArgumentRule, Seccomp, SyscallRule

# linux/seccomp.h
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
COLUMNS = columns()
MULTIPLEXED = multiplexed_calls()


def value_of(action: str, errno_ret: int | None) -> int:
    if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        return ACTIONS[action] | (errno.EPERM if errno_ret is None else errno_ret)
    return ACTIONS[action]


def holds(rule: ArgumentRule, argument: int, word: int) -> bool:
    argument, value = argument & word, rule.value & word
    if rule.op == "SCMP_CMP_MASKED_EQ":
        return argument & value == rule.value_two & value
    return {
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_LT": argument < value,
        "SCMP_CMP_LE": argument <= value,
        "SCMP_CMP_GT": argument > value,
        "SCMP_CMP_GE": argument >= value,
    }[rule.op]


def _always(rule: ArgumentRule, word: int) -> bool:
    return rule.op == "SCMP_CMP_MASKED_EQ" and rule.value & word == 0


def _alternatives(rule: SyscallRule) -> list[list[ArgumentRule]]:
    if len({a.index for a in rule.args}) < len(rule.args):
        return [[a] for a in rule.args]
    return [list(rule.args)]


def _conditions(
    rule: SyscallRule, architecture: Architecture, number: int, word: int
) -> Iterator[tuple[list[ArgumentRule], int | None]]:
    """(conditions, the code of socketcall or ipc when this is about them) for every way the rule is about a call."""
    for name in rule.names:
        if architecture.numbers[COLUMNS[name]] == number:
            for conditions in _alternatives(rule):
                yield [c for c in conditions if not _always(c, word)], None
        if architecture.multiplexed and name in MULTIPLEXED:
            parent, code = MULTIPLEXED[name]
            if architecture.numbers[COLUMNS[parent]] == number:
                for conditions in _alternatives(rule):
                    yield [c for c in conditions if c.index != 0 and not _always(c, word)], code


def possible(profile: Seccomp, architecture: Architecture, number: int, arguments: tuple[int, ...]) -> set[int]:
    """What the profile can be read to say about this call; one value, unless rules with conditions overlap."""
    default = value_of(profile.default_action, profile.default_errno_ret)
    word = (1 << architecture.bits) - 1
    number -= architecture.base
    if not 0 <= number < ABSENT and number not in architecture.numbers:
        return {default}
    found = set()
    for rule in profile.syscalls:
        value = value_of(rule.action, rule.errno_ret)
        if value == default:
            continue
        for conditions, code in _conditions(rule, architecture, number, word):
            if not conditions and code is None:
                return {value}  # the first rule without conditions beats all with conditions
            if code in (None, arguments[0] & word) and all(holds(c, arguments[c.index], word) for c in conditions):
                found.add(value)
    return found or {default}


def natives(machine: str) -> tuple[str, ...]:
    return {"x86_64": ("SCMP_ARCH_X86_64",), "aarch64": ("SCMP_ARCH_AARCH64",)}[machine]


def decisions(
    profile: Seccomp, listed: set[str], architecture: Architecture, number: int, arguments: tuple[int, ...]
) -> set[int]:
    """`possible`, and what holds for architectures that the filter does not have: the thread is killed."""
    if architecture.name in ("SCMP_ARCH_X86_64", "SCMP_ARCH_X32"):  # one audit architecture, told apart by the number
        if number < 0x40000000:
            architecture = Architecture("SCMP_ARCH_X86_64")
        elif "SCMP_ARCH_X32" in listed:
            architecture = Architecture("SCMP_ARCH_X32")
        elif number == 0xFFFFFFFF and "SCMP_ARCH_X86_64" in listed:
            return {value_of(profile.default_action, profile.default_errno_ret)}  # cancelled by a tracer
        else:
            return {ACTIONS["SCMP_ACT_KILL_THREAD"]}
    if architecture.name not in listed:
        return {ACTIONS["SCMP_ACT_KILL_THREAD"]}
    return possible(profile, architecture, number, arguments)
