"""explain: print what `create` would do with a bundle; nothing is done."""

from __future__ import annotations

from pyrunc.container.explain import explain_json, explain_text
from pyrunc.container.options import CreateOptions
from pyrunc.log import encode, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments

CONTAINER_ID = "explained"


def run(arguments: Arguments) -> int:
    options = CreateOptions(
        container_id=CONTAINER_ID,
        bundle=arguments.bundle or ".",
        no_pivot=arguments.no_pivot,
        no_new_keyring=arguments.no_new_keyring,
        preserve_fds=arguments.preserve_fds,
        cgroup_manager=arguments.cgroup_driver,
        detach=False,  # a terminal needs no console socket to be explained
    )
    write_all(1, encode(explain_json(options) if arguments.json else explain_text(options)))
    return 0
