"""What a container uses, from the files of cgroup version 1 (kernel: Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

from pyrunc.cgroups.stats_files import ids, keyed, read_number, read_text, without_zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NANOSECONDS_PER_TICK = 10_000_000  # USER_HZ is 100 on every architecture we have: time(7)
# (file without "blkio.", runc's name): the first group whose first file says something is the one.
BLKIO_GROUPS = (
    (
        ("bfq.sectors_recursive", "sectorsRecursive"),
        ("bfq.io_service_time_recursive", "ioServiceTimeRecursive"),
        ("bfq.io_wait_time_recursive", "ioWaitTimeRecursive"),
        ("bfq.io_merged_recursive", "ioMergedRecursive"),
        ("bfq.io_queued_recursive", "ioQueueRecursive"),
        ("bfq.time_recursive", "ioTimeRecursive"),
        ("bfq.io_serviced_recursive", "ioServicedRecursive"),
        ("bfq.io_service_bytes_recursive", "ioServiceBytesRecursive"),
    ),
    (
        ("bfq.io_serviced_recursive", "ioServicedRecursive"),
        ("bfq.io_service_bytes_recursive", "ioServiceBytesRecursive"),
    ),
    (
        ("throttle.io_serviced_recursive", "ioServicedRecursive"),
        ("throttle.io_service_bytes_recursive", "ioServiceBytesRecursive"),
    ),
    (("throttle.io_serviced", "ioServicedRecursive"), ("throttle.io_service_bytes", "ioServiceBytesRecursive")),
)


def cpu_usage(path: str) -> dict[str, Any]:
    """Nanoseconds; `path` is of the cpuacct controller."""
    ticks = keyed(read_text(f"{path}/cpuacct.stat"))
    kernel, user = usage_all(read_text(f"{path}/cpuacct.usage_all"))
    usage = without_zeros(
        {
            "total": read_number(f"{path}/cpuacct.usage"),
            "percpu": [int(word) for word in (read_text(f"{path}/cpuacct.usage_percpu") or "").split()],
            "percpu_kernel": kernel,
            "percpu_user": user,
        }
    )
    usage["kernel"] = ticks.get("system", 0) * NANOSECONDS_PER_TICK
    usage["user"] = ticks.get("user", 0) * NANOSECONDS_PER_TICK
    return usage


def usage_all(text: str | None) -> tuple[list[int], list[int]]:
    """(system, user) of each CPU, from a table with the heading `cpu user system`."""
    rows = [line.split() for line in (text or "").splitlines()[1:]]
    return [int(row[2]) for row in rows], [int(row[1]) for row in rows]


def throttling(path: str) -> dict[str, Any]:
    found = keyed(read_text(f"{path}/cpu.stat"))
    return without_zeros(
        {
            "periods": found.get("nr_periods", 0),
            "throttledPeriods": found.get("nr_throttled", 0),
            "throttledTime": found.get("throttled_time", 0),
        }
    )


def cpuset(path: str) -> dict[str, Any]:
    """`path` "" is none: version 2 tells nothing of this, and runc zeros."""

    def text(name: str) -> str | None:
        return read_text(f"{path}/cpuset.{name}") if path else None

    found: dict[str, Any] = without_zeros({"cpus": ids(text("cpus"))})
    found["cpu_exclusive"] = int(text("cpu_exclusive") or 0)
    found.update(without_zeros({"mems": ids(text("mems"))}))
    for name in (
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
        "sched_relax_domain_level",
    ):
        found[name] = int(text(name) or 0)
    return found


def memory(path: str) -> dict[str, Any]:
    raw = keyed(read_text(f"{path}/memory.stat"))
    return {
        **without_zeros({"cache": raw.get("cache", 0)}),
        "usage": memory_entry(path, "memory"),
        "swap": memory_entry(path, "memory.memsw"),
        "kernel": memory_entry(path, "memory.kmem"),
        "kernelTCP": memory_entry(path, "memory.kmem.tcp"),
        **without_zeros({"raw": {name: raw[name] for name in sorted(raw)}}),
    }


def memory_entry(path: str, name: str) -> dict[str, Any]:
    return {
        "limit": read_number(f"{path}/{name}.limit_in_bytes"),
        **without_zeros(
            {
                "usage": read_number(f"{path}/{name}.usage_in_bytes"),
                "max": read_number(f"{path}/{name}.max_usage_in_bytes"),
            }
        ),
        "failcnt": read_number(f"{path}/{name}.failcnt"),
    }


def blkio(path: str) -> dict[str, Any]:
    for group in BLKIO_GROUPS:
        found = {name: blkio_entries(read_text(f"{path}/blkio.{file}")) for file, name in group}
        if found[group[0][1]]:
            return in_order(found)
    return {}


def in_order(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Go prints a struct in the order of its fields."""
    names = (
        "ioServiceBytesRecursive",
        "ioServicedRecursive",
        "ioQueueRecursive",
        "ioServiceTimeRecursive",
        "ioWaitTimeRecursive",
        "ioMergedRecursive",
        "ioTimeRecursive",
        "sectorsRecursive",
    )
    return {name: found[name] for name in names if found.get(name)}


def blkio_entries(text: str | None) -> list[dict[str, Any]]:
    """Lines `8:0 Read 4096` or `8:0 4096`; the grand total at the end is left out."""
    rows = [line.replace(":", " ").split() for line in (text or "").splitlines()]
    return [
        without_zeros(
            {
                "major": int(row[0]),
                "minor": int(row[1]),
                "op": row[2] if len(row) == 4 else "",
                "value": int(row[-1]),
            }
        )
        for row in rows
        if len(row) >= 3
    ]


def hugetlb(path: str, page_sizes: Sequence[str]) -> dict[str, Any]:
    """Reservations where the kernel counts them (Linux 5.7), as runc."""
    found = {}
    for size in page_sizes:
        prefix = f"{path}/hugetlb.{size}.rsvd"
        usage = read_text(f"{prefix}.usage_in_bytes")
        if usage is None:
            prefix = f"{path}/hugetlb.{size}"
            usage = read_text(f"{prefix}.usage_in_bytes")
        if usage is not None:
            found[size] = {
                **without_zeros({"usage": int(usage), "max": read_number(f"{prefix}.max_usage_in_bytes")}),
                "failcnt": read_number(f"{prefix}.failcnt"),
            }
    return found
