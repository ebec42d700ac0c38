"""A kernel, for pyrunc.program.simulator, in which /proc is the root of a procfs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrunc.kernel.constants import PROC_SUPER_MAGIC

if TYPE_CHECKING:
    from pyrunc.program.simulator import Memory


def of_procfs(_descriptor: int, status: Memory) -> int:
    status.write(PROC_SUPER_MAGIC.to_bytes(8, "little"))
    return 0


def of_its_root(_fd: int, _path: str, _flags: int, _mask: int, status: Memory) -> int:
    status.write(bytes(32) + (1).to_bytes(8, "little"))
    return 0


PROCFS: dict[str, Any] = {"fstatfs": of_procfs, "statx": of_its_root}
