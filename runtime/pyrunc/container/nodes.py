"""linux.devices of a container with a user namespace, which may make none: nodes in its state directory for a while."""

from __future__ import annotations

import posix

from pyrunc.errors import during
from pyrunc.kernel.mounts import allow_devices, clone_tree
from pyrunc.process.descriptors import device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.container.store import Directory
    from pyrunc.kernel.files import Fd
    from pyrunc.process.parent import Opened
    from pyrunc.rootfs.devices import DeviceNode

NAME = "node"  # with an index in linux.devices


def make_nodes(directory: Directory, nodes: Sequence[DeviceNode], opened: Opened) -> None:
    """Each as a detached mount.  What has no name any more cannot be mounted: `remove_nodes` comes later."""
    for node in nodes:
        with during(f"linux.devices[{node.index}] {node.path}: make the device"):
            opened.own(device(node.index), _make(directory, node))


def remove_nodes(directory: Directory, nodes: Sequence[DeviceNode]) -> None:
    """Their names; who has one mounted keeps it."""
    for node in nodes:
        try:
            posix.unlink(f"{NAME}{node.index}", dir_fd=directory.fd.number)
        except FileNotFoundError:  # ENOENT: it was the host's
            pass


def _make(directory: Directory, node: DeviceNode) -> Fd:
    """The host's own node at the same path, where we may not make one (EPERM: no CAP_MKNOD)."""
    path = f"{directory.path}/{NAME}{node.index}"
    try:
        posix.mknod(path, node.kind, node.number)
    except PermissionError:  # EPERM
        return clone_tree(node.path, recursive=False)
    posix.chown(path, node.uid, node.gid)
    posix.chmod(path, node.mode)
    tree = clone_tree(path, recursive=False)
    allow_devices(tree)
    return tree
