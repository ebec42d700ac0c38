"""intelRdt in the life of a container; imported for those that have it."""

from __future__ import annotations

from ocispec.linux import IntelRdt
from ocispec.record import replace
from pyrunc.cgroups import resctrl
from pyrunc.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.create import Prepared
    from pyrunc.container.record import ContainerRecord
    from pyrunc.container.undo import Undo


def planned(rdt: IntelRdt, container_id: str) -> dict[str, Any]:
    """What state.json says of it, before it is made.  Raises Unsupported without resctrl."""
    return resctrl.group_of(rdt, container_id, resctrl.mount_point()).as_json()


def make_for(prepared: Prepared, undo: Undo) -> None:
    """The group of a container that is being created; gone again if that fails."""
    wanted = prepared.bundle.config.linux.intel_rdt
    if wanted is not None:
        make(wanted, prepared.record)
        undo.push("remove the resctrl group", lambda: remove(prepared.record))


def make(rdt: IntelRdt, record: ContainerRecord) -> None:
    resctrl.make(rdt, resctrl.from_json(record.rdt), resctrl.mount_point())


def join(record: ContainerRecord, pid: int) -> None:
    resctrl.join(resctrl.from_json(record.rdt), pid)


def remove(record: ContainerRecord) -> None:
    resctrl.remove(resctrl.from_json(record.rdt))


def stats(record: ContainerRecord) -> dict[str, Any]:
    """{} where resctrl is not mounted any more."""
    from pyrunc.cgroups.resctrl_stats import read_rdt

    try:
        root = resctrl.mount_point()
    except Unsupported:
        return {}
    return read_rdt(resctrl.from_json(record.rdt), root)


def update(record: ContainerRecord, l3_cache_schema: str, mem_bw_schema: str, undo: Undo) -> ContainerRecord:
    """Other schemata for a running container; one that had none gets a class of its own, as with runc.

    `undo` learns how to have again what was.  Raises Unsupported without resctrl.
    """
    root = _root(l3_cache_schema)
    wanted = IntelRdt(l3_cache_schema=l3_cache_schema, mem_bw_schema=mem_bw_schema)
    if not record.rdt:
        record = replace(record, rdt=resctrl.group_of(wanted, record.container_id, root).as_json())
        make(wanted, record)
        undo.push("remove the resctrl group", lambda: remove(record))
        join(record, record.pid)
        return record
    path = record.rdt["path"]
    before = resctrl.read_schemata(path)
    undo.push("set the schemata back", lambda: resctrl.write_schemata(path, before, root))
    for text in resctrl.writes_of(wanted):
        resctrl.write_schemata(path, text, root)
    return record


def _root(l3_cache_schema: str) -> str:
    try:
        return resctrl.mount_point()
    except Unsupported as error:
        # runc's words
        what = "CAT: l3 cache" if l3_cache_schema else "MBA: memory bandwidth"
        raise Unsupported(f"Intel RDT/{what} schema is not enabled") from error
