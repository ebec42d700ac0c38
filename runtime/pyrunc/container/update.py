"""update: other limits for a container that has not stopped."""

from __future__ import annotations

from ocispec.resources import read_resources
from pyrunc import log
from pyrunc.cgroups.drivers import update_unit
from pyrunc.cgroups.layout import read_hierarchies, read_page_sizes
from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.update import update
from pyrunc.container.status import CREATING, STOPPED, status_of
from pyrunc.errors import ConfigError, StateError, UsageError, go_strerror
from pyrunc.jsonio import MAX_SIZE, JsonError, loads
from pyrunc.kernel.files import read_descriptor, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.store import Store

STDIN = 0
KERNEL_MEMORY = "Kernel memory settings are ignored and will be removed"  # runc's words


def read_wanted(path: str) -> object:
    """The JSON of `--resources FILE`, or of `-`, stdin, with what 0 means there: as it is."""
    try:
        content = read_descriptor(STDIN, limit=MAX_SIZE) if path == "-" else read_file(path, limit=MAX_SIZE)
    except OSError as error:
        raise UsageError(f"open {path}: {go_strerror(error.errno or 0)}") from error
    try:
        return without_zeros(loads(content))
    except JsonError as error:
        raise ConfigError(f"{'stdin' if path == '-' else path}: {error}") from error


def without_zeros(document: Any) -> Any:
    """Engines whose language has no absent numbers write 0 for "not set"; 0 processes is what none of them means."""
    pids = document.get("pids") if isinstance(document, dict) else None
    if isinstance(pids, dict) and pids.get("limit") == 0 and pids["limit"] is not False:
        return {key: value for key, value in document.items() if key != "pids"}
    return document


def update_container(store: Store, container_id: str, document: object) -> None:
    """Raises SpecError when the document is no linux.resources, StateError `container not running`."""
    with store.open(container_id):
        record = store.load(container_id)
        resources = read_resources(document)
        if resources.memory is not None and (resources.memory.kernel or resources.memory.kernel_tcp):
            log.warning(KERNEL_MEMORY)
        if status_of(record, store.root, is_ours=True) in (STOPPED, CREATING):
            raise StateError("container not running")
        sizes = read_page_sizes() if resources.hugepage_limits else ()
        cgroup, hierarchies = from_json(record.cgroup), read_hierarchies()
        for skipped in update(cgroup, resources, hierarchies, sizes):
            log.debug(skipped)
        if update_unit(cgroup, resources, hierarchies):
            update(cgroup, resources, hierarchies, sizes)


def update_rdt(store: Store, container_id: str, l3_cache_schema: str, mem_bw_schema: str) -> None:
    """Raises Unsupported on a machine without resctrl, StateError `container not running`."""
    from pyrunc.container import rdt  # few machines have it

    with store.open(container_id) as directory:
        record = store.load(container_id)
        if status_of(record, store.root, is_ours=True) in (STOPPED, CREATING):
            raise StateError("container not running")
        directory.save(rdt.update(record, l3_cache_schema, mem_bw_schema))
