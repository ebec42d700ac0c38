"""`state ID`: the OCI state document with the keys runc adds."""

from __future__ import annotations

from pyrunc import jsonio, log
from pyrunc.container.state import state_document
from pyrunc.container.status import status_of
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    record = Store(arguments.root).load(arguments.container_id)
    log.say(jsonio.dumps(state_document(record, status_of(record, arguments.root)), indent=2) + "\n")
    return 0
