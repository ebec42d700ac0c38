"""sd_notify(3) out of a container: a socket of ours inside, the caller's NOTIFY_SOCKET outside.

The container's process cannot reach the caller's socket, and its pid means nothing there.  So it gets a socket of its
own at /run/notify, and READY=1 is what goes on, followed by the pid that is the service's main process out here.
Nothing else is passed on, as in runc: what a container says about pids, watchdogs or stored descriptors is for no
service manager of the host to believe.
"""

from __future__ import annotations

import posix
from errno import ECONNREFUSED, ENOENT
from select import POLLIN, poll

from ocispec.config import Mount
from ocispec.record import replace
from pyrunc import log
from pyrunc.errors import during
from pyrunc.kernel.datagrams import bind_datagrams, connect_datagrams, receive_datagram, wait_for_receiver
from pyrunc.kernel.processes import open_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.kernel.files import Fd

SOCKET = "notify.sock"
INSIDE = "/run/notify"
_MODE = 0o777  # whatever user the container's process is
_AT_ONCE = 16  # messages, before somebody else is served
_BARRIER_SECONDS = 30  # what sd_notify_barrier(3) says is usual


def with_notify_socket(config: Config, source: str) -> Config:
    """The config with `source`, the directory that will hold our socket, at /run/notify and in the environment."""
    if config.process is None:
        return config
    mount = Mount(
        destination=INSIDE, type="bind", source=source, options=("bind", "nosuid", "noexec", "nodev", "ro", "private")
    )
    process = replace(config.process, env=(*config.process.env, f"NOTIFY_SOCKET={INSIDE}/{SOCKET}"))
    return replace(config, mounts=(*config.mounts, mount), process=process)


class Notifier:
    """Our socket, until the container is ready; then whatever comes is read and forgotten."""

    def __init__(self, directory: Fd, caller: bytes) -> None:
        with during("NOTIFY_SOCKET"):
            self.socket = bind_datagrams(directory, SOCKET, _MODE)
        self._caller = caller
        self.is_ready = False

    def serve(self, main_pid: int) -> None:
        """Take what has come; the first READY=1 goes to the caller, with `main_pid` as the process to look after."""
        for _turn in range(_AT_ONCE):
            message = receive_datagram(self.socket)
            if message is None:
                return
            if not self.is_ready and b"READY=1" in message.split(b"\n"):
                self.is_ready = True
                _tell(self._caller, main_pid)

    def wait(self, pid: int) -> None:
        """Until READY=1 has been passed on, or the container, whose init this is, has ended."""
        pidfd = open_pidfd(pid)
        if pidfd is None:
            return
        poller = poll()
        poller.register(self.socket.number, POLLIN)
        poller.register(pidfd.number, POLLIN)
        with self.socket, pidfd:
            while not self.is_ready:
                ready = dict(poller.poll())
                self.serve(pid)
                if pidfd.number in ready:
                    return


def _tell(caller: bytes, main_pid: int) -> None:
    """A caller who is gone does not keep the container from running."""
    try:
        with connect_datagrams(caller) as socket:
            posix.write(socket.number, b"READY=1\n")
            posix.write(socket.number, f"MAINPID={main_pid}\n".encode())
            wait_for_receiver(socket, b"BARRIER=1", _BARRIER_SECONDS)
    except OSError as error:
        if error.errno not in (ECONNREFUSED, ENOENT):
            raise
        log.warning(f"NOTIFY_SOCKET: {posix.strerror(error.errno)}")
