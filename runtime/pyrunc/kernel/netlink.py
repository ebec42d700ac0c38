"""rtnetlink(7): links and addresses of one network namespace.  Messages in and out, nothing is decided here."""

from __future__ import annotations

import posix
from _struct import Struct

from pyrunc.kernel.constants import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# struct nlmsghdr (netlink(7)): length, type, flags, sequence, port.  struct rtattr (rtnetlink(7)): length, type.
HEADER = Struct("=IHHII")
ATTRIBUTE = Struct("=HH")
_MOST = 1 << 16  # a dump comes in messages of at most 32 KiB (netlink_dump() in net/netlink/af_netlink.c)
_TYPE_BITS = 0x3FFF  # NLA_TYPE_MASK: the two above are flags


class Netlink:
    """One socket.  Every request is answered before the next one."""

    def __init__(self, namespace: Fd) -> None:
        """In the network namespace behind the descriptor, with our privileges over that."""
        self._socket = Fd(check(helper.pyrunc_netlink_socket(namespace.number)))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def change(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """A request that is answered with yes or no: OSError with the kernel's errno."""
        for _ in self._ask(kind, NLM_F_ACK | flags, payload):
            pass

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """The payloads of all that there is."""
        return list(self._ask(kind, NLM_F_DUMP, payload))

    def get(self, kind: int, payload: bytes) -> bytes:
        """The payload of the one thing that was asked for."""
        return next(self._ask(kind, NLM_F_ACK, payload))

    def _ask(self, kind: int, flags: int, payload: bytes) -> Iterator[bytes]:
        self._sequence += 1
        size = HEADER.size + len(payload)
        posix.write(self._socket.number, HEADER.pack(size, kind, flags | NLM_F_REQUEST, self._sequence, 0) + payload)
        # All of the answer, whatever the caller takes of it: what is left in the socket would answer the next request.
        return iter(self._answers())

    def _answers(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            for kind, sequence, content in _messages(posix.read(self._socket.number, _MOST)):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    check(int.from_bytes(content[:4], "little", signed=True))
                    return found
                found.append(content)


def _messages(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence, payload) of each message in what one read(2) gave."""
    offset = 0
    while offset + HEADER.size <= len(content):
        size, kind, _flags, sequence, _port = HEADER.unpack_from(content, offset)
        yield kind, sequence, content[offset + HEADER.size : offset + size]
        offset += max(HEADER.size, _aligned(size))


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(size, kind) + value + bytes(_aligned(size) - size)


def attributes(content: bytes) -> dict[int, bytes]:
    """Those of a message's payload behind its fixed part, by type, in their order."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + ATTRIBUTE.size <= len(content):
        size, kind = ATTRIBUTE.unpack_from(content, offset)
        found[kind & _TYPE_BITS] = content[offset + ATTRIBUTE.size : offset + size]
        offset += max(ATTRIBUTE.size, _aligned(size))
    return found


def _aligned(size: int) -> int:
    return size + 3 & ~3
