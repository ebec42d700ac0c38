"""The host-side mount calls: trees cloned for a stage that could not reach their paths itself."""

from __future__ import annotations

from pyrunc.kernel.constants import AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, MOUNT_ATTR_NODEV, OPEN_TREE_CLONE
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper


def clone_tree(path: str, *, recursive: bool, follow: bool = True) -> Fd:
    """open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount (tree) at a host path."""
    flags = OPEN_TREE_CLONE | (AT_RECURSIVE if recursive else 0) | (0 if follow else AT_SYMLINK_NOFOLLOW)
    return Fd(check(helper.pyrunc_open_tree(AT_FDCWD, path.encode("utf-8", "surrogateescape"), flags)))


def allow_devices(tree: Fd) -> None:
    """Clear nodev, which file systems like /run have."""
    check(helper.pyrunc_mount_setattr(tree.number, 0, 0, MOUNT_ATTR_NODEV, -1))


def map_ids(tree: Fd, namespace: Fd, *, recursive: bool) -> None:
    """mount_setattr(2), MOUNT_ATTR_IDMAP: the ids of a detached tree as the map of a user namespace has them."""
    check(helper.pyrunc_mount_setattr(tree.number, AT_RECURSIVE if recursive else 0, 0, 0, namespace.number))


def file_system_magic(descriptor: Fd) -> int:
    """f_type of statfs(2)."""
    return check(helper.pyrunc_file_system_magic(descriptor.number))
