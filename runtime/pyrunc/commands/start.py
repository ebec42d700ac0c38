"""start: execute the program of a created container."""

from __future__ import annotations

from pyrunc.container.start import start_container
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    start_container(Store(arguments.root), arguments.container_id)
    return 0
