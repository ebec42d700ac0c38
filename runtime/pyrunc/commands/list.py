"""`list`: every container below the state root, as a table, as JSON or by id only."""

from __future__ import annotations

import posix
from errno import ENOENT

from pyrunc import jsonio, log
from pyrunc.container.owner import owner_of
from pyrunc.container.state import state_document
from pyrunc.container.status import status_of
from pyrunc.container.store import Store
from pyrunc.errors import PyruncError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cli.parse import Arguments

HEADER = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
NARROWEST = 12  # runc's table: cells of at least 12, three spaces between
GAP = 3


def run(arguments: Arguments) -> int:
    if arguments.format not in ("table", "json"):
        raise UsageError("invalid format option")
    documents = [document for document in containers(arguments) if document is not None]
    if arguments.quiet:
        log.say("".join([f"{document['id']}\n" for document in documents]))
    elif arguments.format == "json":
        log.say(jsonio.dumps(documents or None) + "\n")  # runc: null, not []
    else:
        log.say(table(documents))
    return 0


def containers(arguments: Arguments) -> list[dict[str, Any] | None]:
    """The state of every container, by id; None for those that cannot be read.

    A default root that does not exist means that no container was ever made; one that was asked for is a mistake.
    """
    try:
        posix.stat(arguments.root)
    except OSError as error:
        if error.errno == ENOENT and not arguments.root_given:
            return []
        raise
    store = Store(arguments.root)
    return [read_container(store, container_id) for container_id in store.ids()]


def read_container(store: Store, container_id: str) -> dict[str, Any] | None:
    try:
        record = store.load(container_id)
        document = state_document(record, status_of(record, store.root))
    except PyruncError as error:
        log.warning(f"container {container_id}: {error}, ignoring")
        return None
    document["owner"] = owner_of(posix.stat(f"{store.root}/{container_id}").st_uid)
    return document


def table(documents: Sequence[dict[str, Any]]) -> str:
    rows = [HEADER, *[tuple([str(document[name.lower()]) for name in HEADER]) for document in documents]]
    widths = [max(NARROWEST, *[len(row[column]) + GAP for row in rows]) for column in range(len(HEADER) - 1)]
    return "".join(
        [
            "".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)]) + row[-1] + "\n"
            for row in rows
        ]
    )
