"""The processes of a container's cgroup: list them, freeze them, signal them all."""

from __future__ import annotations

import posix
from errno import EACCES, ENODEV, ENOENT, EOPNOTSUPP, EPERM, EROFS, ESRCH
from time import sleep

from pyrunc.errors import during
from pyrunc.kernel.constants import SIGKILL
from pyrunc.kernel.files import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy

# A cgroup that is removed while it is read: ENOENT before, ENODEV after its file was opened.
GONE = (ENOENT, ENODEV)
CANNOT_FREEZE = (*GONE, EACCES, EPERM, EROFS)
# Freezing waits for every task to come to a stop; one in an uninterruptible sleep may not.  A second in all.
FREEZE_WAITS = (0.0005, 0.001, 0.002, 0.004, *[0.01] * 100)
# Without a freezer: until nobody forks away any more.
KILL_ROUNDS = 20


def list_processes(path: str) -> list[int]:
    """The pids in a cgroup directory and below it; none if it is gone.  0 (not of our pid namespace) is left out."""
    from pyrunc.cgroups.tree import visit  # state and start have no use for it

    found: list[int] = []
    with during(f"read the processes of {path}"):
        for directory in visit(path):
            found.extend(_pids(directory))
    return found


def _pids(directory: int) -> list[int]:
    try:
        content = read_file("cgroup.procs", limit=64 << 20, dir_fd=directory)
    except OSError as error:
        if error.errno in GONE:
            return []
        if error.errno != EOPNOTSUPP:
            raise
        # A threaded cgroup (v2) shows threads only: a signal to one is a signal to its process.
        content = read_file("cgroup.threads", limit=64 << 20, dir_fd=directory)
    return [int(line) for line in content.split() if line != b"0"]


def processes(cgroup: ContainerCgroup) -> list[int]:
    """The container's processes, sub-cgroups included, each once."""
    joined = _tree(cgroup)
    return sorted(set(list_processes(joined.path))) if joined is not None else []


def _tree(cgroup: ContainerCgroup) -> JoinedHierarchy | None:
    """The hierarchy that speaks for all: the freezer's (v1), else version 2, else the first."""
    for candidate in (freezer_of(cgroup), cgroup.find("")):
        if candidate is not None:
            return candidate
    return cgroup.hierarchies[0] if cgroup.hierarchies else None


def freezer_of(cgroup: ContainerCgroup) -> JoinedHierarchy | None:
    """Version 1's controller if the host has it, else version 2, which freezes by itself (Linux 5.2)."""
    return cgroup.find("freezer") or cgroup.find("")


def state_of(joined: JoinedHierarchy) -> str:
    """THAWED, FREEZING or FROZEN, in the words of version 1; THAWED where nothing can be frozen or all is gone."""
    try:
        if joined.version == 2:
            if read_file(f"{joined.path}/cgroup.freeze").strip() == b"0":
                return "THAWED"
            return "FROZEN" if b"frozen 1" in read_file(f"{joined.path}/cgroup.events") else "FREEZING"
        if "freezer" in joined.controllers:
            return read_file(f"{joined.path}/freezer.state").decode().strip()
    except OSError as error:
        if error.errno not in GONE:
            with during(f"read the freezer state of {joined.path}"):
                raise
    return "THAWED"


def freezer_state(cgroup: ContainerCgroup) -> str:
    """THAWED, FREEZING or FROZEN."""
    joined = freezer_of(cgroup)
    return state_of(joined) if joined is not None else "THAWED"


def set_frozen(joined: JoinedHierarchy, *, frozen: bool) -> None:
    """Ask for it; does not wait."""
    if joined.version == 2:
        write_file(f"{joined.path}/cgroup.freeze", "1" if frozen else "0")
    else:
        write_file(f"{joined.path}/freezer.state", "FROZEN" if frozen else "THAWED")


def thaw_if_frozen(cgroup: ContainerCgroup) -> None:
    """After SIGKILL, which no frozen process of version 1 would ever see."""
    freezer = freezer_of(cgroup)
    if freezer is not None and state_of(freezer) != "THAWED":
        _thaw(freezer)


def kill_all(cgroup: ContainerCgroup, signal: int) -> None:
    """Send the signal to every process of the cgroup, those included that are forked meanwhile.

    SIGKILL: cgroup.kill (Linux 5.14) where there is version 2.  Else, and for those that left version 2's tree:
    freeze, signal each, thaw.  A container that was paused stays so, but for SIGKILL, which no frozen process of
    version 1 would ever see.  Returns before they are dead.
    """
    with during("signal all processes of the container's cgroup"):
        freezer = freezer_of(cgroup)
        if signal == SIGKILL and _kill_v2(cgroup) and not _outlives_v2(cgroup, freezer):
            return
        if freezer is None or not _signal_frozen(freezer, signal):
            _signal_until_stable(cgroup, signal)


def _kill_v2(cgroup: ContainerCgroup) -> bool:
    joined = cgroup.find("")
    if joined is None:
        return False
    try:
        write_file(f"{joined.path}/cgroup.kill", "1")
    except OSError as error:
        # Gone, or threaded: EOPNOTSUPP.
        if error.errno in (*GONE, EOPNOTSUPP):
            return False
        raise
    return True


def _outlives_v2(cgroup: ContainerCgroup, freezer: JoinedHierarchy | None) -> bool:
    """On a hybrid host: whether some are frozen by version 1, or are not in version 2's tree (any more).

    Version 2 is read first: what dies between the two reads is then in neither.
    """
    if freezer is None or freezer.version == 2:
        return False
    if state_of(freezer) != "THAWED":
        return True
    on_v2 = cgroup.find("")
    dying = set(list_processes(on_v2.path)) if on_v2 is not None else set()
    return any(pid not in dying for pid in list_processes(freezer.path))


def _signal_frozen(freezer: JoinedHierarchy, signal: int) -> bool:
    """Freeze, signal, and thaw unless it was frozen before.  False if it may not be frozen."""
    stays_frozen = signal != SIGKILL and state_of(freezer) != "THAWED"
    try:
        set_frozen(freezer, frozen=True)
    except OSError as error:
        if error.errno in CANNOT_FREEZE:
            return False
        raise
    try:
        _wait_until_frozen(freezer)
        for pid in list_processes(freezer.path):
            _signal(pid, signal)
    finally:
        if not stays_frozen:
            _thaw(freezer)
    return True


def _wait_until_frozen(freezer: JoinedHierarchy) -> None:
    """Goes on unfrozen after a second: better some new process missed than a signal not sent."""
    for wait in FREEZE_WAITS:
        if state_of(freezer) != "FREEZING":
            return
        sleep(wait)


def _thaw(freezer: JoinedHierarchy) -> None:
    try:
        set_frozen(freezer, frozen=False)
    except OSError as error:
        if error.errno not in GONE:
            raise


def _signal_until_stable(cgroup: ContainerCgroup, signal: int) -> None:
    """Each once, and again what has been forked meanwhile, until nothing new is there."""
    seen: set[int] = set()
    for _round in range(KILL_ROUNDS):
        new = set(processes(cgroup)) - seen
        if not new:
            return
        for pid in new:
            _signal(pid, signal)
        seen |= new


def _signal(pid: int, signal: int) -> None:
    try:
        posix.kill(pid, signal)
    except OSError as error:
        if error.errno != ESRCH:
            with during(f"kill {pid}"):
                raise
