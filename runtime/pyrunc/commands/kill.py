"""kill: send a signal to a container; SIGTERM when none is named."""

from __future__ import annotations

from pyrunc.container.kill import kill_container
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    signal = arguments.positional[1] if len(arguments.positional) > 1 else "SIGTERM"
    kill_container(Store(arguments.root), arguments.container_id, signal, all_processes=arguments.all)
    return 0
