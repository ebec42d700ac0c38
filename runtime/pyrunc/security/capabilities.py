"""The five capability sets: capabilities(7).

`resolve` turns names into masks (pure); the emitters apply them.  Bounding first, while CAP_SETPCAP is there; the rest
after the ids have changed.
"""

from __future__ import annotations

from _struct import Struct

from ocispec.record import Record
from pyrunc.kernel.constants import (
    _LINUX_CAPABILITY_VERSION_3,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
)
from pyrunc.kernel.host import ALL_CAPABILITIES
from pyrunc.security.capability_names import CAPABILITY_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocispec.config import Capabilities
    from pyrunc.program.builder import Program

_NUMBERS = {name: number for number, name in enumerate(CAPABILITY_NAMES)}
_HEADER = Struct("<Ii")  # version, pid (0: ourselves): capget(2)
_DATA = Struct("<6I")  # effective, permitted, inheritable of the low 32, then of the high 32: capget(2)
CAP_SYS_ADMIN = 1 << _NUMBERS["CAP_SYS_ADMIN"]


class CapabilitySets(Record):
    """Masks: capability n is bit n.  `ambient` has only what the kernel will accept; `warnings` say what it lacks."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0
    warnings: tuple[str, ...] = ()


def resolve(
    capabilities: Capabilities | None, last_capability: int, available: int = ALL_CAPABILITIES
) -> CapabilitySets:
    """Masks of what this kernel (up to `last_capability`) has; without `capabilities` nothing at all, as runc does.

    What is not `available` cannot be granted: a warning, and the container does without (config.md#linux-process).
    Inheritable stays what config.json says: never filled up from the others (CVE-2022-29162).
    """
    if capabilities is None:
        return CapabilitySets()
    unknown: list[str] = []

    def mask(names: Iterable[str]) -> int:
        found = 0
        for name in names:
            number = _NUMBERS.get(name)
            if number is None or number > last_capability or not available >> number & 1:
                if name not in unknown:
                    unknown.append(name)
            else:
                found |= 1 << number
        return found

    bounding, effective = mask(capabilities.bounding), mask(capabilities.effective)
    permitted, inheritable = mask(capabilities.permitted), mask(capabilities.inheritable)
    ambient = mask(capabilities.ambient)
    warnings: list[str] = []
    if unknown:
        warnings.append(f"ignoring unknown or unavailable capabilities: [{' '.join(sorted(unknown))}]")
    # PR_CAP_AMBIENT(2const): only what is both permitted and inheritable can be raised.  Known before, so said before.
    refused = ambient & ~(permitted & inheritable)
    warnings += [f"can't raise ambient capability {name}: operation not permitted" for name in names_of(refused)]
    return CapabilitySets(
        bounding=bounding,
        effective=effective,
        permitted=permitted,
        inheritable=inheritable,
        ambient=ambient & ~refused,
        warnings=tuple(warnings),
    )


def names_of(mask: int) -> tuple[str, ...]:
    """The names of a mask's capabilities, lowest number first."""
    return tuple(name for number, name in enumerate(CAPABILITY_NAMES) if mask >> number & 1)


def emit_bounding(p: Program, sets: CapabilitySets, last_capability: int) -> None:
    """Drop from the bounding set what is not in it.  Needs CAP_SETPCAP."""
    with p.at("process.capabilities", "bounding"):
        for number in range(last_capability + 1):
            if not sets.bounding >> number & 1:
                name = CAPABILITY_NAMES[number] if number < len(CAPABILITY_NAMES) else f"capability {number}"
                p.call("prctl", PR_CAPBSET_DROP, number, doing=f"drop {name}")


def emit_sets(p: Program, sets: CapabilitySets, *, kept: int = 0) -> None:
    """capset(2) of effective, permitted and inheritable; `kept` stays effective and permitted besides."""
    effective, permitted, inheritable = sets.effective | kept, sets.permitted | kept, sets.inheritable
    low = (1 << 32) - 1
    data = _DATA.pack(
        effective & low, permitted & low, inheritable & low, effective >> 32, permitted >> 32, inheritable >> 32
    )
    header = p.constant(_HEADER.pack(_LINUX_CAPABILITY_VERSION_3, 0))
    with p.at("process.capabilities"):
        p.call("capset", header, p.constant(data), doing="set the capabilities")


def emit_ambient(p: Program, sets: CapabilitySets) -> None:
    """After `emit_sets`: only what is permitted and inheritable can be raised."""
    with p.at("process.capabilities", "ambient"):
        p.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, doing="clear")
        for number, name in enumerate(CAPABILITY_NAMES):
            if sets.ambient >> number & 1:
                p.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0, doing=f"raise {name}")
