"""The first and the last sections of the program: from execve of the stage to execve of the container's program."""

from __future__ import annotations

from pyrunc.kernel.constants import (
    CLOSE_RANGE_CLOEXEC,
    F_DUPFD_CLOEXEC,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
    O_WRONLY,
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)
from pyrunc.rootfs.host import emit_open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer, Register

_SIGKILL = 9
_SOCKET = 3
_SIG_SETMASK = 2
_SIGSET_SIZE = 8
_SIGACTION_SIZE = 32  # struct sigaction of the system call: handler, flags, restorer, mask (rt_sigaction(2))


def emit_birth(p: Program, ignored_signals: Sequence[int]) -> None:
    """What must be true before anything else: we die with the parent, nothing leaks, signals are as at boot."""
    emit_die_with_parent(p)
    p.call("prctl", PR_SET_NAME, "pyrunc:[INIT]", doing="name the process")
    p.call("close_range", 3, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC, doing="mark all descriptors close-on-exec")
    p.call("rt_sigprocmask", _SIG_SETMASK, p.scratch(_SIGSET_SIZE), 0, _SIGSET_SIZE, doing="unblock all signals")
    if ignored_signals:
        # Handlers are gone by execve(2); what was ignored stays ignored.  CPython ignores SIGPIPE and SIGXFSZ.
        default = p.scratch(_SIGACTION_SIZE)
        for number in ignored_signals:
            p.call("rt_sigaction", number, default, 0, _SIGSET_SIZE, doing=f"reset the disposition of signal {number}")


def emit_die_with_parent(p: Program) -> None:
    """PR_SET_PDEATHSIG(2const): not inherited by fork, cleared by changes of credentials.

    A parent that died before this call is noticed at the next sync point, by EOF.
    """
    p.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, doing="ask to die with the runtime")


def emit_outlive_parent(p: Program) -> None:
    p.call("prctl", PR_SET_PDEATHSIG, 0, doing="outlive the runtime")


def emit_not_dumpable(p: Program) -> None:
    """Nobody in the container may ptrace the stage or open its descriptors (CVE-2016-9962); execve(2) resets it."""
    p.call("prctl", PR_SET_DUMPABLE, 0, doing="make the process non-dumpable")


def emit_session(p: Program) -> None:
    p.call("setsid", doing="become a session leader")


def emit_own_descriptors(p: Program, proc: int | None = None) -> Register:
    """An O_PATH descriptor of /proc/self/fd in the host's procfs, good after pivot_root too.

    With it the exec fifo's O_PATH descriptor can be opened for writing at the end without trusting, or needing, a
    /proc of the container.  A process may always look up its own descriptors, dumpable or not (proc_fd_permission).
    `proc`: see process/procfs.py.
    """
    return emit_open_own(p, "fd", O_PATH | O_DIRECTORY, doing="open /proc/self/fd", proc=proc)


def emit_wait_for_start(p: Program, own_descriptors: Register, fifo: int, above: int) -> Register:
    """Block in open(2) of the exec fifo until `start` opens it for reading: fifo(7).

    From here on failures go into the fifo.  The descriptor ends up at `above` or higher, out of the way of those that
    are preserved for the container's program; it is close-on-exec, so `start` sees EOF when execve(2) worked.
    """
    opened = p.result("openat", own_descriptors, str(fifo), O_WRONLY | O_CLOEXEC, doing="wait for start")
    p.close(own_descriptors)
    report = p.result("fcntl", opened, F_DUPFD_CLOEXEC, above, doing="move the exec fifo")
    p.close(opened)
    p.report(report)
    return report


def emit_move_socket(p: Program, above: int) -> Register:
    """exec has no fifo: its parent is there until execve(2), and hears of failures on the socket to the end."""
    report = p.result("fcntl", _SOCKET, F_DUPFD_CLOEXEC, above, doing="move the socket")
    p.call("close", _SOCKET, doing="close")
    p.report(report)
    return report


def emit_preserved(p: Program, numbers: Sequence[int]) -> None:
    """The caller's descriptors 3.. to the same numbers in the container, no longer close-on-exec.

    `numbers` are ascending and numbers[i] > 3+i (the socket sits below them), so no copy hits one still needed.
    """
    for index, number in enumerate(numbers):
        p.call("dup3", number, 3 + index, 0, doing=f"hand over descriptor {3 + index}")


def emit_announce_exec(p: Program, report: Register, announcement: Pointer) -> None:
    """{index, 0}: the next thing is execve(2)."""
    p.call("write", report, announcement, announcement.size, doing="announce the program's start")
