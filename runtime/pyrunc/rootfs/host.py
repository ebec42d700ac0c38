"""The only other place that opens paths: the host's own, which nothing in a container can change.

Until pivot_root(2) the stage's "/" is the host's.  Its procfs is how an open descriptor is named where the kernel wants
a path: /proc/self/fd/N leads to the descriptor and nowhere else.  N must be known when the program is written, so the
descriptor is first put on a number that nobody else uses (RootfsInputs.spare_fd).

`proc` is a descriptor of the host's /proc, for a process to which that path is somebody else's: exec in the container,
create in a mount namespace that was joined.  There /proc/self/fd/N may be any file (SECURITY.md).
"""

from __future__ import annotations

from pyrunc.kernel.constants import AT_EMPTY_PATH, AT_FDCWD, F_OK, O_CLOEXEC, O_DIRECTORY, O_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register, Target

DIRECTORY = O_PATH | O_DIRECTORY


def emit_open(p: Program, path: str, flags: int, *, doing: str) -> Register:
    into = p.register()
    emit_open_into(p, into, path, flags, doing=doing)
    return into


def emit_open_into(
    p: Program,
    into: Register,
    path: str,
    flags: int,
    *,
    doing: str,
    tolerate: tuple[int, ...] = (),
    otherwise: Target | None = None,
) -> None:
    flags |= O_CLOEXEC
    p.call("openat", AT_FDCWD, path, flags, 0, doing=doing, into=into, tolerate=tolerate, otherwise=otherwise)


def emit_if_absent(p: Program, path: str, absent: Target, errno: int) -> None:
    """Go to `absent` if access(2) says `errno`."""
    p.call("faccessat", AT_FDCWD, path, F_OK, doing=f"look for {path}", tolerate=(errno,), otherwise=absent)


def own(name: str, proc: Register | int | None) -> tuple[Register | int, str]:
    """(directory, path) of our own /proc/self/`name` for the *at calls."""
    return (AT_FDCWD, f"/proc/self/{name}") if proc is None else (proc, f"self/{name}")


def emit_open_own(p: Program, name: str, flags: int, *, doing: str, proc: Register | int | None) -> Register:
    return p.result("openat", *own(name, proc), flags | O_CLOEXEC, 0, doing=doing)


def emit_reopen(
    p: Program, descriptor: Register, flags: int, spare_fd: int, *, doing: str, proc: Register | int | None
) -> Register:
    """What an O_PATH descriptor stands for, opened for use."""
    p.call("dup3", descriptor, spare_fd, O_CLOEXEC, doing=doing)
    opened = emit_open_own(p, f"fd/{spare_fd}", flags, doing=doing, proc=proc)
    p.call("close", spare_fd, doing="close")
    return opened


def emit_mode(p: Program, descriptor: Register, mode: int, spare_fd: int, proc: int | None) -> None:
    """chmod(2) of what an O_PATH descriptor stands for; fchmodat2(2) with AT_EMPTY_PATH needs Linux 6.6."""
    p.call("dup3", descriptor, spare_fd, O_CLOEXEC, doing="set the mode")
    p.call("fchmodat", *own(f"fd/{spare_fd}", proc), mode, doing="set the mode")
    p.call("close", spare_fd, doing="close")


def emit_directory_mode(p: Program, directory: Register, mode: Register, *, doing: str) -> None:
    p.call("fchmodat", directory, ".", mode, doing=doing)


def emit_owner(p: Program, descriptor: Register, uid: int, gid: int) -> None:
    """chown(2) of what an O_PATH descriptor stands for."""
    p.call("fchownat", descriptor, "", uid, gid, AT_EMPTY_PATH, doing="set the owner")


def emit_enter_slash(p: Program) -> None:
    p.call("chdir", "/", doing="enter the new root")


def emit_chroot(p: Program, directory: Register) -> None:
    p.call("fchdir", directory, doing="enter the rootfs")
    p.call("chroot", ".", doing="chroot")
    emit_enter_slash(p)
