"""Mounts as descriptors: made detached, changed, attached to a descriptor, and looked at again.

A tree is configured before it is attached: it is never visible with other attributes than the ones asked for.
"""

from __future__ import annotations

from _struct import Struct
from errno import EINVAL

from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MOUNT_ATTR_SIZE_VER0,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register, Target
    from pyrunc.rootfs.options import Attributes

NOT_A_MOUNT_POINT = EINVAL  # mount_setattr(2), umount2(2)
_MOUNT_ATTR = Struct("<QQQQ")  # struct mount_attr: attr_set, attr_clr, propagation, userns_fd


def emit_clone(p: Program, path: str, *, recursive: bool, doing: str, follow: bool = True) -> Register:
    """A detached copy of the mount at a host path: what a bind mount is before it is attached."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    flags |= 0 if follow else AT_SYMLINK_NOFOLLOW
    return p.result("open_tree", AT_FDCWD, path, flags, doing=doing)


def emit_clone_of(p: Program, source: Register | int, *, recursive: bool, doing: str) -> Register:
    """The same, of what a descriptor stands for."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return p.result("open_tree", source, "", flags, doing=doing)


def emit_attributes(p: Program, tree: Register | int, attributes: Attributes, *, recursive: bool, doing: str) -> None:
    """Set and clear attributes; what is in neither stays, so flags that a user namespace has locked do too."""
    if attributes:
        _emit_setattr(p, tree, "", attributes.sets, attributes.clears, 0, recursive, doing)


def emit_propagation(p: Program, tree: Register | int, propagation: int, *, recursive: bool, doing: str) -> None:
    """`propagation` is one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE."""
    _emit_setattr(p, tree, "", 0, 0, propagation, recursive, doing)


def emit_host_propagation(
    p: Program,
    path: str,
    propagation: int,
    *,
    recursive: bool,
    doing: str,
    tolerate: tuple[int, ...] = (),
    otherwise: Target | None = None,
) -> None:
    """The same for a mount point of the host, as this mount namespace sees it."""
    _emit_setattr(p, AT_FDCWD, path, 0, 0, propagation, recursive, doing, tolerate, otherwise)


def _emit_setattr(
    p: Program,
    tree: Register | int,
    path: str,
    sets: int,
    clears: int,
    propagation: int,
    recursive: bool,
    doing: str,
    tolerate: tuple[int, ...] = (),
    otherwise: Target | None = None,
) -> None:
    flags = (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    wanted = p.constant(_MOUNT_ATTR.pack(sets, clears, propagation, 0))
    size = MOUNT_ATTR_SIZE_VER0
    p.call("mount_setattr", tree, path, flags, wanted, size, doing=doing, tolerate=tolerate, otherwise=otherwise)


def emit_attach(
    p: Program,
    tree: Register | int,
    target: Register | int,
    *,
    doing: str,
    tolerate: tuple[int, ...] = (),
    otherwise: Target | None = None,
) -> None:
    """Mount `tree` on what `target` stands for.  A directory goes on a directory, a file on a file (else EINVAL)."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    p.call("move_mount", tree, "", target, "", flags, doing=doing, tolerate=tolerate, otherwise=otherwise)
