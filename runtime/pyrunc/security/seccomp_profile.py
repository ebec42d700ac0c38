"""`linux.seccomp` as rules: columns of system calls, the value to return, conditions.

Nothing here depends on the architecture.
"""

from __future__ import annotations

from errno import EPERM

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS,
    SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_LOG,
    SECCOMP_RET_TRACE,
    SECCOMP_RET_TRAP,
    SECCOMP_RET_USER_NOTIF,
)
from pyrunc.security.bpf import AT_LEAST, EQUAL, GREATER
from pyrunc.security.syscalls import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.seccomp import ArgumentRule, Seccomp
    from pyrunc.security.bpf import Condition

ACTIONS = {
    "SCMP_ACT_KILL": SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": SECCOMP_RET_KILL_PROCESS,
    "SCMP_ACT_TRAP": SECCOMP_RET_TRAP,
    "SCMP_ACT_ERRNO": SECCOMP_RET_ERRNO,
    "SCMP_ACT_TRACE": SECCOMP_RET_TRACE,
    "SCMP_ACT_ALLOW": SECCOMP_RET_ALLOW,
    "SCMP_ACT_LOG": SECCOMP_RET_LOG,
    "SCMP_ACT_NOTIFY": SECCOMP_RET_USER_NOTIF,
}
# errnoRet goes with these only, and is EPERM when absent; the kernel returns no errno above MAX_ERRNO (linux/err.h)
_WITH_DATA = {"SCMP_ACT_ERRNO": 4095, "SCMP_ACT_TRACE": 0xFFFF}
# Not a refusal: a tracer that emulates calls must see the new ones too
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")

# operator -> (test, negated)
OPERATORS = {
    "SCMP_CMP_EQ": (EQUAL, False),
    "SCMP_CMP_NE": (EQUAL, True),
    "SCMP_CMP_MASKED_EQ": (EQUAL, False),
    "SCMP_CMP_GE": (AT_LEAST, False),
    "SCMP_CMP_LT": (AT_LEAST, True),
    "SCMP_CMP_GT": (GREATER, False),
    "SCMP_CMP_LE": (GREATER, True),
}
_ALL_BITS = (1 << 64) - 1


class Rule:
    """One rule for several system calls: their columns, the action, and its alternatives (empty: no conditions)."""

    __slots__ = ("action", "alternatives", "columns")

    def __init__(self, columns: list[int], action: int, alternatives: tuple[tuple[Condition, ...], ...]) -> None:
        self.columns = columns
        self.action = action
        self.alternatives = alternatives


class Profile:
    """What does not depend on the architecture."""

    __slots__ = ("default", "known", "named", "newer_is_enosys", "rules", "warnings")

    def __init__(self, seccomp: Seccomp, newer_is_enosys: bool) -> None:
        self.default = _action(seccomp.default_action, seccomp.default_errno_ret, "defaultAction", "defaultErrnoRet")
        self.newer_is_enosys = newer_is_enosys and seccomp.default_action not in _PERMISSIVE
        self.known = columns()
        self.named: list[int] = []  # the column of every call the profile mentions
        self.warnings: list[str] = []
        self.rules: list[Rule] = []
        for index, rule in enumerate(seccomp.syscalls):
            place = f"syscalls[{index}]"
            action = _action(rule.action, rule.errno_ret, f"{place}.action", f"{place}.errnoRet")
            found = self._find(rule.names)
            self.named += found
            if action == self.default:
                self.warnings.append(f"linux.seccomp.{place} does what the default action does")
            else:
                self.rules.append(Rule(found, action, _combined(rule.args)))

    def _find(self, names: Sequence[str]) -> list[int]:
        known = self.known
        try:
            return [known[name] for name in names]
        except KeyError:
            self.warnings += [f'unknown seccomp syscall "{name}" ignored' for name in names if name not in known]
            return [known[name] for name in names if name in known]


def _action(word: str, errno: int | None, place: str, errno_place: str) -> int:
    """SCMP_ACT_* -> the value a filter returns."""
    value = ACTIONS.get(word)
    if value is None:
        raise ConfigError(f"linux.seccomp.{place}: unknown action {word}")
    limit = _WITH_DATA.get(word)
    if limit is None:
        if errno is not None:  # runtime-spec: "the runtime MUST generate an error"
            raise ConfigError(f"linux.seccomp.{errno_place}: {word} takes no errno")
        return value
    if errno is None:
        return value | EPERM
    if not 0 <= errno <= limit:
        raise ConfigError(f"linux.seccomp.{errno_place}: must be between 0 and {limit}, not {errno}")
    return value | errno


def _combined(arguments: Sequence[ArgumentRule]) -> tuple[tuple[Condition, ...], ...]:
    """The alternatives of one rule: each is conditions that must all hold."""
    if not arguments:
        return ()
    conditions = sorted(_condition(argument) for argument in arguments)
    if len({condition[0] for condition in conditions}) < len(conditions):
        return tuple((condition,) for condition in conditions)
    return (tuple(conditions),)


def _condition(argument: ArgumentRule) -> Condition:
    test, negated = OPERATORS[argument.op]
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return argument.index, test, negated, argument.value, argument.value & argument.value_two
    return argument.index, test, negated, _ALL_BITS, argument.value
