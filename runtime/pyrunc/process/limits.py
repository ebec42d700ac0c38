"""What config.json says about one process's share of the machine: limits, OOM score, scheduling, memory policy."""

from __future__ import annotations

from _struct import Struct

from pyrunc.errors import ConfigError
from pyrunc.kernel import constants
from pyrunc.kernel.constants import (
    AT_FDCWD,
    IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PROCESS,
    O_CLOEXEC,
    O_WRONLY,
    PER_LINUX,
    PER_LINUX32,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, IOPriority, Process, Scheduler
    from ocispec.linux import MemoryPolicy, Personality
    from pyrunc.program.builder import Program

_RLIMIT_NAMES = (
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
)
_POLICY_NAMES = {
    "SCHED_OTHER": "SCHED_NORMAL",
    "SCHED_FIFO": "SCHED_FIFO",
    "SCHED_RR": "SCHED_RR",
    "SCHED_BATCH": "SCHED_BATCH",
    "SCHED_ISO": "",  # reserved, in no kernel: sched(7)
    "SCHED_IDLE": "SCHED_IDLE",
    "SCHED_DEADLINE": "SCHED_DEADLINE",
}
_PERSONALITIES = {"LINUX": PER_LINUX, "LINUX32": PER_LINUX32}
_RLIMIT64 = Struct("<QQ")  # soft, hard: prlimit(2)
# struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR = Struct("<IIQiIQQQ")
_MAX_NODE = 1024  # more than any kernel's MAX_NUMNODES


def limits_of(process: Process) -> tuple[tuple[str, int, int, int], ...]:
    """(place in config.json, resource, soft, hard) of every limit; raises ConfigError for unknown and doubled ones."""
    found: list[tuple[str, int, int, int]] = []
    seen: list[str] = []
    for index, limit in enumerate(process.rlimits):
        place = f"process.rlimits[{index}]"
        if limit.type not in _RLIMIT_NAMES:
            raise ConfigError(f"{place}.type: unknown limit '{limit.type}'")
        if limit.type in seen:
            raise ConfigError(f"{place}.type: {limit.type} is there twice")
        if limit.soft > limit.hard:
            raise ConfigError(f"{place}: the soft limit {limit.soft} is above the hard limit {limit.hard}")
        seen.append(limit.type)
        found.append((f"{place} {limit.type}", getattr(constants, limit.type), limit.soft, limit.hard))
    return tuple(found)


def emit_limits(p: Program, process: Process) -> None:
    """prlimit(2) on itself, with what capabilities the stage has: for containers without a user namespace.

    In one, CAP_SYS_RESOURCE does not count for raising a hard limit, and the parent has to do it.
    """
    for place, resource, soft, hard in limits_of(process):
        with p.at(*place.split(" ")):
            p.call("prlimit64", 0, resource, p.constant(_RLIMIT64.pack(soft, hard)), 0, doing="set the limit")


def emit_oom_score_adj(p: Program, process: Process) -> None:
    """First of all: /proc/self of a non-dumpable process belongs to root, which the process may no longer be."""
    if process.oom_score_adj is None:
        return
    path, value = "/proc/self/oom_score_adj", str(process.oom_score_adj)
    with p.at("process.oomScoreAdj", value):
        setting = p.result("openat", AT_FDCWD, path, O_WRONLY | O_CLOEXEC, doing=f"open {path}")
        p.call("write", setting, value, len(value), doing=f"write {path}")
        p.close(setting)


def emit_scheduling(p: Program, config: Config, process: Process) -> None:
    """scheduler, ioPriority, personality and memoryPolicy: while the capabilities for them are there."""
    if process.scheduler is not None:
        _emit_scheduler(p, process.scheduler)
    if process.io_priority is not None:
        _emit_io_priority(p, process.io_priority)
    if config.linux.personality is not None:
        _emit_personality(p, config.linux.personality)
    if config.linux.memory_policy is not None:
        _emit_memory_policy(p, config.linux.memory_policy)


def _emit_scheduler(p: Program, scheduler: Scheduler) -> None:
    """sched_setattr(2).  The kernel says what goes with what: sched(7)."""
    name = _POLICY_NAMES.get(scheduler.policy)
    if not name:
        raise ConfigError(f"process.scheduler.policy: no scheduling policy '{scheduler.policy}'")
    flags = 0
    for flag in scheduler.flags:
        value = getattr(constants, flag, None) if flag.startswith("SCHED_FLAG_") else None
        if value is None:
            raise ConfigError(f"process.scheduler.flags: unknown flag '{flag}'")
        flags |= value
    policy = getattr(constants, name)
    times = (scheduler.runtime, scheduler.deadline, scheduler.period)
    content = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, flags, scheduler.nice, scheduler.priority, *times)
    with p.at("process.scheduler", scheduler.policy):
        p.call("sched_setattr", 0, p.constant(content), 0, doing="set the scheduler")


def _emit_io_priority(p: Program, priority: IOPriority) -> None:
    number = getattr(constants, priority.class_, None) if priority.class_.startswith("IOPRIO_CLASS_") else None
    if number is None or priority.class_ == "IOPRIO_CLASS_SHIFT":
        raise ConfigError(f"process.ioPriority.class: unknown class '{priority.class_}'")
    value = number << IOPRIO_CLASS_SHIFT | priority.priority
    with p.at("process.ioPriority", priority.class_):
        p.call("ioprio_set", IOPRIO_WHO_PROCESS, 0, value, doing="set the i/o priority")


def _emit_personality(p: Program, personality: Personality) -> None:
    domain = _PERSONALITIES.get(personality.domain)
    if domain is None:
        raise ConfigError(f"linux.personality.domain: unknown domain '{personality.domain}'")
    if personality.flags:
        raise ConfigError("linux.personality.flags: no flags are defined")
    with p.at("linux.personality", personality.domain):
        p.call("personality", domain, doing="set the execution domain")


def _emit_memory_policy(p: Program, policy: MemoryPolicy) -> None:
    """set_mempolicy(2): inherited by everything the container's program starts."""
    mode = getattr(constants, policy.mode, None) if policy.mode.startswith("MPOL_") else None
    if mode is None or policy.mode.startswith("MPOL_F_"):
        raise ConfigError(f"invalid memory policy: invalid memory policy mode '{policy.mode}'")
    for flag in policy.flags:
        value = getattr(constants, flag, None) if flag.startswith("MPOL_F_") else None
        if value is None:
            raise ConfigError(f"invalid memory policy: invalid memory policy flag '{flag}'")
        mode |= value
    nodes = parse_nodes(policy.nodes)
    if policy.mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and nodes:
        count = nodes.bit_count()
        raise ConfigError(f"invalid memory policy: {policy.mode} mode requires 0 nodes but got {count}")
    with p.at("linux.memoryPolicy", policy.mode):
        if nodes:
            # maxnode is one more than the number of bits: set_mempolicy(2), BUGS of the kernel's get_nodes().
            mask = p.constant(nodes.to_bytes(_MAX_NODE // 8, "little"))
            p.call("set_mempolicy", mode, mask, _MAX_NODE + 1, doing="set the memory policy")
        else:
            p.call("set_mempolicy", mode, 0, 0, doing="set the memory policy")


def parse_nodes(text: str) -> int:
    """A mask of the nodes in a list such as "0-3,7": cpuset(7), "List format"."""
    mask = 0
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise ConfigError(f"invalid memory policy: invalid memory policy node '{part}'")
        low, high = int(first), int(last if dash else first)
        if low > high or high >= _MAX_NODE:
            raise ConfigError(f"invalid memory policy: invalid memory policy node '{part}'")
        mask |= ((1 << high - low + 1) - 1) << low
    return mask


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
