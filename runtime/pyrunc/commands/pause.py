"""pause: stop all processes of a container, until it is resumed."""

from __future__ import annotations

from pyrunc.container.pause import pause_container
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    pause_container(Store(arguments.root), arguments.container_id)
    return 0
