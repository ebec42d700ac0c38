"""In which state a container is: never stored, always asked of the kernel."""

from __future__ import annotations

from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.processes import freezer_state
from pyrunc.container.store import EXEC_FIFO
from pyrunc.kernel.files import exists
from pyrunc.kernel.processes import boot_id, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.record import ContainerRecord

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"


def status_of(record: ContainerRecord, state_root: str) -> str:
    """One of the words above.  A pid that somebody else got since is not the container's process."""
    if not is_alive(record):
        return STOPPED
    if exists(f"{state_root}/{record.container_id}/{EXEC_FIFO}"):
        return CREATED
    if freezer_state(from_json(record.cgroup)) != "THAWED":
        return PAUSED
    return RUNNING


def is_alive(record: ContainerRecord) -> bool:
    """Whether the recorded process is there: same pid, same start time, same boot, and not a zombie."""
    if record.pid == 0:
        return False
    found = start_time(record.pid)
    if found is None:
        return False
    started, letter = found
    return started == record.start_time and letter not in "ZX" and boot_id() == record.boot_id
