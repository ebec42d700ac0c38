"""A procfs of our own to write settings through: no mount of anybody is on it, and no container has seen it.

fsopen(2) makes a new instance that is attached nowhere (CVE-2025-52881: writes to /proc were led elsewhere by what was
mounted there).  Where that is not allowed it is the /proc of the mount namespace, asked whether it is the root of a
procfs; a mount on the way below is an error then, never a write to somewhere else (namespaces/sysctl.py).
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


def emit_procfs(p: Program) -> Register:
    """An O_PATH descriptor of its root, or what fsmount(2) gave: the caller closes it.  EUCLEAN for what is none."""
    refused, made = p.target(), p.target()
    attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    proc = emit_file_system(p, FileSystem("proc", "proc"), attributes, tolerate=_REFUSALS, otherwise=refused)
    p.jump(made)
    p.here(refused)
    p.call("openat", AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, doing="open /proc", into=proc)
    p.here(made)
    found, status = p.scratch(_STATFS_SIZE), p.scratch(_STATX_SIZE)
    p.call("fstatfs", proc, found, doing="ask what /proc is")
    p.check(found.field(0, 8), PROC_SUPER_MAGIC, doing="check that /proc is procfs", errno=EUCLEAN)
    p.call("statx", proc, "", AT_EMPTY_PATH, STATX_INO, status, doing="ask for its inode")
    p.check(status.field(_STX_INO, 8), _ROOT_INODE, doing="check that /proc is procfs' root", errno=EUCLEAN)
    return proc
