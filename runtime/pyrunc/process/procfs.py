"""The procfs that settings are written through: never one that a container may have had its hands on.

*   Sysctls: fsopen(2) makes a new instance that is attached nowhere (CVE-2025-52881: writes to /proc were led elsewhere
    by what was mounted there).  The stage writes them in the container's namespaces, and outer runtimes often have a
    read-only mount on /proc/sys, which the new instance is free of.
*   Labels and oom_score_adj, and where no new instance is allowed: the host's /proc by descriptor, asked whether it is
    the root of a procfs (CVE-2019-16884); below it no mount and no magic link is followed.  A link or another file of
    a procfs in the attribute's place (the rest of CVE-2025-52881) is an error then, never a write to somewhere else.
    That is enough, and four calls cheaper than an instance of one's own: runc needs that because it writes them after
    pivot_root(2), in a /proc that the container's mounts made; here it is before, where only the host mounts.

The host's is what "/proc" is until the stage joins a mount namespace by path.  From there on the name belongs to
others, and the parent has given the stage a descriptor (`proc`).
"""

from __future__ import annotations

from errno import EACCES, EBUSY, ENOSYS, EPERM, EUCLEAN

from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
    PROC_SUPER_MAGIC,
    STATX_INO,
)
from pyrunc.rootfs.filesystems import FileSystem, emit_file_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register

# EPERM, EBUSY: no capabilities over the pid namespace, or no complete /proc in sight (mount_too_revealing in
# fs/namespace.c): a runtime in a container.  EACCES: AppArmor in LXC (runc #4968).  ENOSYS: a profile around us.
_REFUSALS = (EPERM, EACCES, EBUSY, ENOSYS)
_STATFS_SIZE = 120  # statfs(2); f_type is its first word
_STATX_SIZE = 256
_STX_INO = 32  # u64: statx(2)
_ROOT_INODE = 1  # PROC_ROOT_INO: linux/proc_fs.h; a bind of /proc/PID, or of anything else of one, has another


def emit_procfs(p: Program, proc: int | None = None) -> Register:
    """What fsmount(2) gave, or the host's (`emit_host_procfs`): the caller closes it."""
    refused, made = p.target(), p.target()
    attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    opened = emit_file_system(p, FileSystem("proc", "proc"), attributes, tolerate=_REFUSALS, otherwise=refused)
    p.jump(made)
    p.here(refused)
    _emit_open(p, opened, proc)
    p.here(made)
    _emit_check(p, opened)
    return opened


def emit_host_procfs(p: Program, proc: int | None = None) -> Register:
    """An O_PATH descriptor of the root of the host's procfs, to be closed.  EUCLEAN for what is none.

    `proc`: a descriptor of it, or None as long as "/proc" is the host's.
    """
    opened = p.register()
    _emit_open(p, opened, proc)
    _emit_check(p, opened)
    return opened


def _emit_open(p: Program, into: Register, proc: int | None) -> None:
    directory, path = (AT_FDCWD, "/proc") if proc is None else (proc, ".")
    p.call("openat", directory, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, doing="open /proc", into=into)


def _emit_check(p: Program, proc: Register) -> None:
    found, status = p.scratch(_STATFS_SIZE), p.scratch(_STATX_SIZE)
    p.call("fstatfs", proc, found, doing="ask what /proc is")
    p.check(found.field(0, 8), PROC_SUPER_MAGIC, doing="check that /proc is procfs", errno=EUCLEAN)
    p.call("statx", proc, "", AT_EMPTY_PATH, STATX_INO, status, doing="ask for its inode")
    p.check(status.field(_STX_INO, 8), _ROOT_INODE, doing="check that /proc is procfs' root", errno=EUCLEAN)
