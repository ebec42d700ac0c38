"""resume: let the processes of a paused container go on."""

from __future__ import annotations

from pyrunc.container.pause import resume_container
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    resume_container(Store(arguments.root), arguments.container_id)
    return 0
