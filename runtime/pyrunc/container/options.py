"""What a command line asks of a container, defaults resolved."""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.execute import ExecOptions


class CreateOptions(Record):
    container_id: str
    bundle: str = "."
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    cgroup_manager: str = "cgroupfs"  # cgroupfs, systemd, disabled
    detach: bool = True  # create, and run -d: nobody stays to serve a terminal


def check_console(options: CreateOptions | ExecOptions, terminal: bool) -> None:
    if options.detach and terminal and not options.console_socket:
        raise UsageError("cannot allocate tty if runc will detach without setting console socket")
    if options.console_socket and not (options.detach and terminal):
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")
