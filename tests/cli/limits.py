"""A container's limits by their meaning: what the kernel has, in config.json's terms, on either hierarchy.

Numbers are the config's (bytes, microseconds, processes), -1 is "no limit"; swap is memory and swap together, as there.
"""

from __future__ import annotations

import math
from pathlib import Path

from cli.runtime import IS_PYRUNC, cgroups_of

TOP = Path("/sys/fs/cgroup")
IS_V2 = (TOP / "cgroup.controllers").exists()
NO_LIMIT = 9223372036854771712  # how version 1 shows it
FILES_V1 = {
    "limit": "memory/memory.limit_in_bytes",
    "swap": "memory/memory.memsw.limit_in_bytes",
    "reservation": "memory/memory.soft_limit_in_bytes",
    "shares": "cpu/cpu.shares",
    "quota": "cpu/cpu.cfs_quota_us",
    "period": "cpu/cpu.cfs_period_us",
    "cpus": "cpuset/cpuset.cpus",
    "mems": "cpuset/cpuset.mems",
    "pids": "pids/pids.max",
}
FILES_V2 = {
    "limit": "memory.max",
    "swap": "memory.swap.max",  # without what is in memory.max
    "reservation": "memory.low",
    "shares": "cpu.weight",
    "quota": "cpu.max",  # "QUOTA PERIOD"
    "period": "cpu.max",
    "cpus": "cpuset.cpus",
    "mems": "cpuset.mems",
    "pids": "pids.max",
}
WORDS = ("cpus", "mems")  # lists, not numbers


def has_controller(name: str) -> bool:
    """Whether this kernel has it in the hierarchy that containers are in (user-mode Linux: no cpuset)."""
    return name in (TOP / "cgroup.controllers").read_text().split() if IS_V2 else (TOP / name).is_dir()


NAMES = tuple(name for name in FILES_V1 if name not in WORDS or has_controller("cpuset"))


class Limits:
    """Of one container; everything is read anew."""

    def __init__(self, container_id: str) -> None:
        self.folders = cgroups_of(container_id)

    def __getitem__(self, name: str) -> int | str:
        text = self._text(name)
        if name in WORDS:
            return text
        if name in ("quota", "period") and IS_V2:
            text = text.split()[name == "period"]
        value = -1 if text in ("max", str(NO_LIMIT)) else int(text)
        if name == "swap" and IS_V2 and value != -1:
            value += int(self["limit"])
        return value

    def all(self) -> dict[str, int | str]:
        return {name: self[name] for name in NAMES}

    def file(self, controller: str, name: str) -> Path:
        return next(folder / name for folder in self.folders if IS_V2 or controller in folder.parts)

    def _text(self, name: str) -> str:
        controller, _slash, file = FILES_V1[name].partition("/")
        return self.file(controller, FILES_V2[name] if IS_V2 else file).read_text().strip()


def shares(value: int) -> int:
    """What the kernel shows of cpu.shares: itself, or on version 2 the weight that the runtime computes.

    2..262144 to 1..10000 so that 1024 is 100: l = log2(shares), 10^((l² + 125 l) / 612 - 7 / 34), rounded up
    (runc 1.3.2).  Debian's runc is older and has a straight line.
    """
    if not IS_V2:
        return value
    if not IS_PYRUNC:
        return 1 + (value - 2) * 9999 // 262142
    if value <= 2:
        return 1
    power = math.log2(value)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def is_frozen(container_id: str) -> bool:
    if IS_V2:
        return "frozen 1" in (cgroups_of(container_id)[0] / "cgroup.events").read_text()
    folder = next(folder for folder in cgroups_of(container_id) if "freezer" in folder.parts)
    return (folder / "freezer.state").read_text() == "FROZEN\n"


def freeze(container_id: str, *, frozen: bool) -> None:
    """Behind the runtime's back."""
    for folder in cgroups_of(container_id):
        if IS_V2:
            (folder / "cgroup.freeze").write_text("1" if frozen else "0")
        elif "freezer" in folder.parts:
            (folder / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def parent_cgroup(name: str) -> Path:
    """Where memory is counted: the directory of the cgroup /NAME."""
    return TOP / name if IS_V2 else TOP / "memory" / name


def limit_memory(parent: Path, size: int) -> None:
    """Memory, and no swap beyond it."""
    files = {"memory.max": size, "memory.swap.max": 0}
    if not IS_V2:
        files = {"memory.limit_in_bytes": size, "memory.memsw.limit_in_bytes": size}
    for file, value in files.items():
        (parent / file).write_text(str(value))


def huge_page() -> str:
    """A size of huge pages as cgroups write it, from hugepages-2048kB (sysfs-kernel-mm-hugepages)."""
    sizes = (int(path.name[10:-2]) for path in Path("/sys/kernel/mm/hugepages").iterdir())
    kib = min(sizes)
    for unit, factor in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kib >= factor:
            return f"{kib // factor}{unit}"
    return f"{kib}KB"
