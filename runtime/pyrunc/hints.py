"""Advice for failures whose cause is known: (errno, words of the error line) to one line.

A hint must never contain what engines look for in errors (`permission denied`, `no such file or directory`,
`does not exist`, ...: reference docs/compat.md): it would change the exit code of `docker run`.
"""

from __future__ import annotations

from errno import E2BIG, EBUSY, EINVAL, ELOOP, EMFILE, ENODEV, ENOMEM, ENOSPC, ENOSYS, EPERM, EROFS

# The first row that fits is taken: errno, words that must all be in the line, advice.
HINTS: tuple[tuple[int, tuple[str, ...], str], ...] = (
    (
        EPERM,
        ("device program",),
        "bpf(2) needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, of the host's user namespace",
    ),
    (ENOSYS, ("device program",), "this kernel has no bpf(2)"),
    (EINVAL, ("device program",), "rules for devices on cgroup version 2 need a kernel with CONFIG_CGROUP_BPF"),
    (EPERM, ("mount proc",), "in a user namespace /proc can be mounted only where the host's own is fully visible"),
    (EPERM, ("mount sysfs",), "sysfs needs a network namespace owned by the container's user namespace"),
    (EPERM, ("mount ",), "a mount locked by the outer user namespace keeps nosuid, nodev, noexec and ro: ask for them"),
    (EPERM, ("oom_score_adj",), "lowering oomScoreAdj needs CAP_SYS_RESOURCE"),
    (EPERM, ("rlimit",), "raising a hard limit needs CAP_SYS_RESOURCE"),
    (
        EPERM,
        ("set the scheduler",),
        "it takes CAP_SYS_NICE and, in the cpu cgroup, real-time time; and for SCHED_DEADLINE all"
        " CPUs: process scheduler can't be used together with AllowedCPUs",
    ),
    (EBUSY, ("set the scheduler",), "there is no bandwidth left for SCHED_DEADLINE: sched(7)"),
    (EPERM, ("set the i/o priority",), "IOPRIO_CLASS_RT takes CAP_SYS_NICE or CAP_SYS_ADMIN"),
    (EPERM, ("mknod",), "device nodes cannot be made in a user namespace or under a device cgroup that forbids them"),
    (EPERM, ("keyring",), "a seccomp profile around pyrunc may forbid keyctl: try --no-new-keyring"),
    (EPERM, ("setgroups",), "in a user namespace with one mapping setgroups is forbidden: leave additionalGids out"),
    (EINVAL, ("tmpcopyup: copy ",), "its owner must have an id in the container's user namespace"),
    (EINVAL, ("map the ids",), "id-mapped mounts need a file system that supports them (tmpfs since Linux 6.3)"),
    (EPERM, ("map the ids",), "what is id-mapped already, or was mounted in another user namespace, cannot be"),
    (EINVAL, ("pivot_root",), "pivot_root cannot leave a ramdisk: try --no-pivot"),
    (EINVAL, ("mount overlay",), "is a lower or upper directory missing, or on a file system overlay cannot use?"),
    (EINVAL, ("seccomp",), "this kernel refuses the filter: is an action or flag newer than the kernel?"),
    (ENODEV, ("mount ",), "this kernel does not know that file system type: see /proc/filesystems"),
    (EBUSY, ("mount cgroup",), "that cgroup hierarchy is mounted with other options already"),
    (ENOSPC, ("clone",), "too many nested or existing namespaces: see /proc/sys/user/max_*_namespaces"),
    (ENOSPC, ("cpuset",), "cpuset.cpus and cpuset.mems must be set before a process may enter"),
    (ENOSPC, ("keyring",), "the key quota is used up (/proc/sys/kernel/keys/maxkeys): try --no-new-keyring"),
    (EMFILE, (), "raise the limit of open files (ulimit -n)"),
    (ELOOP, (), "a symbolic link stands where none may be, or links go round in a circle"),
    (EROFS, ("make ",), "the mount point is missing in a read-only root filesystem: make it there beforehand"),
    (E2BIG, ("execve",), "arguments and environment together are too long"),
    (ENOMEM, ("cgroup",), "the memory limit is too small for the processes in it"),
    (ENOSYS, (), "pyrunc needs Linux 5.15 or newer, and a seccomp profile around it that allows its system calls"),
)


def hint_for(errno: int | None, line: str) -> str:
    """The advice for an error line, "" when there is none."""
    for known, words, advice in HINTS:
        if known == errno and all(word in line for word in words):
            return advice
    return ""
