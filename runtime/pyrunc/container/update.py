"""update: other limits for a container that has not stopped."""

from __future__ import annotations

from ocispec.resources import read_resources
from pyrunc import log
from pyrunc.cgroups.drivers import update_unit
from pyrunc.cgroups.layout import read_hierarchies, read_page_sizes
from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.update import update
from pyrunc.container.status import CREATING, STOPPED, status_of
from pyrunc.container.undo import Undo
from pyrunc.errors import ConfigError, StateError, UsageError, go_strerror
from pyrunc.jsonio import MAX_SIZE, JsonError, loads
from pyrunc.kernel.files import read_descriptor, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ocispec.resources import Resources
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


def update_container(store: Store, container_id: str, document: object, schemata: tuple[str, str] = ("", "")) -> None:
    """All of it or nothing: files, resctrl (`schemata`: L3 cache, memory bandwidth; "" to leave it) and systemd.

    Raises SpecError when the document is no linux.resources, StateError `container not running`, Unsupported for
    schemata on a machine without resctrl.
    """
    with store.open(container_id) as directory:
        record = store.load(container_id)
        resources = read_resources(document)
        if resources.memory is not None and (resources.memory.kernel or resources.memory.kernel_tcp):
            log.warning(KERNEL_MEMORY)
        if status_of(record, store.root, is_ours=True) in (STOPPED, CREATING):
            raise StateError("container not running")
        sizes = read_page_sizes() if resources.hugepage_limits else ()
        cgroup, hierarchies = from_json(record.cgroup), read_hierarchies()
        undo = Undo()

        def also(wanted: Resources) -> bool:
            if any(schemata):
                from pyrunc.container import rdt  # few machines have it

                directory.save(rdt.update(record, *schemata, undo))
                undo.push("save the state of before", lambda: directory.save(record))
            return update_unit(cgroup, wanted, hierarchies)

        try:
            for skipped in update(cgroup, resources, hierarchies, sizes, also):
                log.debug(skipped)
        except BaseException:
            undo.run()
            raise
