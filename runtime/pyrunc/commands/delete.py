"""delete: remove a stopped (or never started) container; --force kills a running one first."""

from __future__ import annotations

from pyrunc.container.delete import delete_container
from pyrunc.container.store import Store, check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    delete_container(Store(arguments.root), check_id(arguments.container_id), force=arguments.force)
    return 0
