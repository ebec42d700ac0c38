"""Which limit of a cgroup has stopped a process: looked up when one could not be made, or was killed."""

from __future__ import annotations

from errno import EAGAIN

from pyrunc.cgroups.stats_files import keyed, read_text
from pyrunc.errors import ProtocolError, StageFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
    from pyrunc.errors import PyruncError

# version -> the file that counts what the kernel killed, and the file with the limit
_MEMORY = {1: ("memory.oom_control", "memory.limit_in_bytes"), 2: ("memory.events", "memory.max")}
_KILLED = "signal: 9"


def name_limit(error: PyruncError, cgroup: ContainerCgroup) -> None:
    """Give the error a hint when a limit of its cgroup is why.  Call it before the cgroup is removed.

    fork(2) is EAGAIN at pids.max (cgroups: pids.events counts it); a process that ended by SIGKILL had no memory when
    the kernel has killed for that in this cgroup.
    """
    if isinstance(error, StageFailed) and error.errno == EAGAIN:
        error.hint = _pids(cgroup.find("pids")) or error.hint
    elif isinstance(error, ProtocolError) and _KILLED in error.text:
        error.hint = _memory(cgroup.find("memory")) or error.hint


def _pids(joined: JoinedHierarchy | None) -> str:
    if joined is None or not keyed(read_text(f"{joined.path}/pids.events")).get("max"):
        return ""
    return f"its cgroup's limit of processes, pids.max, is {_content(joined, 'pids.max')}: {joined.path}"


def _memory(joined: JoinedHierarchy | None) -> str:
    if joined is None:
        return ""
    events, limit = _MEMORY[joined.version]
    killed = keyed(read_text(f"{joined.path}/{events}")).get("oom_kill", 0)
    if not killed:
        return ""
    # The sentence in the middle is runc's.
    return (
        f"OOM in init: container init was OOM-killed (memory limit too low?): "
        f"{limit} is {_content(joined, limit)}: {joined.path}"
    )


def _content(joined: JoinedHierarchy, name: str) -> str:
    return (read_text(f"{joined.path}/{name}") or "unknown").strip()
