"""A descriptor in a message: SCM_RIGHTS, unix(7)."""

from __future__ import annotations

from _struct import Struct

from pyrunc.kernel.constants import SCM_RIGHTS, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer

_MESSAGE = Struct("<QIxxxxQQQQIxxxx")  # struct msghdr: name, its length, iov, its count, control, its length, flags
_IOVEC = Struct("<QQ")
_CONTROL = Struct("<Qiiixxxx")  # struct cmsghdr with one descriptor, padded to 8
_CONTROL_LENGTH = 20


def descriptor_message(p: Program, content: bytes, descriptor: int) -> Pointer:
    """What sendmsg(2) takes to send these bytes with a descriptor, whose number must be known here."""
    vector = p.structure(_IOVEC.pack(0, len(content)), [(0, p.constant(content))])
    control = p.constant(_CONTROL.pack(_CONTROL_LENGTH, SOL_SOCKET, SCM_RIGHTS, descriptor))
    header = _MESSAGE.pack(0, 0, 0, 1, 0, _CONTROL.size, 0)
    return p.structure(header, [(16, vector), (32, control)])
