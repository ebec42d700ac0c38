"""A process that keeps a systemd scope open until the container's own is in it."""

from __future__ import annotations

from pyrunc.kernel.files import Fd
from pyrunc.kernel.processes import reap, send_signal, spawn_stage
from pyrunc.kernel.sockets import socket_pair
from pyrunc.process.spawn import sealed_stage

_SIGKILL = 9


class Holder:
    """The stage without a program: it waits for one, and ends with its `with` block."""

    def __init__(self) -> None:
        self.pid = 0
        self._pidfd = Fd(-1)
        self._socket = Fd(-1)

    def __enter__(self) -> Holder:
        return self

    def start(self) -> int:
        """Its pid.  It is in our cgroup and namespaces, has no descriptor but its end of a socket, and does nothing."""
        self._socket, theirs = socket_pair()
        with theirs, sealed_stage() as image:
            self.pid, self._pidfd = spawn_stage(image, [theirs.number], 0, -1)
        return self.pid

    def __exit__(self, *_error: object) -> None:
        if self.pid:
            send_signal(self._pidfd, _SIGKILL)
            reap(self.pid)
            self.pid = 0
        self._pidfd.close()
        self._socket.close()
