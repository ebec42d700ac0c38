"""linux.resources -> files of cgroup version 1 (kernel: Documentation/admin-guide/cgroup-v1).

As in runc, 0 and "" mean "leave it" for memory, cpu, cpuset and block I/O: engines write them for "not set".
"""

from __future__ import annotations

from errno import EINVAL, ENOENT, EOPNOTSUPP

from pyrunc.cgroups.writes import Write
from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.resources import BlockIO, Cpu, HugepageLimit, Memory, Network, Pids

PLACE = "linux.resources"
# MIN_SHARES and MAX_SHARES of the kernel's kernel/sched/sched.h: it clamps without a word, runc refuses.
SHARES = (2, 262144)
TCP_ACCOUNTING_GONE = "this kernel does not account TCP buffers on their own"


def memory_writes(memory: Memory) -> Iterator[Write]:
    """Limit, then memory plus swap: the kernel wants limit <= memsw at every moment, hence `postpone`."""
    limit, swap = memory.limit or 0, memory.swap or 0
    place = f"{PLACE}.memory"
    if limit == -1 and swap == 0:
        swap = -1  # unlimited memory with a limit of memory plus swap would be none (runc does the same)
    if limit:
        yield Write("memory", "memory.limit_in_bytes", str(limit), f"{place}.limit", postpone=(EINVAL,))
    if swap:
        # Unlimited swap is what a kernel without swap accounting has anyway.
        yield Write(
            "memory",
            "memory.memsw.limit_in_bytes",
            str(swap),
            f"{place}.swap",
            tolerate=(ENOENT,) if swap == -1 else (),
            because="no swap accounting",
        )
    if memory.reservation:
        yield Write("memory", "memory.soft_limit_in_bytes", str(memory.reservation), f"{place}.reservation")
    if memory.kernel_tcp:
        gone = (ENOENT, EOPNOTSUPP)
        yield Write(
            "memory",
            "memory.kmem.tcp.limit_in_bytes",
            str(memory.kernel_tcp),
            f"{place}.kernelTCP",
            tolerate=gone,
            because=TCP_ACCOUNTING_GONE,
        )
    if memory.disable_oom_killer:
        yield Write("memory", "memory.oom_control", "1", f"{place}.disableOOMKiller")
    if memory.swappiness is not None and memory.swappiness != -1:
        if not 0 <= memory.swappiness <= 100:
            raise ConfigError(
                f"{place}.swappiness: invalid memory swappiness value: {memory.swappiness} (valid range is 0-100)"
            )
        yield Write("memory", "memory.swappiness", str(memory.swappiness), f"{place}.swappiness")


def cpuset_writes(cpu: Cpu) -> Iterator[Write]:
    """The same two files in both versions."""
    if cpu.cpus:
        yield Write("cpuset", "cpuset.cpus", cpu.cpus, f"{PLACE}.cpu.cpus")
    if cpu.mems:
        yield Write("cpuset", "cpuset.mems", cpu.mems, f"{PLACE}.cpu.mems")


def cpu_writes(cpu: Cpu) -> Iterator[Write]:
    """Period before quota, or after it when the old quota with the new period is more than the parent has."""
    place = f"{PLACE}.cpu"
    idle = [Write("cpu", "cpu.idle", str(cpu.idle), f"{place}.idle")] if cpu.idle is not None else []
    if not cpu.idle:
        yield from idle  # while idle is 1 cpu.shares cannot be set
    if cpu.shares:
        if cpu.shares > SHARES[1]:
            raise ConfigError(f"{place}.shares: the maximum allowed cpu-shares is {SHARES[1]}")
        if cpu.shares < SHARES[0]:
            raise ConfigError(f"{place}.shares: the minimum allowed cpu-shares is {SHARES[0]}")
        yield Write("cpu", "cpu.shares", str(cpu.shares), f"{place}.shares")
    if cpu.period:
        yield Write("cpu", "cpu.cfs_period_us", str(cpu.period), f"{place}.period", postpone=(EINVAL,))
    if cpu.burst is not None:
        yield burst_write("cpu.cfs_burst_us", cpu.burst)
    if cpu.quota:
        yield Write("cpu", "cpu.cfs_quota_us", str(cpu.quota), f"{place}.quota", postpone=(EINVAL,))
    if cpu.idle:
        yield from idle
    if cpu.realtime_period:
        yield Write("cpu", "cpu.rt_period_us", str(cpu.realtime_period), f"{place}.realtimePeriod", postpone=(EINVAL,))
    if cpu.realtime_runtime:
        yield Write("cpu", "cpu.rt_runtime_us", str(cpu.realtime_runtime), f"{place}.realtimeRuntime")


def burst_write(file: str, burst: int) -> Write:
    """In both versions at most the quota, hence once more after it."""
    return Write(
        "cpu",
        file,
        str(burst),
        f"{PLACE}.cpu.burst",
        tolerate=(ENOENT,),
        because=f"this kernel has no {file}",
        postpone=(EINVAL,),
    )


def pids_writes(pids: Pids) -> Iterator[Write]:
    """The same file in both versions.

    0 is a real limit (runtime-spec 1.2.1).  It is written as 1, as runc does: the init is the one process, and no
    fork succeeds; with 0 clone3 into the cgroup would not either.
    """
    if pids.limit is not None:
        value = "max" if pids.limit < 0 else str(max(pids.limit, 1))
        yield Write("pids", "pids.max", value, f"{PLACE}.pids.limit")


def blkio_writes(io: BlockIO) -> Iterator[Write]:
    """Weights are the scheduler's: blkio.weight was CFQ's (gone in Linux 5.0), blkio.bfq.weight is BFQ's."""
    place = f"{PLACE}.blockIO"
    if io.weight:
        yield _weight("weight", str(io.weight), f"{place}.weight")
    if io.leaf_weight:
        yield Write("blkio", "blkio.leaf_weight", str(io.leaf_weight), f"{place}.leafWeight")
    for index, device in enumerate(io.weight_device):
        one = f"{place}.weightDevice[{index}]"
        number = f"{device.major}:{device.minor}"
        if device.weight:
            yield _weight("weight_device", f"{number} {device.weight}", f"{one}.weight")
        if device.leaf_weight:
            yield Write("blkio", "blkio.leaf_weight_device", f"{number} {device.leaf_weight}", f"{one}.leafWeight")
    for devices, file, key in (
        (io.throttle_read_bps_device, "read_bps_device", "throttleReadBpsDevice"),
        (io.throttle_write_bps_device, "write_bps_device", "throttleWriteBpsDevice"),
        (io.throttle_read_iops_device, "read_iops_device", "throttleReadIOPSDevice"),
        (io.throttle_write_iops_device, "write_iops_device", "throttleWriteIOPSDevice"),
    ):
        for index, limit in enumerate(devices):
            value = f"{limit.major}:{limit.minor} {limit.rate}"
            yield Write("blkio", f"blkio.throttle.{file}", value, f"{place}.{key}[{index}]")


def _weight(name: str, value: str, place: str) -> Write:
    bfq = Write("blkio", f"blkio.bfq.{name}", value, place)
    return Write("blkio", f"blkio.{name}", value, place, otherwise=bfq)


def hugetlb_writes(limit: HugepageLimit, place: str) -> Iterator[Write]:
    """The size has been compared with the host's own by now: it is part of a file name."""
    value = str(limit.limit)
    yield Write("hugetlb", f"hugetlb.{limit.page_size}.limit_in_bytes", value, place)
    yield Write(
        "hugetlb",
        f"hugetlb.{limit.page_size}.rsvd.limit_in_bytes",
        value,
        place,
        tolerate=(ENOENT,),
        because="no reservation limits before Linux 5.7",
    )


def network_writes(network: Network) -> Iterator[Write]:
    """Version 1 only: version 2 marks packets by cgroup path instead."""
    place = f"{PLACE}.network"
    if network.class_id is not None:
        yield Write("net_cls", "net_cls.classid", str(network.class_id), f"{place}.classID")
    for index, interface in enumerate(network.priorities):
        value = f"{interface.name} {interface.priority}"
        yield Write("net_prio", "net_prio.ifpriomap", value, f"{place}.priorities[{index}]")
