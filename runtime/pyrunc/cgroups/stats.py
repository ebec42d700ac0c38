"""What a container uses, in the shape of runc's `events --stats`: its names, its order, its omissions.

Every controller is asked in the language of the hierarchy that has it; one that the container has no cgroup of counts
as unused.
"""

from __future__ import annotations

from pyrunc.cgroups import stats_v1, stats_v2
from pyrunc.cgroups.processes import processes
from pyrunc.cgroups.stats_files import UINT64_MAX, keyed, number, pressure, read_text, without_zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cgroups.place import ContainerCgroup

NO_MEMORY = {"limit": 0, "failcnt": 0}
RDMA_KEYS = {"hca_handle": "hca_handles", "hca_object": "hca_objects"}
UINT32_MAX = (1 << 32) - 1


def read_stats(cgroup: ContainerCgroup, page_sizes: Sequence[str]) -> dict[str, Any]:
    """The `data` of a stats event; `page_sizes` is layout.read_page_sizes()."""
    cpuset = cgroup.find("cpuset")
    return {
        "cpu": _cpu(cgroup),
        "cpuset": stats_v1.cpuset(cpuset.path if cpuset is not None and cpuset.version == 1 else ""),
        "memory": _memory(cgroup),
        "pids": _pids(cgroup),
        "blkio": _blkio(cgroup),
        "hugetlb": _hugetlb(cgroup, page_sizes),
        "intel_rdt": {},
        "network_interfaces": None,  # runc: only those that it made itself, which it has not done since 2015
        **without_zeros({"rdma_stats": _rdma(cgroup), "misc_stats": _misc(cgroup)}),
    }


def _cpu(cgroup: ContainerCgroup) -> dict[str, Any]:
    cpu, accounting = cgroup.find("cpu"), cgroup.find("cpuacct")
    if accounting is not None:
        usage = stats_v1.cpu_usage(accounting.path)
    else:
        # cpu.stat of version 2 counts time in any cgroup, with the controller or without.
        on_v2 = cgroup.find("")
        usage = stats_v2.cpu_usage(on_v2.path) if on_v2 is not None else {"kernel": 0, "user": 0}
    if cpu is None:
        return {"usage": usage, "throttling": {}}
    if cpu.version == 1:
        return {"usage": usage, "throttling": stats_v1.throttling(cpu.path)}
    psi = without_zeros({"psi": pressure(read_text(f"{cpu.path}/cpu.pressure"))})
    return {"usage": usage, "throttling": stats_v2.throttling(cpu.path), **psi}


def _memory(cgroup: ContainerCgroup) -> dict[str, Any]:
    joined = cgroup.find("memory")
    if joined is None:
        return dict.fromkeys(("usage", "swap", "kernel", "kernelTCP"), NO_MEMORY)
    return stats_v1.memory(joined.path) if joined.version == 1 else stats_v2.memory(joined.path)


def _pids(cgroup: ContainerCgroup) -> dict[str, Any]:
    """The same files in both versions; without the controller the processes are counted."""
    joined = cgroup.find("pids")
    current = read_text(f"{joined.path}/pids.current") if joined is not None else None
    if joined is None or current is None:
        return without_zeros({"current": len(processes(cgroup))})
    limit = number(read_text(f"{joined.path}/pids.max"))
    return without_zeros({"current": int(current), "limit": 0 if limit == UINT64_MAX else limit})


def _blkio(cgroup: ContainerCgroup) -> dict[str, Any]:
    on_v1, on_v2 = cgroup.find("blkio"), cgroup.find("io")
    if on_v1 is not None:
        return stats_v1.blkio(on_v1.path)
    return stats_v2.io(on_v2.path) if on_v2 is not None else {}


def _hugetlb(cgroup: ContainerCgroup, page_sizes: Sequence[str]) -> dict[str, Any]:
    joined = cgroup.find("hugetlb")
    if joined is None:
        return {}
    language = stats_v1.hugetlb if joined.version == 1 else stats_v2.hugetlb
    return language(joined.path, page_sizes)


def _rdma(cgroup: ContainerCgroup) -> dict[str, Any]:
    """runc prints none of these; the names are those of its library.  The same files in both versions."""
    joined = cgroup.find("rdma")
    if joined is None:
        return {}
    files = (("rdma_limit", "rdma.max"), ("rdma_current", "rdma.current"))
    return without_zeros({name: rdma_entries(read_text(f"{joined.path}/{file}")) for name, file in files})


def rdma_entries(text: str | None) -> list[dict[str, Any]]:
    """Lines `mlx4_0 hca_handle=2 hca_object=max`; no limit is 2^32-1 there."""
    found = []
    for line in (text or "").splitlines():
        device, *pairs = line.split()
        entry: dict[str, Any] = {"device": device}
        for name, _equals, value in [pair.partition("=") for pair in pairs]:
            if name in RDMA_KEYS:
                entry[RDMA_KEYS[name]] = UINT32_MAX if value == "max" else int(value)
        found.append(entry)
    return found


def _misc(cgroup: ContainerCgroup) -> dict[str, Any]:
    """What misc.current names, with how often its limit was met (Linux 5.13: encrypted virtual machines and the like).

    The controller's files of version 1 are the same.
    """
    joined = cgroup.find("misc")
    if joined is None:
        return {}
    events = keyed(read_text(f"{joined.path}/misc.events"))
    usage = keyed(read_text(f"{joined.path}/misc.current"))
    return {name: without_zeros({"usage": usage[name], "events": events.get(f"{name}.max", 0)}) for name in usage}
