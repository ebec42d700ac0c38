"""events: what a container uses, and when it ran out of memory."""

from __future__ import annotations

from select import POLLIN, poll
from time import monotonic

from pyrunc.cgroups.layout import read_page_sizes
from pyrunc.cgroups.oom import watch_oom
from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.stats import read_stats
from pyrunc.container.interfaces import read_interfaces
from pyrunc.container.status import CREATING, STOPPED, is_alive, status_of
from pyrunc.errors import StateError
from pyrunc.kernel.processes import open_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cgroups.oom import OomCause, OomWatch
    from pyrunc.container.record import ContainerRecord
    from pyrunc.container.store import Store


def load_running(store: Store, container_id: str) -> ContainerRecord:
    """Raises StateError `container with id ID is not running`."""
    record = store.load(container_id)
    if status_of(record, store.root) in (STOPPED, CREATING):
        raise StateError(f"container with id {container_id} is not running")
    return record


def stats_event(record: ContainerRecord) -> dict[str, Any]:
    data = read_stats(from_json(record.cgroup), read_page_sizes())
    data["network_interfaces"] = read_interfaces(record.pid)
    if record.rdt:
        from pyrunc.container import rdt  # few machines have it

        data["intel_rdt"] = rdt.stats(record)
    return {"type": "stats", "id": record.container_id, "data": data}


def oom_event(record: ContainerRecord, cause: OomCause) -> dict[str, Any]:
    """runc's, and whose memory it was: `cause` is limit, ancestor or host, `cgroup` the one that had the limit."""
    event = {"type": "oom", "id": record.container_id, "cause": cause.cause}
    return {**event, "cgroup": cause.cgroup} if cause.cgroup else event


def follow(record: ContainerRecord, interval_seconds: float, emit: Callable[[dict[str, Any]], None]) -> None:
    """Emit the container's events, the first stats after one interval, until its process ended or it was deleted."""
    watch = watch_oom(from_json(record.cgroup))
    pidfd = open_pidfd(record.pid)
    if pidfd is None or not is_alive(record):
        return
    poller = poll()
    poller.register(pidfd.number, POLLIN)
    if watch is not None:
        poller.register(watch.number, watch.events)
    due = monotonic() + interval_seconds
    while True:
        ready = dict(poller.poll(max(0.0, due - monotonic()) * 1000))
        # Before the end is looked at: what died may have died of it.
        cause = watch.happened() if watch is not None else None
        if cause is not None:
            emit(oom_event(record, cause))
        if pidfd.number in ready or _is_removed(watch):
            return
        if monotonic() >= due:
            emit(stats_event(record))
            due += interval_seconds


def _is_removed(watch: OomWatch | None) -> bool:
    return watch is not None and watch.is_gone()
