"""What a container uses, from the files of cgroup version 2, under the names of version 1.

Kernel: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from pyrunc.cgroups.stats_files import (
    UINT64_MAX,
    keyed,
    number,
    pressure,
    read_number,
    read_text,
    without_zeros,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NANOSECONDS_PER_MICROSECOND = 1000
# Version 1 has no names for what is discarded.
IO_KEYS = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
    # blk-iocost, in microseconds; runc prints none of these
    "cost.usage": ("ioCostUsage", "Count"),
    "cost.wait": ("ioCostWait", "Count"),
    "cost.indebt": ("ioCostIndebt", "Count"),
    "cost.indelay": ("ioCostIndelay", "Count"),
}


def cpu_usage(path: str) -> dict[str, Any]:
    found = keyed(read_text(f"{path}/cpu.stat"))
    return {
        **without_zeros({"total": found.get("usage_usec", 0) * NANOSECONDS_PER_MICROSECOND}),
        "kernel": found.get("system_usec", 0) * NANOSECONDS_PER_MICROSECOND,
        "user": found.get("user_usec", 0) * NANOSECONDS_PER_MICROSECOND,
    }


def throttling(path: str) -> dict[str, Any]:
    found = keyed(read_text(f"{path}/cpu.stat"))
    return without_zeros(
        {
            "periods": found.get("nr_periods", 0),
            "throttledPeriods": found.get("nr_throttled", 0),
            "throttledTime": found.get("throttled_usec", 0) * NANOSECONDS_PER_MICROSECOND,
        }
    )


def memory(path: str) -> dict[str, Any]:
    raw = keyed(read_text(f"{path}/memory.stat"))
    usage = memory_entry(path, "memory")
    return {
        **without_zeros({"cache": raw.get("file", 0)}),
        "usage": usage,
        "swap": combined(usage, memory_entry(path, "memory.swap")),
        "kernel": {"limit": 0, "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 0},
        **without_zeros(
            {
                "raw": {name: raw[name] for name in sorted(raw)},
                "psi": pressure(read_text(f"{path}/memory.pressure")),
            }
        ),
    }


def memory_entry(path: str, name: str) -> dict[str, Any]:
    return {
        "limit": read_number(f"{path}/{name}.max"),
        **without_zeros({"usage": read_number(f"{path}/{name}.current"), "max": read_number(f"{path}/{name}.peak")}),
        "failcnt": 0,
    }


def combined(usage: dict[str, Any], swap: dict[str, Any]) -> dict[str, Any]:
    """Version 1 counts memory and swap together; two peaks cannot be added."""
    return {
        "limit": min(swap["limit"] + usage["limit"], UINT64_MAX),
        **without_zeros({"usage": swap.get("usage", 0) + usage.get("usage", 0)}),
        "failcnt": 0,
    }


def io(path: str) -> dict[str, Any]:
    found = io_entries(read_text(f"{path}/io.stat"))
    return {**found, **without_zeros({"psi": pressure(read_text(f"{path}/io.pressure"))})}


def io_entries(text: str | None) -> dict[str, Any]:
    """Lines `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`."""
    found: dict[str, Any] = {name: [] for name, _operation in IO_KEYS.values()}
    for line in (text or "").splitlines():
        device, *pairs = line.split()
        major, _colon, minor = device.partition(":")
        for key, _equals, value in [pair.partition("=") for pair in pairs]:
            if key in IO_KEYS:
                name, operation = IO_KEYS[key]
                entry = {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
                found[name].append(without_zeros(entry))
    return without_zeros(found)


def hugetlb(path: str, page_sizes: Sequence[str]) -> dict[str, Any]:
    """Reservations where the kernel counts them (Linux 5.7), as runc."""
    found = {}
    for size in page_sizes:
        usage = read_text(f"{path}/hugetlb.{size}.rsvd.current") or read_text(f"{path}/hugetlb.{size}.current")
        if usage is not None:
            failed = keyed(read_text(f"{path}/hugetlb.{size}.events")).get("max", 0)
            found[size] = {**without_zeros({"usage": number(usage)}), "failcnt": failed}
    return found
