"""pause and resume: all of a container's processes stop, or go on."""

from __future__ import annotations

from pyrunc.cgroups.freezer import freeze, thaw
from pyrunc.cgroups.place import from_json
from pyrunc.container.status import CREATED, PAUSED, RUNNING, status_of
from pyrunc.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.store import Store


def pause_container(store: Store, container_id: str) -> None:
    """Returns when every process is frozen.  Raises StateError `container not running`; nothing stays half frozen."""
    with store.open(container_id):
        record = store.load(container_id)
        if status_of(record, store.root, is_ours=True) not in (CREATED, RUNNING):
            raise StateError("container not running")
        freeze(from_json(record.cgroup))


def resume_container(store: Store, container_id: str) -> None:
    """Raises StateError `container not paused`."""
    with store.open(container_id):
        record = store.load(container_id)
        if status_of(record, store.root, is_ours=True) != PAUSED:
            raise StateError("container not paused")
        thaw(from_json(record.cgroup))
