"""The loopback device of a new network namespace."""

from __future__ import annotations

from _struct import Struct

from pyrunc.kernel.constants import AF_INET, IFF_UP, SIOCSIFFLAGS, SOCK_CLOEXEC, SOCK_DGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program

_IFREQ = Struct("<16sh22x")  # struct ifreq: name, flags (netdevice(7))


def emit_loopback_up(p: Program) -> None:
    """`lo` up, which also gives it its addresses.  For a new network namespace: a joined one stays as it is.

    The other flags need not be read first: IFF_LOOPBACK cannot be changed, and a new `lo` has no more.
    """
    with p.at("linux.namespaces", "network"):
        control = p.result("socket", AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, doing="open a socket")
        p.call("ioctl", control, SIOCSIFFLAGS, p.constant(_IFREQ.pack(b"lo", IFF_UP)), doing="bring lo up")
        p.close(control)
