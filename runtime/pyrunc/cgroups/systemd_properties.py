"""linux.resources, annotations -> the properties of a unit: systemd.resource-control(5), org.freedesktop.systemd1(5).

systemd must know the limits and the devices: with the next daemon-reload it writes what it knows.  What it has no
property for, or rounds, is written to the files as without it.  A property is (name, (signature, value)).
"""

from __future__ import annotations

from pyrunc.cgroups.devices import ANY, EVERYTHING, WHOLE_KINDS, work_out
from pyrunc.cgroups.v2 import convert_io_weight, convert_shares, convert_swap
from pyrunc.cgroups.variant_text import parse_variant
from pyrunc.errors import ConfigError, during
from pyrunc.kernel.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ocispec.resources import Cpu, DeviceRule, Memory, Resources
    from pyrunc.cgroups.systemd_names import ScopeName

    Property = tuple[str, tuple[str, Any]]

INFINITY = (1 << 64) - 1
ANNOTATION = "org.systemd.property."
DEFAULT_PERIOD = 100_000  # microseconds
# systemd keeps a percentage of a CPU: rounded up to it, so that the container may set what it was promised.
_PERCENT = 10_000
_MICROSECONDS = 1_000_000
# The version of systemd that a scope's property came with: its NEWS.  An older one refuses the whole unit for it.
SINCE = {
    "CPUQuotaPeriodUSec": 242,
    "AllowedCPUs": 244,
    "AllowedMemoryNodes": 244,
    "OOMPolicy": 253,  # of services it is older
    "MemoryZSwapMax": 253,
}
# What SetUnitProperties refuses, with all else in the call: bus_scope_set_property() of systemd.
AT_START = ("OOMPolicy",)
IDLE = ("CPUWeight", ("t", 0))  # CGROUP_WEIGHT_IDLE, "CPUWeight=idle"
IDLE_SINCE = 252
IO_WEIGHTS = range(10, 1001)
_NODES = {"c": "char", "b": "block"}
_MOST_CPUS = 8192


def scope_properties(scope: ScopeName) -> Iterator[Property]:
    """What makes it a container's scope: runc's list.

    And its policy: one process that was killed for memory is the container's business, no reason to stop the scope
    (systemd.scope(5), since 253).
    """
    yield "Description", ("s", f"libcontainer container {scope.name}")
    yield "Slice", ("s", scope.slice)
    yield "Delegate", ("b", True)
    for controller in ("Memory", "CPU", "IO", "Tasks"):
        yield f"{controller}Accounting", ("b", True)
    yield "DefaultDependencies", ("b", False)
    yield "OOMPolicy", ("s", "continue")


def since(wanted: Property) -> int:
    """The first version of systemd that takes it; 0: all that we know of."""
    return IDLE_SINCE if wanted == IDLE else SINCE.get(wanted[0], 0)


def parse_version(text: str) -> int:
    """The manager's property Version: `252.38-1~deb12u1`, `v255-rc1`, `239 (239-82.el8)`; 0 for what is no version."""
    digits = text.removeprefix("v")
    rest = digits.lstrip("0123456789")
    return int(digits[: len(digits) - len(rest)] or 0)


def limit_properties(resources: Resources | None, *, only_v2: bool) -> Iterator[Property]:
    """The limits that systemd has properties for."""
    if resources is None:
        return
    if resources.memory is not None:
        yield from (_memory if only_v2 else _memory_v1)(resources.memory)
    if resources.cpu is not None:
        yield from _cpu(resources.cpu, only_v2=only_v2)
    if resources.pids is not None and resources.pids.limit is not None:
        yield "TasksMax", ("t", _amount(resources.pids.limit or 1))  # 0 as it is written: v1.pids_writes
    weight = resources.block_io.weight if resources.block_io is not None else None
    if weight and not only_v2:
        yield "BlockIOWeight", ("t", weight)
    elif weight is not None and weight in IO_WEIGHTS:  # another is refused by the file
        yield "IOWeight", ("t", convert_io_weight(weight))
    yield from _unified(resources.unified or {})


def _memory(memory: Memory) -> Iterator[Property]:
    if memory.limit:
        yield "MemoryMax", ("t", _amount(memory.limit))
    if memory.reservation:
        yield "MemoryLow", ("t", _amount(memory.reservation))
    swap = convert_swap(memory.limit or 0, memory.swap or 0)
    if swap is not None:
        yield "MemorySwapMax", ("t", _number(swap))


def _memory_v1(memory: Memory) -> Iterator[Property]:
    if memory.limit:
        yield "MemoryLimit", ("t", _amount(memory.limit))


def _cpu(cpu: Cpu, *, only_v2: bool) -> Iterator[Property]:
    if only_v2 and cpu.idle:
        yield IDLE
    elif cpu.shares:
        yield ("CPUWeight", ("t", convert_shares(cpu.shares))) if only_v2 else ("CPUShares", ("t", cpu.shares))
    yield from _quota(cpu.quota or 0, cpu.period or 0)
    if only_v2:  # systemd has no cpuset on version 1
        for name, cpus in (("AllowedCPUs", cpu.cpus), ("AllowedMemoryNodes", cpu.mems)):
            if cpus:
                yield name, ("ay", bit_mask(cpus))


def weight_property(cpu: Cpu, path: str) -> Iterator[Property]:
    """For one that is idle no more: systemd would make it so again.  `path` is that of the cpu controller."""
    if not cpu.shares:
        with during(f"read {path}/cpu.weight"):
            yield "CPUWeight", ("t", int(read_file(f"{path}/cpu.weight")))


def _quota(quota: int, period: int) -> Iterator[Property]:
    if period:
        yield "CPUQuotaPeriodUSec", ("t", period)
    if quota or period:
        amount = INFINITY
        if quota > 0:
            amount = -(-quota * _MICROSECONDS // (period or DEFAULT_PERIOD) // _PERCENT) * _PERCENT
        yield "CPUQuotaPerSecUSec", ("t", amount)


def _unified(unified: Mapping[str, str]) -> Iterator[Property]:
    """Those files of version 2 that have a property; the others are only written."""
    for file, name in (
        ("memory.high", "MemoryHigh"),
        ("memory.low", "MemoryLow"),
        ("memory.min", "MemoryMin"),
        ("memory.max", "MemoryMax"),
        ("memory.swap.max", "MemorySwapMax"),
        ("memory.zswap.max", "MemoryZSwapMax"),
        ("pids.max", "TasksMax"),
        ("cpu.weight", "CPUWeight"),
    ):
        if file in unified:
            yield name, ("t", _unified_number(file, unified[file]))
    if unified.get("cpu.idle", "").strip() == "1":
        yield IDLE
    if "memory.oom.group" in unified:
        yield "OOMPolicy", ("s", "kill" if unified["memory.oom.group"].strip() == "1" else "continue")
    for file, name in (("cpuset.cpus", "AllowedCPUs"), ("cpuset.mems", "AllowedMemoryNodes")):
        if unified.get(file, "").strip():
            yield name, ("ay", bit_mask(unified[file].strip()))
    if "cpu.max" in unified:
        words = unified["cpu.max"].split() or ["max"]
        period = _unified_number("cpu.max", words[1]) if len(words) > 1 else 0
        yield from _quota(-1 if words[0] == "max" else _unified_number("cpu.max", words[0]), period)


def _unified_number(file: str, text: str) -> int:
    try:
        return _number(text.strip())
    except ValueError:
        raise ConfigError(f"linux.resources.unified.{file}: {text!r} is neither a number nor max") from None


def _number(text: str) -> int:
    value = INFINITY if text == "max" else int(text)
    if not 0 <= value <= INFINITY:
        raise ValueError
    return value


def _amount(limit: int) -> int:
    return INFINITY if limit < 0 else limit


def bit_mask(cpus: str) -> bytes:
    """`0-3,7` as systemd takes it: bit n of byte n // 8."""
    bits = 0
    for part in cpus.split(","):
        first, dash, last = part.strip().partition("-")
        digits = (first, last) if dash else (first, first)
        if not all(one.isascii() and one.isdigit() and int(one) < _MOST_CPUS for one in digits):
            raise ConfigError(f"linux.resources.cpu: {cpus!r} is not a list such as 0-3,7")
        low, high = int(digits[0]), int(digits[1])
        if low > high:
            raise ConfigError(f"linux.resources.cpu: {cpus!r} is not a list such as 0-3,7")
        bits |= (1 << high + 1) - (1 << low)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def device_properties(rules: Sequence[DeviceRule]) -> Iterator[Property]:
    """The rules as an allow list; systemd has no other, so what is "all but" is left to the rules that are written."""
    access = work_out(rules)
    if access.allow:
        yield "DevicePolicy", ("s", "auto")
        yield "DeviceAllow", ("a(ss)", [])
        return
    entries = []
    for (kind, major, minor), letters in access.exceptions.items():
        if (kind, major, minor) in WHOLE_KINDS:
            entries.append((f"{_NODES[kind]}-*", letters))
        elif major == ANY:
            continue  # any major with one minor: no words for that in systemd.resource-control(5)
        elif minor == ANY:
            entries.append((f"{_NODES[kind]}-{major}", letters))
        else:
            entries.append((f"/dev/{_NODES[kind]}/{major}:{minor}", letters))
    yield "DevicePolicy", ("s", "strict")
    yield "DeviceAllow", ("a(ss)", sorted(entries, key=lambda entry: EVERYTHING.index(entry[1][0])))


def annotation_properties(annotations: Mapping[str, str]) -> Iterator[Property]:
    """`org.systemd.property.X`: systemd's own names, and seconds (`TimeoutStopSec`) for what it keeps in microseconds.

    Raises ConfigError for what is no property's name or value.
    """
    for key, text in annotations.items():
        if not key.startswith(ANNOTATION):
            continue
        name = key[len(ANNOTATION) :]
        place = f"annotations: {key}"
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise ConfigError(f"{place}: {name!r} is not the name of a property")
        try:
            signature, value = parse_variant(text)
        except ConfigError as error:
            error.trail.insert(0, place)
            raise
        if name.endswith("Sec") and not name.endswith("USec"):
            if signature not in "iuxtd" or not 0 <= value <= INFINITY // _MICROSECONDS:
                raise ConfigError(f"{place}: {text!r} is not a number of seconds")
            name, signature, value = f"{name[:-3]}USec", "t", int(value * _MICROSECONDS)
        if "d" in signature:
            raise ConfigError(f"{place}: no property of a unit is a fraction: {text}")
        yield name, (signature, value)
