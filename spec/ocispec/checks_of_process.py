"""Rules between the keys of a process object (config.md#process, #posix-process, #linux-process).

A check yields (place, problem) pairs; places start at the process.
"""

from __future__ import annotations

from ocispec.forms import parse_number_list
from ocispec.reader import shown
from ocispec.words import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.config import Process

    Found = tuple[str, str]

KNOWN_CAPABILITIES = frozenset(CAPABILITIES)
WINSIZE_MAX = 0xFFFF  # struct winsize, tty_ioctl(4)


def arguments(process: Process) -> Iterator[Found]:
    if not process.args[0]:
        yield "args[0]", "must not be empty"


def console_size(process: Process) -> Iterator[Found]:
    # config.md#process: without a terminal the size MUST be ignored, so it is looked at only with one.
    size = process.console_size
    if size is not None and process.terminal and max(size.height, size.width) > WINSIZE_MAX:
        yield "consoleSize", f"must be at most {WINSIZE_MAX} by {WINSIZE_MAX} characters"


def environment(process: Process) -> Iterator[Found]:
    for index, entry in enumerate(process.env):
        if entry.find("=") < 1:
            yield f"env[{index}]", f"must have the form NAME=value, not {shown(entry)}"


def rlimits(process: Process) -> Iterator[Found]:
    seen: list[str] = []
    for index, limit in enumerate(process.rlimits):
        if limit.type in seen:
            yield f"rlimits[{index}].type", f"{limit.type} is given twice"
        seen.append(limit.type)
        if limit.soft > limit.hard:  # setrlimit(2): EINVAL
            yield f"rlimits[{index}]", f"soft limit {limit.soft} is above the hard limit {limit.hard}"


def scheduler(process: Process) -> Iterator[Found]:
    plan = process.scheduler
    if plan is None:
        return
    real_time = plan.policy in ("SCHED_FIFO", "SCHED_RR")
    if plan.priority and not real_time:
        yield "scheduler.priority", f"only SCHED_FIFO and SCHED_RR have one, not {plan.policy}"
    if real_time and not plan.priority:  # sched(7): 1 (low) to 99 (high)
        yield "scheduler.priority", f"must be from 1 to 99 for {plan.policy}"
    if plan.policy != "SCHED_DEADLINE":
        for key, value in (("runtime", plan.runtime), ("deadline", plan.deadline), ("period", plan.period)):
            if value:
                yield f"scheduler.{key}", f"only SCHED_DEADLINE has one, not {plan.policy}"
    elif not (0 < plan.runtime <= plan.deadline and (not plan.period or plan.deadline <= plan.period)):
        yield "scheduler", "SCHED_DEADLINE needs 0 < runtime <= deadline <= period"  # sched(7)


def cpu_affinity(process: Process) -> Iterator[Found]:
    affinity = process.exec_cpu_affinity
    if affinity is None:
        return
    for key, value in (("initial", affinity.initial), ("final", affinity.final)):
        if parse_number_list(value) is None:
            yield f"execCPUAffinity.{key}", f"must be a list of processors such as 0-3,7, not {shown(value)}"


def unknown_capabilities(process: Process) -> Iterator[Found]:
    # config.md#linux-process: MUST warn, SHOULD NOT fail.
    sets = process.capabilities
    if sets is None:
        return
    for key in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        for index, name in enumerate(getattr(sets, key)):
            if name not in KNOWN_CAPABILITIES:
                yield f"capabilities.{key}[{index}]", f"unknown capability {shown(name)}, ignoring"


def idle_niceness(process: Process) -> Iterator[Found]:
    plan = process.scheduler
    if plan is not None and plan.nice and plan.policy not in ("SCHED_OTHER", "SCHED_BATCH"):
        yield "scheduler.nice", f"has no effect on {plan.policy}, ignoring"


PROCESS_CHECKS = (arguments, console_size, environment, rlimits, scheduler, cpu_affinity)
PROCESS_WARNINGS = (unknown_capabilities, idle_niceness)
