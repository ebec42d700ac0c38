"""create: make a container from a bundle; it waits for `start`."""

from __future__ import annotations

from pyrunc.container.create import create_container
from pyrunc.container.options import CreateOptions
from pyrunc.container.store import Store, check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    create_container(Store(arguments.root), create_options(arguments, detach=True), lambda _created: None)
    return 0


def create_options(arguments: Arguments, *, detach: bool) -> CreateOptions:
    """What the flags of `create` and `run` say; relative paths are made absolute before the bundle is entered."""
    return CreateOptions(
        container_id=check_id(arguments.container_id),
        bundle=arguments.bundle or ".",
        pid_file=absolute(arguments.pid_file),
        console_socket=absolute(arguments.console_socket),
        pidfd_socket=absolute(arguments.pidfd_socket),
        no_pivot=arguments.no_pivot,
        no_new_keyring=arguments.no_new_keyring,
        preserve_fds=arguments.preserve_fds,
        cgroup_manager=arguments.cgroup_driver,
        detach=detach,
    )


def absolute(path: str) -> str:
    from posix import getcwd

    return f"{getcwd()}/{path}" if path and not path.startswith("/") else path
