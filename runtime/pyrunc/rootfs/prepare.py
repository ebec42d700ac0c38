"""The rootfs as a mount of its own, in a mount namespace from which nothing leaks to the host."""

from __future__ import annotations

from errno import EACCES

from pyrunc.kernel.constants import (
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)
from pyrunc.rootfs.host import DIRECTORY, emit_open, emit_open_into
from pyrunc.rootfs.options import PROPAGATIONS
from pyrunc.rootfs.paths import clean_path
from pyrunc.rootfs.trees import (
    NOT_A_MOUNT_POINT,
    emit_attach,
    emit_clone,
    emit_host_propagation,
    emit_propagation,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

_HOLDER = "make the mount that holds the rootfs a slave"
UMASK = 0o022  # modes of what we make must not depend on who called us


def emit_rootfs(p: Program, inputs: RootfsInputs) -> Register:
    """Operations up to the mounts.  The register holds the descriptor that is the container's "/" from here on.

    Without a mount namespace of its own the container's mounts are the host's: no propagation is touched there.
    """
    p.call("umask", UMASK, doing="set the umask")
    with p.at("root", inputs.rootfs):
        if not inputs.has_mount_namespace:
            return emit_open(p, inputs.rootfs, DIRECTORY, doing="open it")
        _emit_host_propagation(p, inputs)
        return _emit_bind(p, inputs)


def _emit_host_propagation(p: Program, inputs: RootfsInputs) -> None:
    """Nothing mounted from here on reaches the host: "/" is a slave, or what linux.rootfsPropagation says.

    That may be shared, for volumes whose mounts are meant to reach the host, or leave some mounts as they are.  Then
    the mount that holds the rootfs becomes a slave all the same: it would hand on the rootfs's own, and pivot_root(2)
    refuses a shared one.  It is the deepest parent that is a mount point.  A slave, not private: volumes on the same
    mount go on seeing what the host mounts later (crun 1.27.1).
    """
    asked = inputs.config.linux.rootfs_propagation
    propagation, recursive = PROPAGATIONS.get(asked, (MS_SLAVE, True))
    if propagation == MS_UNBINDABLE:
        propagation = MS_PRIVATE  # for now: the rootfs and the volumes are still to be bound
    emit_host_propagation(p, "/", propagation, recursive=recursive, doing=f"make the host's mounts {asked or 'rslave'}")
    if recursive and propagation != MS_SHARED:
        return
    prefix = clean_path(inputs.rootfs)
    done = p.target()
    while prefix:
        higher = p.target()
        # EACCES: the uid 0 of a user namespace may not be allowed to look there.
        tolerated = (NOT_A_MOUNT_POINT, EACCES)
        emit_host_propagation(
            p, prefix, MS_SLAVE, recursive=False, doing=_HOLDER, tolerate=tolerated, otherwise=higher
        )  # fmt: skip
        p.jump(done)
        p.here(higher)
        prefix = prefix.rpartition("/")[0]
    emit_host_propagation(p, "/", MS_SLAVE, recursive=False, doing=_HOLDER)
    p.here(done)


def _emit_bind(p: Program, inputs: RootfsInputs) -> Register:
    """The rootfs bound on itself: pivot_root(2) wants a mount point, and the mount is ours to change.

    A copy is in the peer group of what it is a copy of; this one leaves it, before it is attached.
    """
    target = p.register()
    reached = p.target()
    if inputs.rootfs_fd >= 0:
        tree = p.register()
        p.set(tree, inputs.rootfs_fd)
        hidden = p.target()
        rootfs = inputs.rootfs
        emit_open_into(p, target, rootfs, DIRECTORY, doing="open it", tolerate=(EACCES,), otherwise=hidden)
        p.jump(reached)
        p.here(hidden)
        # Only hooks look at the rootfs's own path before pivot_root; over "/" it is as good a mount point.
        emit_open_into(p, target, "/", DIRECTORY, doing="open the host's root")
    else:
        tree = emit_clone(p, inputs.rootfs, recursive=True, doing="bind the rootfs")
        emit_open_into(p, target, inputs.rootfs, DIRECTORY, doing="open it")
    p.here(reached)
    emit_propagation(p, tree, MS_SLAVE, recursive=True, doing="make it a slave of the host's mounts")
    emit_propagation(p, tree, MS_PRIVATE, recursive=False, doing="make it private")
    emit_attach(p, tree, target, doing="bind the rootfs on itself")
    p.close(target)
    return tree
