"""The rootfs becomes "/", and the host's root is gone for good."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EPERM

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_SLAVE,
)
from pyrunc.rootfs.host import DIRECTORY, emit_chroot, emit_enter_slash, emit_open
from pyrunc.rootfs.options import PROPAGATIONS
from pyrunc.rootfs.trees import emit_attach, emit_host_propagation, emit_propagation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs


def emit_pivot(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """After this the current directory is "/" of the container and `root` is closed.

    Without a mount namespace it is a chroot(2): the mounts are the host's, there is nothing to pivot.
    """
    asked = inputs.config.linux.rootfs_propagation
    with p.at("root", inputs.rootfs):
        if not inputs.has_mount_namespace:
            emit_chroot(p, root)
        elif inputs.no_pivot:
            if asked in ("private", "rprivate"):
                raise ConfigError("linux.rootfsPropagation: private needs pivot_root, and --no-pivot forbids it")
            _emit_move(p, root)
        else:
            _emit_pivot_root(p, root)
    # Only now is it the propagation of the container's root and not of the host's; private it is already.
    propagation, recursive = PROPAGATIONS.get(asked, (MS_PRIVATE, False))
    if inputs.has_mount_namespace and propagation != MS_PRIVATE:
        with p.at("linux.rootfsPropagation", asked):
            emit_propagation(p, root, propagation, recursive=recursive, doing="set the propagation")
    p.close(root)


def _emit_pivot_root(p: Program, root: Register) -> None:
    """pivot_root(".", "."), see pivot_root(2), NOTES: both roots end up on "/", the host's on top.

    The old root is made a slave first: detaching it must not detach anything on the host.  Not private: the host may be
    unmounting something that only our copy still holds (device mapper), and a slave follows it.
    """
    old = emit_open(p, "/", DIRECTORY, doing="open the host's root")
    p.call("fchdir", root, doing="enter the rootfs")
    p.call("pivot_root", ".", ".", doing="pivot_root")
    p.call("fchdir", old, doing="enter the host's root")
    emit_propagation(p, old, MS_SLAVE, recursive=True, doing="make the host's root a slave")
    p.call("umount2", ".", MNT_DETACH, doing="detach the host's root")
    p.close(old)
    emit_enter_slash(p)


def _emit_move(p: Program, root: Register) -> None:
    """--no-pivot, for a host's root that is the initramfs: the rootfs is moved over "/".

    The host's mounts stay below it.  Its procfs and sysfs must not: as long as they are there, a user namespace made
    in the container could mount new ones without the masks (mount_too_revealing in fs/namespace.c).
    """
    emit_host_propagation(p, "/", MS_SLAVE, recursive=False, doing="make the host's root a slave")
    for path in ("/proc", "/sys"):
        refused, gone = p.target(), p.target()
        refusals = (EINVAL, EPERM, EBUSY)
        p.call("umount2", path, MNT_DETACH, doing=f"detach {path}", tolerate=refusals, otherwise=refused)
        p.jump(gone)
        p.here(refused)
        flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        p.call("mount", "none", path, "tmpfs", flags, "nr_inodes=1", doing=f"cover {path}")
        p.here(gone)
    slash = emit_open(p, "/", DIRECTORY, doing="open the host's root")
    emit_attach(p, root, slash, doing="move the rootfs over /")
    p.close(slash)
    emit_chroot(p, root)
