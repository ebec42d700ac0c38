"""Processes: starting the stage, waiting, signals by pidfd, who is who."""

from __future__ import annotations

import posix
from errno import EACCES, ECHILD, ENOENT, EPERM, ESRCH
from select import POLLIN, poll

from pyrunc.kernel.files import Fd, read_file
from pyrunc.kernel.lib import check, helper, integer_array, integers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STAGE_NAME = "pyrunc"
_FIRST_AFTER_STDERR = 3
_LONGEST_WAIT_SECONDS = 2_000_000


def spawn_stage(stage: Fd, descriptors: Sequence[int], flags: int, cgroup: int) -> tuple[int, Fd]:
    """clone3(2) of the stage with these descriptors as 3, 4, …; `cgroup` -1 stays in ours.  The pid and its pidfd."""
    pidfd = integers(1)
    fds = integer_array(list(descriptors))
    pid = check(helper.pyrunc_spawn_stage(stage.number, fds, len(descriptors), flags, cgroup, pidfd))
    return pid, Fd(pidfd[0])


def open_pidfd(pid: int) -> Fd | None:
    """A pidfd (close-on-exec by birth, pidfd_open(2)), or None when there is no such process."""
    try:
        return Fd(posix.pidfd_open(pid))
    except OSError as error:
        if error.errno == ESRCH:
            return None
        raise


def send_signal(pidfd: Fd, number: int) -> bool:
    """pidfd_send_signal(2); False when the process is gone."""
    try:
        check(helper.pyrunc_send_signal(pidfd.number, number))
    except OSError as error:
        if error.errno == ESRCH:
            return False
        raise
    return True


def take_descriptor(pidfd: Fd, number: int) -> Fd:
    """A copy of another process's descriptor: pidfd_getfd(2), which asks what ptrace(2) asks."""
    return Fd(check(helper.pyrunc_pidfd_getfd(pidfd.number, number)))


def wait_for_exit(pidfd: Fd, timeout_seconds: float | None = None) -> bool:
    """Whether the process ended in time (a pidfd polls readable then); not a waitpid(2)."""
    poller = poll()
    poller.register(pidfd.number, POLLIN)
    # poll(2) counts 2^31 milliseconds at most, 24 days: more is as good as no limit.
    if timeout_seconds is None or timeout_seconds > _LONGEST_WAIT_SECONDS:
        return bool(poller.poll())
    return bool(poller.poll(timeout_seconds * 1000))


def reap(pid: int) -> int | None:
    """waitpid(2) of our child: its wait status, or None when it is not our child (any more)."""
    try:
        return posix.waitpid(pid, 0)[1]
    except OSError as error:
        if error.errno == ECHILD:
            return None
        raise


def start_time(pid: int) -> tuple[int, str] | None:
    """(starttime, state letter) of /proc/PID/stat, fields 22 and 3: proc_pid_stat(5); None when there is none.

    With the pid this names one process of this boot.  A zombie has state Z, one being reaped X.
    """
    try:
        content = read_file(f"/proc/{pid}/stat")
    except OSError as error:
        if error.errno in (ENOENT, ESRCH):
            return None
        raise
    # The name in field 2 may hold anything, parentheses and spaces too: count from its last ")".
    fields = content[content.rindex(b")") + 2 :].split()
    return int(fields[19]), fields[0].decode()


def may_signal(pid: int) -> bool:
    """Whether there is such a process, a zombie too, and we may signal it: kill(2) with signal 0.

    It does not ask procfs, which may hide what is there: hidepid, proc(5).
    """
    try:
        posix.kill(pid, 0)
    except OSError as error:
        if error.errno in (EPERM, ESRCH):
            return False
        raise
    return True


def is_stage(pid: int) -> bool:
    """Whether the process still executes the stage: the name that process/spawn.py gives it, memfd_create(2).

    A process that we may not look into (EACCES: non-dumpable, and we are not root) is taken for one.
    """
    try:
        return posix.readlink(f"/proc/{pid}/exe").startswith(f"/memfd:{STAGE_NAME}")
    except OSError as error:
        if error.errno in (ENOENT, ESRCH):  # it has just ended
            return False
        if error.errno == EACCES:
            return True
        raise


def boot_id() -> str:
    """Changes with every boot: random(4)."""
    return read_file("/proc/sys/kernel/random/boot_id").decode().strip()


def set_child_subreaper() -> None:
    check(helper.pyrunc_set_child_subreaper(1))


def set_limits(pid: int, resource: int, soft: int, hard: int) -> None:
    """prlimit(2); RLIM_INFINITY is 2**64 - 1."""
    check(helper.pyrunc_prlimit(pid, resource, soft, hard))


def ignored_signals(status: bytes) -> tuple[int, ...]:
    """What SigIgn of /proc/self/status names: execve(2) hands that on to what we start.

    Not by sigaction(3): that takes 64 calls, and glibc hides 32 and 33, which its posix_spawn(3) makes children ignore.
    """
    mask = int(status.partition(b"\nSigIgn:\t")[2][:16], 16)
    return tuple([number for number in range(1, 65) if mask >> number - 1 & 1]) if mask else ()


def keep_from_children() -> None:
    """Whatever the caller left open, and is above stderr, ends with the next execve(2) of a child of ours.

    For programs of the host (hooks, newuidmap, ps): the stage is given its descriptors one by one.
    """
    check(helper.pyrunc_close_on_exec_from(_FIRST_AFTER_STDERR))
