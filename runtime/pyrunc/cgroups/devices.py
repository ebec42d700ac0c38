"""linux.resources.devices: what a list of rules comes to, and how version 1 is told (version 2: device_program.py).

The rules are applied in the listed order to "deny everything"; what the runtime itself promises (the default devices)
comes last, as in runc.  The kernel's own devices.deny removes only an exception spelled the same, so `allow c 1:3` and
then `deny c *:*` would leave 1:3 allowed: the list is worked out here and the result is written; where there are
rules before us, what it changes (device_transition.py).
"""

from __future__ import annotations

from pyrunc.cgroups.writes import Write
from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.resources import DeviceRule

    Key = tuple[str, int, int]  # ("c", 1, 3); ANY for a wildcard
    Exceptions = dict[Key, str]  # -> "rwm", a part of it, in that order

ANY = -1
EVERYTHING = "rwm"
WHOLE_KINDS = (("c", ANY, ANY), ("b", ANY, ANY))
PLACE = "linux.resources.devices"

# runc's list: mknod of anything (a node that may not be opened harms nobody), the devices of
# config-linux.md#default-devices, every pty, the ptmx of the container's devpts, and tun.
DEFAULT_ALLOWED: tuple[tuple[Key, str], ...] = (
    (("c", ANY, ANY), "m"),
    (("b", ANY, ANY), "m"),
    (("c", 1, 3), EVERYTHING),  # null
    (("c", 1, 8), EVERYTHING),  # random
    (("c", 1, 7), EVERYTHING),  # full
    (("c", 5, 0), EVERYTHING),  # tty
    (("c", 1, 5), EVERYTHING),  # zero
    (("c", 1, 9), EVERYTHING),  # urandom
    (("c", 136, ANY), EVERYTHING),  # pts/*
    (("c", 5, 2), EVERYTHING),  # ptmx
    (("c", 10, 200), EVERYTHING),  # net/tun
)


class DeviceAccess:
    """A default and its exceptions: what either cgroup version can express (v1: its two modes)."""

    __slots__ = ("allow", "exceptions")

    def __init__(self, *, allow: bool, exceptions: Exceptions) -> None:
        self.allow = allow
        self.exceptions = exceptions


class _Hole(Exception):
    """The rule cuts a hole into a wider exception of the opposite sense."""


def work_out(rules: Sequence[DeviceRule]) -> DeviceAccess:
    """The rules of the config and then the default list.  ConfigError for a rule that cannot be expressed.

    After `allow a` there are two ways to say the same: everything but …, or all of c and b and then exceptions.
    The second takes what the first cannot (deny c *:*, then allow c 1:3).
    """
    check_rules(rules)
    try:
        return _replay(rules, keeps_allowing=True)
    except _Hole:
        pass
    try:
        return _replay(rules, keeps_allowing=False)
    except _Hole as hole:
        raise ConfigError(f"{hole}: denies a part of what a wider rule before it allows") from None


def v1_writes(rules: Sequence[DeviceRule]) -> Iterator[Write]:
    """For a cgroup without children: first everything, then the exceptions, each on its own as the files want it."""
    access = work_out(rules)
    first, then = ("devices.allow", "devices.deny") if access.allow else ("devices.deny", "devices.allow")
    yield Write("devices", first, "a", PLACE)
    for key, letters in access.exceptions.items():
        yield Write("devices", then, spell(key, letters), PLACE)


def denials(rules: Sequence[DeviceRule]) -> tuple[str, ...]:
    """What is denied where all else is allowed, spelled: version 1 keeps it to itself, systemd has no words for it."""
    access = work_out(rules)
    return tuple(spell(key, letters) for key, letters in access.exceptions.items()) if access.allow else ()


def spell(key: Key, letters: str) -> str:
    """`c 136:* rwm`."""
    kind, major, minor = key
    return f"{kind} {'*' if major == ANY else major}:{'*' if minor == ANY else minor} {letters}"


def check_rules(rules: Sequence[DeviceRule]) -> None:
    """Raises ConfigError for a rule that means nothing."""
    for rule, place in zip(rules, _places(len(rules)), strict=True):
        _check(rule, place)


def _places(count: int) -> list[str]:
    return [f"{PLACE}[{index}]" for index in range(count)]


def _check(rule: DeviceRule, place: str) -> None:
    if rule.type not in ("", "a", "b", "c"):
        raise ConfigError(f"{place}.type: must be a, b or c, not {rule.type}")
    if not rule.access or not set(rule.access) <= set(EVERYTHING):
        raise ConfigError(f"{place}.access: must be made of r, w and m, not {rule.access!r}")


def _replay(rules: Sequence[DeviceRule], *, keeps_allowing: bool) -> DeviceAccess:
    access = DeviceAccess(allow=False, exceptions={})
    for rule, place in zip(rules, _places(len(rules)), strict=True):
        major = ANY if rule.major is None else rule.major
        minor = ANY if rule.minor is None else rule.minor
        kinds = ("c", "b") if rule.type in ("", "a") else (rule.type,)
        letters = ordered(set(rule.access))
        if len(kinds) == 2 and (major, minor, letters) == (ANY, ANY, EVERYTHING):
            access.allow = rule.allow and keeps_allowing
            access.exceptions = dict.fromkeys(WHOLE_KINDS, EVERYTHING) if rule.allow and not keeps_allowing else {}
            continue
        for kind in kinds:
            _apply(access, (kind, major, minor), letters, place, allow=rule.allow)
    for key, letters in DEFAULT_ALLOWED:
        _apply(access, key, letters, f"{PLACE}: the default devices", allow=True)
    return access


def _apply(access: DeviceAccess, key: Key, letters: str, place: str, *, allow: bool) -> None:
    """One rule: against the default it adds an exception, with the default it takes exceptions away."""
    exceptions = access.exceptions
    if allow != access.allow:
        exceptions[key] = ordered(set(exceptions.get(key, "")) | set(letters))
        return
    for other in list(exceptions):
        if _covers(key, other):
            left = set(exceptions[other]) - set(letters)
            if left:
                exceptions[other] = ordered(left)
            else:
                del exceptions[other]
        elif _overlaps(key, other) and set(exceptions[other]) & set(letters):
            raise _Hole(place)


def _covers(wide: Key, narrow: Key) -> bool:
    return wide[0] == narrow[0] and all(w in (ANY, n) for w, n in zip(wide[1:], narrow[1:], strict=True))


def _overlaps(one: Key, other: Key) -> bool:
    return one[0] == other[0] and all(a == b or ANY in (a, b) for a, b in zip(one[1:], other[1:], strict=True))


def ordered(letters: set[str]) -> str:
    """A part of `rwm`, as the kernel lists it."""
    return "".join(letter for letter in EVERYTHING if letter in letters)
