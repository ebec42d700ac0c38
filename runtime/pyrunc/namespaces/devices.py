"""linux.netDevices: network devices of the host's that become the container's (config-linux.md#network-devices).

Each is taken down, moved and renamed in one message, given its addresses again (the kernel drops them on the way), and
taken up.  What stays is what the kernel keeps with a device (MTU, hardware address, alias) and its global, permanent
addresses; the others belong to the network it was in.

A create that fails afterwards gives them back: with the container's namespace a virtual device would be destroyed, and
a physical one come home without a name (default_device_exit_net() in net/core/dev.c).  After that they are the
container's: nobody brings them back at its end, as the spec has it.
"""

from __future__ import annotations

from _struct import Struct
from errno import ENODEV

from ocispec.reader import shown
from ocispec.record import Record
from pyrunc import log
from pyrunc.errors import ConfigError, PyruncError, during
from pyrunc.kernel.constants import (
    IFA_F_DADFAILED,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_TENTATIVE,
    IFA_FLAGS,
    IFA_LABEL,
    IFF_UP,
    IFLA_IFNAME,
    IFLA_NET_NS_FD,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    O_RDONLY,
    RT_SCOPE_UNIVERSE,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
)
from pyrunc.kernel.files import Fd, open_file
from pyrunc.kernel.netlink import Netlink, attribute, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocispec.linux import NetDevice

_LINK = Struct("=BxHiII")  # struct ifinfomsg (rtnetlink(7)): family, type, index, flags, change
_ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
# What the kernel says about an address, not what somebody asked for.
_STATES = IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC
_PLACEHOLDER = "%d"
_MOST_DEVICES = 1 << 15  # __dev_alloc_name() in net/core/dev.c looks no further either


class Link(Record):
    """A device as its namespace has it."""

    name: str
    index: int
    is_up: bool


class _Move(Record):
    source: Link
    inside: str  # its name there


class Namespace:
    """A network namespace: a socket to ask it, and a descriptor to move things to it."""

    def __init__(self, descriptor: Fd) -> None:
        self.descriptor = descriptor
        self.netlink = Netlink(descriptor)

    def close(self) -> None:
        self.netlink.close()
        self.descriptor.close()

    def find(self, name: str) -> Link | None:
        try:
            answer = self.netlink.get(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, _bytes(name)))
        except OSError as error:
            if error.errno == ENODEV:
                return None
            raise
        _family, _type, index, flags, _change = _LINK.unpack_from(answer)
        return Link(name=name, index=index, is_up=bool(flags & IFF_UP))

    def names(self) -> frozenset[str]:
        answers = self.netlink.dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0))
        found = (attributes(answer[_LINK.size :]).get(IFLA_IFNAME, b"") for answer in answers)
        return frozenset(name.rstrip(b"\0").decode("utf-8", "surrogateescape") for name in found)

    def set_up(self, index: int, *, up: bool) -> None:
        self.netlink.change(RTM_NEWLINK, _LINK.pack(0, 0, index, IFF_UP if up else 0, IFF_UP))

    def addresses(self, index: int) -> list[bytes]:
        """RTM_NEWADDR payloads of the device's global, permanent addresses."""
        found = self.netlink.dump(RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0))
        return [address for address in found if is_kept(address, index)]

    def add_address(self, address: bytes, link: Link, old_name: str) -> None:
        self.netlink.change(RTM_NEWADDR, moved_address(address, link, old_name), NLM_F_CREATE | NLM_F_REPLACE)


class MovedDevices:
    """The devices that went to one container's network namespace, until it is complete."""

    def __init__(self, namespace: Fd) -> None:
        """`namespace` is the container's; taken over."""
        self._inside = Namespace(Fd(namespace.take()))
        self._host = Namespace(open_file("/proc/thread-self/ns/net", O_RDONLY))
        self._moved: list[_Move] = []

    def move(self, devices: Mapping[str, NetDevice]) -> None:
        """All of them, in order.  Raises ConfigError for a name that is missing here or taken there, KernelError."""
        for name, device in devices.items():
            with during(f"linux.netDevices[{shown(name)}]"):
                self._move_one(name, device.name or name)

    def _move_one(self, name: str, wanted: str) -> None:
        link = self._host.find(name)
        if link is None:
            raise ConfigError("there is no such network device on the host")
        inside = free_name(wanted, self._inside.names())
        # Noted first: what fails halfway is given back too.
        self._moved.append(_Move(source=link, inside=inside))
        _transfer(self._host, self._inside, link, inside, up=True)

    def give_back(self) -> None:
        """The devices to where they were; what cannot be is logged, for the error that brought us here goes on."""
        for move in reversed(self._moved):
            try:
                with during(f"give the network device {shown(move.source.name)} back"):
                    link = self._inside.find(move.inside)
                    if link is not None:
                        _transfer(self._inside, self._host, link, move.source.name, up=move.source.is_up)
            except PyruncError as error:
                log.warning(str(error))
        self.close()

    def close(self) -> None:
        self._inside.close()
        self._host.close()


def _transfer(source: Namespace, target: Namespace, link: Link, name: str, *, up: bool) -> None:
    addresses = source.addresses(link.index)
    with during("take it down"):
        source.set_up(link.index, up=False)
    with during("move it to the other network namespace"):
        payload = _LINK.pack(0, 0, link.index, 0, 0)
        payload += attribute(IFLA_NET_NS_FD, target.descriptor.number.to_bytes(4, "little"))
        payload += attribute(IFLA_IFNAME, _bytes(name))
        source.netlink.change(RTM_NEWLINK, payload)
    moved = target.find(name)
    if moved is None:
        raise PyruncError("it has vanished on the way")
    for address in addresses:
        with during("give it its address again"):
            target.add_address(address, moved, link.name)
    if up:
        with during("take it up"):
            target.set_up(moved.index, up=True)


def free_name(wanted: str, taken: frozenset[str]) -> str:
    """The name inside: `eth%d` is eth with the first number that is free.  Raises ConfigError."""
    if "%" not in wanted:
        if wanted in taken:
            raise ConfigError(f"the container's network namespace has a device {shown(wanted)} already")
        return wanted
    start, placeholder, end = wanted.partition(_PLACEHOLDER)
    if not placeholder or "%" in start + end:
        raise ConfigError(f"name: must have one %d, and no other %, not {shown(wanted)}")
    for number in range(_MOST_DEVICES):
        name = f"{start}{number}{end}"
        if name not in taken:
            return name
    raise ConfigError(f"name: no number is free for {shown(wanted)}")


def is_kept(address: bytes, index: int) -> bool:
    """Whether an address of a dump is this device's, global and permanent."""
    _family, _length, flags, scope, its_index = _ADDRESS.unpack_from(address)
    return its_index == index and scope == RT_SCOPE_UNIVERSE and bool(_flags(address, flags) & IFA_F_PERMANENT)


def moved_address(address: bytes, link: Link, old_name: str) -> bytes:
    """The payload of a dump as a request for the device in its new place; a label follows the device's name."""
    family, length, flags, scope, _index = _ADDRESS.unpack_from(address)
    wanted = _flags(address, flags) & ~_STATES
    rest = attributes(address[_ADDRESS.size :])
    rest[IFA_FLAGS] = wanted.to_bytes(4, "little")
    if IFA_LABEL in rest:
        label = rest[IFA_LABEL].rstrip(b"\0").removeprefix(_bytes(old_name).rstrip(b"\0"))
        rest[IFA_LABEL] = (link.name.encode("utf-8", "surrogateescape") + label)[:15] + b"\0"
    head = _ADDRESS.pack(family, length, wanted & 0xFF, scope, link.index)
    return head + b"".join(attribute(kind, value) for kind, value in rest.items())


def _flags(address: bytes, low: int) -> int:
    """All 32 bits, where the kernel gives them (Linux 3.14)."""
    wide = attributes(address[_ADDRESS.size :]).get(IFA_FLAGS)
    return low if wide is None else int.from_bytes(wide, "little")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape") + b"\0"
