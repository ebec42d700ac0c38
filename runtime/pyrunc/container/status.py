"""In which state a container is: never stored, always asked of the kernel."""

from __future__ import annotations

from errno import EWOULDBLOCK
from fcntl import LOCK_EX, LOCK_NB, flock

from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.processes import freezer_state
from pyrunc.container.store import EXEC_FIFO
from pyrunc.kernel.constants import O_DIRECTORY, O_RDONLY
from pyrunc.kernel.files import exists, open_file
from pyrunc.kernel.processes import boot_id, is_stage, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.record import ContainerRecord

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"


def status_of(record: ContainerRecord, state_root: str, *, is_ours: bool = False) -> str:
    """One of the words above.  A pid that somebody else got since is not the container's process.

    `is_ours`: the caller holds the container's lock, so nobody is creating it.
    """
    if record.pid == 0 and not is_ours and is_locked(f"{state_root}/{record.container_id}"):
        return CREATING
    if not is_alive(record):
        return STOPPED
    if freezer_state(from_json(record.cgroup)) != "THAWED":
        return PAUSED  # a created one too: start waits until it is resumed
    # A start that was killed has left the fifo behind: then the process is not the stage any more.
    is_waiting = exists(f"{state_root}/{record.container_id}/{EXEC_FIFO}") and is_stage(record.pid)
    return CREATED if is_waiting else RUNNING


def is_locked(path: str) -> bool:
    """Whether a command works on the container whose directory this is: its create, when there is no pid yet.

    A create that was killed has left the lock with its process, so what it left counts as stopped.
    """
    with open_file(path, O_RDONLY | O_DIRECTORY) as directory:
        try:
            flock(directory.number, LOCK_EX | LOCK_NB)
        except OSError as error:
            if error.errno == EWOULDBLOCK:
                return True
            raise
    return False


def is_alive(record: ContainerRecord) -> bool:
    """Whether the recorded process is there: same pid, same start time, same boot, and not a zombie."""
    if record.pid == 0:
        return False
    found = start_time(record.pid)
    if found is None:
        return False
    started, letter = found
    return started == record.start_time and letter not in "ZX" and boot_id() == record.boot_id
