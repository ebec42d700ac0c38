"""`checkpoint`: podman looks at its --help; the command itself is not in this build."""

from __future__ import annotations

from pyrunc.container.store import Store
from pyrunc.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments

NO_CRIU = "this build of pyrunc has no CRIU support yet"


def run(arguments: Arguments) -> int:
    Store(arguments.root).load(arguments.container_id)
    raise Unsupported(f"checkpoint: {NO_CRIU}")
