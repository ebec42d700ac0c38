"""Unix sockets, and descriptors sent over them.  Never abstract ones: CVE-2020-15257."""

from __future__ import annotations

import posix

from pyrunc.kernel.constants import SOCK_STREAM
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import buffer, check, helper, integers


def socket_pair() -> tuple[Fd, Fd]:
    """Two connected stream sockets."""
    pair = integers(2)
    check(helper.pyrunc_socketpair(SOCK_STREAM, pair))
    return Fd(pair[0]), Fd(pair[1])


def connect(path: str) -> Fd:
    """A stream socket connected to the socket at `path`; too long a path is ENAMETOOLONG (sun_path: unix(7))."""
    return Fd(check(helper.pyrunc_connect_unix(path.encode("utf-8", "surrogateescape"))))


def send_descriptor(socket: Fd, data: bytes, descriptor: Fd) -> None:
    check(helper.pyrunc_send_descriptor(socket.number, data, len(data), descriptor.number))


def send_all_with_descriptor(socket: Fd, data: bytes, descriptor: Fd) -> None:
    """All of `data`, however many sendmsg(2) that takes; the descriptor goes with the first."""
    sent = check(helper.pyrunc_send_descriptor(socket.number, data, len(data), descriptor.number))
    view = memoryview(data)[sent:]
    while view:
        view = view[posix.write(socket.number, view) :]


def receive_descriptor(socket: Fd) -> Fd:
    """The one descriptor of the next message; EPROTO when it does not carry exactly one."""
    return Fd(check(helper.pyrunc_receive_descriptor(socket.number, buffer(4096), 4096)))


def is_readable_within(socket: Fd, seconds: float) -> bool:
    """Whether there is something to read in time, or the end of it."""
    from select import POLLIN, poll  # most stages are alone, and need no patience

    poller = poll()
    poller.register(socket.number, POLLIN)
    return bool(poller.poll(seconds * 1000))


def read_exactly(socket: Fd, size: int) -> bytes:
    """`size` bytes, or fewer when the other side is gone."""
    content = b""
    while len(content) < size:
        try:
            chunk = posix.read(socket.number, size - len(content))
        except ConnectionResetError:  # ECONNRESET: the stage died with our bytes unread
            break
        if not chunk:
            break
        content += chunk
    return content


def write_all(socket: Fd, content: bytes) -> bool:
    """All of it, or False when the other side is gone (EPIPE; CPython ignores SIGPIPE)."""
    view = memoryview(content)
    try:
        while view:
            view = view[posix.write(socket.number, view) :]
    except (BrokenPipeError, ConnectionResetError):  # EPIPE, ECONNRESET
        return False
    return True
