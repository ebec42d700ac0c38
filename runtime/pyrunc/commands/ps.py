"""`ps ID [ps options]`: the container's processes as ps(1) shows them, or their ids as JSON."""

from __future__ import annotations

from pyrunc import jsonio, log
from pyrunc.container.ps import processes_of, table
from pyrunc.container.store import Store
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    pids = processes_of(Store(arguments.root), arguments.container_id)
    if arguments.format == "json":
        log.say(jsonio.dumps(pids or None) + "\n")  # runc: null, not []
    elif arguments.format == "table":
        log.say(table(pids, arguments.positional[1:] or ("-ef",)))
    else:
        raise UsageError("invalid format option")
    return 0
