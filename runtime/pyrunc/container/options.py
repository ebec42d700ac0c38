"""What a command line asks of a container, defaults resolved."""

from __future__ import annotations

from ocispec.record import Record


class CreateOptions(Record):
    container_id: str
    bundle: str = "."
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    systemd_cgroup: bool = False
    detach: bool = True  # create, and run -d: nobody stays to serve a terminal
