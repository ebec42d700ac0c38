"""What config.json says about one process's share of the machine: limits, OOM score, scheduling, memory policy."""

from __future__ import annotations

from _struct import Struct

from ocispec.forms import parse_number_list
from pyrunc.errors import ConfigError, Unsupported
from pyrunc.kernel import constants
from pyrunc.kernel.constants import (
    IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PROCESS,
    O_CLOEXEC,
    O_WRONLY,
    PER_LINUX,
    PER_LINUX32,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_XDEV,
    SCHED_NORMAL,
)
from pyrunc.process.procfs import emit_host_procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, IOPriority, Process, Scheduler
    from ocispec.linux import MemoryPolicy, Personality
    from pyrunc.program.builder import Program

_PERSONALITIES = {"LINUX": PER_LINUX, "LINUX32": PER_LINUX32}
_RLIMIT64 = Struct("<QQ")  # soft, hard: prlimit(2)
# struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR = Struct("<IIQiIQQQ")
_MAX_NODES = 1024  # MAX_NUMNODES of the largest kernels


def limits_of(process: Process) -> tuple[tuple[str, int, int, int], ...]:
    """(place in config.json, resource, soft, hard) of every limit."""
    return tuple(
        (f"process.rlimits[{index}] {limit.type}", getattr(constants, limit.type), limit.soft, limit.hard)
        for index, limit in enumerate(process.rlimits)
    )


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
    path, value = "self/oom_score_adj", str(process.oom_score_adj)
    resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH
    with p.at("process.oomScoreAdj", value):
        proc = emit_host_procfs(p)
        how = p.open_how(O_WRONLY | O_CLOEXEC, resolve)
        setting = p.result("openat2", proc, path, how, how.size, doing=f"open /proc/{path}")
        p.call("write", setting, value, len(value), doing=f"write /proc/{path}")
        p.close(setting)
        p.close(proc)


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
    """sched_setattr(2)."""
    if scheduler.policy == "SCHED_ISO":
        raise Unsupported("process.scheduler.policy: SCHED_ISO is reserved, no kernel has it")  # sched(7)
    policy = SCHED_NORMAL if scheduler.policy == "SCHED_OTHER" else getattr(constants, scheduler.policy)
    flags = 0
    for flag in scheduler.flags:
        flags |= getattr(constants, flag)
    times = (scheduler.runtime, scheduler.deadline, scheduler.period)
    content = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, flags, scheduler.nice, scheduler.priority, *times)
    with p.at("process.scheduler", scheduler.policy):
        p.call("sched_setattr", 0, p.constant(content), 0, doing="set the scheduler")


def _emit_io_priority(p: Program, priority: IOPriority) -> None:
    value = getattr(constants, priority.class_) << IOPRIO_CLASS_SHIFT | priority.priority
    with p.at("process.ioPriority", priority.class_):
        p.call("ioprio_set", IOPRIO_WHO_PROCESS, 0, value, doing="set the i/o priority")


def _emit_personality(p: Program, personality: Personality) -> None:
    with p.at("linux.personality", personality.domain):
        p.call("personality", _PERSONALITIES[personality.domain], doing="set the execution domain")


def _emit_memory_policy(p: Program, policy: MemoryPolicy) -> None:
    """set_mempolicy(2): inherited by everything the container's program starts."""
    mode = getattr(constants, policy.mode)
    for flag in policy.flags:
        mode |= getattr(constants, flag)
    mask = node_mask(policy.nodes)
    nodes = p.constant(mask.to_bytes(_MAX_NODES // 8, "little")) if mask else 0
    # The kernel takes maxnode - 1 bits (get_nodes in mm/mempolicy.c; set_mempolicy(2) says otherwise).
    maxnode = _MAX_NODES + 1 if mask else 0
    with p.at("linux.memoryPolicy", policy.mode):
        p.call("set_mempolicy", mode, nodes, maxnode, doing="set the memory policy")


def node_mask(text: str) -> int:
    """Node n of a list such as "0-3,7" as bit n."""
    mask = 0
    for low, high in parse_number_list(text) or ():
        if high >= _MAX_NODES:
            raise ConfigError(f"linux.memoryPolicy.nodes: invalid memory policy node {high}")
        mask |= ((1 << high - low + 1) - 1) << low
    return mask
