"""Unix datagram sockets: what sd_notify(3) speaks.

_socket is imported here and by nobody on the hot path: only callers with NOTIFY_SOCKET need it.
"""

from __future__ import annotations

import _socket
import posix
from errno import EAGAIN
from select import POLLHUP, poll

from pyrunc.kernel.files import Fd

_MOST_BYTES = 4096  # of one message; sd_notify(3) has a few short lines


def bind_datagrams(directory: Fd, name: str, mode: int) -> Fd:
    """A non-blocking socket at `name` in the directory; by descriptor, as sun_path holds 108 bytes (unix(7))."""
    path = f"/proc/self/fd/{directory.number}/{name}"
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
    made.bind(path)
    bound = Fd(made.detach())
    posix.chmod(path, mode)
    return bound


def connect_datagrams(address: bytes) -> Fd:
    """A socket whose messages go to `address`; a leading @ is an abstract one, as sd_notify(3) has it."""
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    made.connect(b"\0" + address[1:] if address.startswith(b"@") else address)
    return Fd(made.detach())


def receive_datagram(socket: Fd) -> bytes | None:
    """The next message; None when there is none now.  What is beyond 4096 bytes is cut off."""
    try:
        return posix.read(socket.number, _MOST_BYTES)
    except BlockingIOError as error:
        if error.errno != EAGAIN:
            raise
        return None


def wait_for_receiver(socket: Fd, message: bytes, timeout_seconds: float) -> bool:
    """Send a message with a pipe's end, and wait until the receiver has closed it; False when he has not in time."""
    read_end, write_end = posix.pipe2(posix.O_CLOEXEC)
    with Fd(read_end), Fd(write_end) as handed:
        sender = _socket.socket(fileno=socket.number)
        try:
            rights = write_end.to_bytes(4, "little")
            sender.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        finally:
            sender.detach()
        handed.close()
        poller = poll()
        poller.register(read_end, POLLHUP)
        return bool(poller.poll(timeout_seconds * 1000))
