"""run: create and start; in the foreground, stay until the container ends and exit as it did."""

from __future__ import annotations

from pyrunc.commands.create import create_options
from pyrunc.container.run import run_detached, run_foreground
from pyrunc.container.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    store = Store(arguments.root)
    options = create_options(arguments, detach=arguments.detach)
    if arguments.detach:
        run_detached(store, options)
        return 0
    return run_foreground(store, options, keep=arguments.keep, subreaper=not arguments.no_subreaper)
