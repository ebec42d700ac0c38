"""Unix datagram sockets: what sd_notify(3) speaks."""

from __future__ import annotations

import posix
from errno import EAGAIN
from select import POLLHUP, poll

from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper
from pyrunc.kernel.sockets import send_descriptor

_MOST_BYTES = 4096  # of one message; sd_notify(3) has a few short lines


def bind_datagrams(directory: Fd, name: str, mode: int) -> Fd:
    """A non-blocking socket at `name` in the directory; by descriptor, as sun_path holds 108 bytes (unix(7))."""
    path = f"/proc/self/fd/{directory.number}/{name}"
    bound = Fd(check(helper.pyrunc_bind_datagrams(path.encode())))
    posix.chmod(path, mode)
    return bound


def connect_datagrams(address: bytes) -> Fd:
    """A socket whose messages go to `address`; a leading @ is an abstract one, as sd_notify(3) has it."""
    name = b"\0" + address[1:] if address.startswith(b"@") else address
    return Fd(check(helper.pyrunc_connect_datagrams(name, len(name))))


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
        send_descriptor(socket, message, handed)
        handed.close()
        poller = poll()
        poller.register(read_end, POLLHUP)
        return bool(poller.poll(timeout_seconds * 1000))
