"""process.execCPUAffinity: on which CPUs an exec runs before and after it joins the container's cgroup."""

from __future__ import annotations

from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Process
    from pyrunc.program.builder import Program

_MAX_CPUS = 8192  # NR_CPUS of any distribution's kernel


def emit_affinity(p: Program, process: Process, moment: str) -> None:
    """sched_setaffinity(2) with the list for this moment ("initial" or "final"), if there is one."""
    affinity = process.exec_cpu_affinity
    if affinity is None:
        return
    text = affinity.initial if moment == "initial" else affinity.final
    if not text:
        return
    with p.at(f"process.execCPUAffinity.{moment}", text):
        mask = p.constant(affinity_mask(text))
        p.call("sched_setaffinity", 0, mask.size, mask, doing="set the CPUs")


def affinity_mask(text: str) -> bytes:
    """The CPU set of a list such as "0-3,7" (cpuset(7), "List format"), in whole 8-byte words."""
    mask = 0
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise ConfigError(f"process.execCPUAffinity: '{text}' is no list of CPUs")
        low, high = int(first), int(last or first)
        if low > high or high >= _MAX_CPUS:
            raise ConfigError(f"process.execCPUAffinity: no CPUs {part}")
        mask |= (1 << high + 1) - (1 << low)
    return mask.to_bytes(-(-mask.bit_length() // 64) * 8, "little")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
