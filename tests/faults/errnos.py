"""Errnos that a system call may well fail with on a machine in trouble: man 2 of each, the ERRORS sections.

Not what would be a lie: EPIPE and ECONNRESET say that the other end is gone, which the next read would show as well;
ENOENT of rmdir(2) and unlink(2) that there is nothing to remove, EBUSY that another container is in there.
"""

from __future__ import annotations

from errno import (
    EACCES,
    EAGAIN,
    EBUSY,
    EFBIG,
    EINTR,
    EINVAL,
    EIO,
    EMFILE,
    ENFILE,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    EPERM,
    EROFS,
    ESRCH,
)

_OPEN = (ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EIO)
_PATH = (ENOENT, EACCES, EIO, ENOMEM)
_MAKE = (ENOSPC, EROFS, EACCES, EIO)
_CHANGE = (EPERM, EROFS, EIO)
_REMOVE = (EROFS, EIO, EACCES)
_MOUNT = (EPERM, EINVAL, ENOMEM, EBUSY, ENOSYS)
_SEND = (EAGAIN, ENOMEM)

PLAUSIBLE: dict[str, tuple[int, ...]] = {
    "access": _PATH,
    "bpf": (EPERM, EINVAL, ENOMEM, ENOSYS),
    "brk": (ENOMEM,),
    "capset": (EPERM,),
    "chdir": _PATH,
    "chmod": _CHANGE,
    "chroot": (EPERM, ENOMEM),
    "clone": (EAGAIN, ENOMEM, ENOSPC, EPERM),
    "clone3": (EAGAIN, ENOMEM, ENOSPC, EPERM, ENOSYS),
    "close": (EIO,),
    "close_range": (EINVAL, EMFILE, ENOSYS),
    "connect": (EACCES, EAGAIN),
    "dup2": (EMFILE, EBUSY),
    "dup3": (EMFILE, EBUSY),
    "epoll_create1": (EMFILE, ENOMEM),
    "execve": (EACCES, ENOENT, ENOMEM, EIO),
    "execveat": (EACCES, ENOENT, ENOMEM, EIO),
    "faccessat": _PATH,
    "faccessat2": _PATH,
    "fchdir": (EACCES, EIO),
    "fchmodat": _CHANGE,
    "fchown": _CHANGE,
    "fchownat": _CHANGE,
    "fcntl": (EINVAL, EMFILE, EPERM),
    "flock": (EINTR, ENOMEM),
    "fsconfig": _MOUNT,
    "fsmount": _MOUNT,
    "fsopen": _MOUNT,
    "fstatfs": (EIO, ENOSYS),
    "getcwd": (ENOENT, ENOMEM),
    "getdents64": (EIO, ENOENT),
    "getrandom": (ENOSYS,),
    "ioctl": (EIO, EPERM, EBUSY),
    "keyctl": (ENOSYS, ENOMEM, EPERM),
    "kill": (EPERM, ESRCH),
    "lseek": (EIO,),
    "madvise": (EAGAIN, ENOMEM),
    "memfd_create": (EMFILE, ENOMEM, ENFILE),
    "mkdir": _MAKE,
    "mkdirat": _MAKE,
    "mknod": (*_MAKE, EPERM),
    "mknodat": (*_MAKE, EPERM),
    "mmap": (ENOMEM,),
    "mount": _MOUNT,
    "mount_setattr": _MOUNT,
    "move_mount": _MOUNT,
    "mprotect": (ENOMEM,),
    "newfstatat": _PATH,
    "open_tree": (*_OPEN, ENOSYS),
    "openat": _OPEN,
    "openat2": (*_OPEN, EAGAIN, ENOSYS),
    "pidfd_open": (EMFILE, ENOMEM, ESRCH),
    "pidfd_send_signal": (ESRCH, EPERM),
    "pivot_root": (EBUSY, EINVAL, EPERM),
    "poll": (EINTR, ENOMEM),
    "ppoll": (EINTR, ENOMEM),
    "prctl": (EPERM, EINVAL),
    "pread64": (EIO,),
    "prlimit64": (EPERM,),
    "pwrite64": (ENOSPC, EIO),
    "read": (EIO, EINTR, ENODEV),
    "readlink": _PATH,
    "recvmsg": (EAGAIN, ENOMEM),
    "renameat": (ENOSPC, EROFS, EIO),
    "rmdir": _REMOVE,
    "rt_sigaction": (EINVAL,),
    "rt_sigprocmask": (EINVAL,),
    "seccomp": (EINVAL, ENOMEM),
    "sendmsg": _SEND,
    "sendto": _SEND,
    "setgroups": (EPERM, ENOMEM),
    "sethostname": (EPERM,),
    "setns": (EPERM, EINVAL),
    "setresgid": (EPERM, EAGAIN),
    "setresuid": (EPERM, EAGAIN),
    "setsid": (EPERM,),
    "signalfd4": (EMFILE, ENOMEM),
    "socket": (EMFILE, EACCES),
    "socketpair": (EMFILE, ENOMEM),
    "statx": _PATH,
    "symlinkat": _MAKE,
    "umount2": (EBUSY, EPERM),
    "uname": (ENOSYS,),
    "unlinkat": _REMOVE,
    "unshare": (EPERM, EINVAL, ENOMEM, ENOSPC),
    "wait4": (EINTR,),
    "waitid": (EINTR,),
    "write": (ENOSPC, EIO, EINTR, EFBIG, EBUSY),
}

# They have no errors, or only for arguments that nobody gives them; libc does not look at those of the last five.
NEVER_FAIL = frozenset(
    "exit_group getegid geteuid getpid umask munmap arch_prctl rseq set_robust_list set_tid_address".split()
)
