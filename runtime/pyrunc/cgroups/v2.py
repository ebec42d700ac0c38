"""linux.resources -> files of cgroup version 2 (kernel: Documentation/admin-guide/cgroup-v2.rst).

The config speaks version 1; the conversions are runc's, so that the same config means the same on both.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT
from math import ceil, log2

from pyrunc.cgroups.v1 import burst_write
from pyrunc.cgroups.writes import Write
from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.resources import BlockIO, Cpu, HugepageLimit, Memory

PLACE = "linux.resources"
DEFAULT_PERIOD_MICROSECONDS = 100_000


def memory_writes(memory: Memory) -> Iterator[Write]:
    """Swappiness, oom killer and kernel memory have no file in version 2: ignored, as runc does."""
    place = f"{PLACE}.memory"
    swap = convert_swap(memory.limit or 0, memory.swap or 0)
    if swap is not None:
        # Without swap (or its accounting) there is nothing to forbid and nothing to allow.
        yield Write(
            "memory",
            "memory.swap.max",
            swap,
            f"{place}.swap",
            tolerate=(ENOENT,) if swap in ("0", "max") else (),
            because="no swap accounting",
        )
    if memory.limit:
        yield Write("memory", "memory.max", _or_max(memory.limit), f"{place}.limit")
    if memory.reservation:
        yield Write("memory", "memory.low", _or_max(memory.reservation), f"{place}.reservation")


def convert_swap(limit: int, swap: int) -> str | None:
    """Version 1 counts memory plus swap, version 2 swap alone; None is "leave it"."""
    if swap == 0:
        return "max" if limit == -1 else None
    if swap == -1:
        return "max"
    if limit == -1:
        return str(swap)
    if limit == 0:
        raise ConfigError(f"{PLACE}.memory.swap: unable to set swap limit without memory limit")
    if swap < limit:
        raise ConfigError(f"{PLACE}.memory.swap: memory+swap limit should be >= memory limit")
    return str(swap - limit)


def cpu_writes(cpu: Cpu) -> Iterator[Write]:
    """Real-time bandwidth has no file in version 2."""
    place = f"{PLACE}.cpu"
    if cpu.realtime_period or cpu.realtime_runtime:
        raise ConfigError(f"{place}.realtimeRuntime: cgroup version 2 has no real-time limits")
    if cpu.idle is not None:
        yield Write("cpu", "cpu.idle", str(cpu.idle), f"{place}.idle")
    if cpu.shares and not cpu.idle:  # the weight of an idle cgroup cannot be set
        yield Write("cpu", "cpu.weight", str(convert_shares(cpu.shares)), f"{place}.shares")
    if cpu.burst is not None:
        yield burst_write("cpu.max.burst", cpu.burst)
    if cpu.quota or cpu.period:
        yield Write("cpu", "cpu.max", _cpu_max(cpu.quota or 0, cpu.period or 0), f"{place}.quota", postpone=(EINVAL,))


def _cpu_max(quota: int, period: int) -> str:
    """A quota alone keeps the period of before (100 ms in a new cgroup): the kernel's rule for one number."""
    amount = str(quota) if quota > 0 else "max"
    return f"{amount} {period}" if period else amount


def convert_shares(shares: int) -> int:
    """cpu.shares 2..262144 to cpu.weight 1..10000 so that the defaults, 1024 and 100, meet.

    10 ** ((l**2 + 125 l) / 612 - 7/34), l the binary logarithm: runc since 1.3.2, crun since 1.23.  The older
    straight line made a default container's weight 39.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    logarithm = log2(shares)
    return ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612.0 - 7.0 / 34.0))


def io_writes(io: BlockIO) -> Iterator[Write]:
    """BFQ takes the weight as it is; io.weight (iocost) has another scale.  Leaf weights were CFQ's alone."""
    place = f"{PLACE}.blockIO"
    if io.weight:
        converted = Write("io", "io.weight", str(convert_io_weight(io.weight)), f"{place}.weight")
        yield Write("io", "io.bfq.weight", str(io.weight), f"{place}.weight", otherwise=converted)
    for index, device in enumerate(io.weight_device):
        if device.weight:
            value = f"{device.major}:{device.minor} {device.weight}"
            yield Write("io", "io.bfq.weight", value, f"{place}.weightDevice[{index}].weight")
    for devices, name, key in (
        (io.throttle_read_bps_device, "rbps", "throttleReadBpsDevice"),
        (io.throttle_write_bps_device, "wbps", "throttleWriteBpsDevice"),
        (io.throttle_read_iops_device, "riops", "throttleReadIOPSDevice"),
        (io.throttle_write_iops_device, "wiops", "throttleWriteIOPSDevice"),
    ):
        for index, limit in enumerate(devices):
            rate = str(limit.rate) if limit.rate else "max"  # version 1 spells "no limit" 0
            yield Write("io", "io.max", f"{limit.major}:{limit.minor} {name}={rate}", f"{place}.{key}[{index}]")


def convert_io_weight(weight: int) -> int:
    """blkio.weight 10..1000 to io.weight 1..10000."""
    return 1 + (weight - 10) * 9999 // 990


def hugetlb_writes(limit: HugepageLimit, place: str) -> Iterator[Write]:
    """The size has been compared with the host's own by now: it is part of a file name."""
    value = str(limit.limit)
    yield Write("hugetlb", f"hugetlb.{limit.page_size}.max", value, place)
    yield Write(
        "hugetlb",
        f"hugetlb.{limit.page_size}.rsvd.max",
        value,
        place,
        tolerate=(ENOENT,),
        because="no reservation limits before Linux 5.7",
    )


def unified_writes(unified: dict[str, str]) -> Iterator[Write]:
    """As they are, each line a write of its own (io.max wants that); the controller is the name up to the dot."""
    for name, value in unified.items():
        place = f"{PLACE}.unified.{name}"
        controller, dot, _rest = name.partition(".")
        if "/" in name or not controller or not dot:
            raise ConfigError(f"{place}: must be the name of a cgroup file (no slashes), such as memory.high")
        for line in value.splitlines() or ["\n"]:  # a write of nothing would not reach the kernel
            yield Write("" if controller == "cgroup" else controller, name, line, place)


def _or_max(limit: int) -> str:
    """Less than -1 is not "no limit": the kernel is to refuse it, as on version 1."""
    return "max" if limit == -1 else str(limit)
