"""Who the container's program runs as: directory, umask, ids, capabilities, no_new_privs.

In the container, after pivot_root, with all capabilities of the user namespace.  What breaks when a line moves:

*   chdir first as root, who may enter what the user may not; again as the user when that was refused (a directory on
    NFS with root_squash, a FUSE mount of the user's);
*   stdio is given to the user while CAP_CHOWN is there;
*   the bounding set is cut while CAP_SETPCAP is there;
*   groups before the ids, the gid before the uid: each needs what the next takes away (credentials(7));
*   a seccomp filter without no_new_privs needs CAP_SYS_ADMIN (seccomp(2)), so it is loaded before the last capset(2):
    the only call here that the filter must allow.
"""

from __future__ import annotations

from errno import EACCES, EBADF, EINVAL, ENOENT, EPERM, EROFS

from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    RESOLVE_NO_MAGICLINKS,
    S_IFCHR,
    S_IFMT,
    SIGKILL,
    STATX_MODE,
    STATX_TYPE,
    STATX_UID,
)
from pyrunc.process.executable import quote
from pyrunc.rootfs.paths import RootPaths
from pyrunc.security.capabilities import CAP_SYS_ADMIN, emit_ambient, emit_bounding, emit_sets, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocispec.config import Process, User
    from pyrunc.kernel.host import Host
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register, Target

_PATH_MAX = 4096
_DEFAULT_UMASK = 0o022
_STATX_SIZE = 256
_STX_UID, _STX_MODE, _STX_RDEV = 0x14, 0x1C, 0x80  # u32, u16, major and minor u32: statx(2)
_UNCHANGED = (1 << 32) - 1  # (gid_t) -1: chown(2)
_NULL_DEVICE = 1 | 3 << 32  # /dev/null, as (major, minor) lie there


def credential_warnings(process: Process, host: Host) -> tuple[str, ...]:
    """What is ignored of process.capabilities, to be logged by whoever creates the container."""
    return resolve(process.capabilities, host.last_capability, host.capabilities).warnings


def emit_credentials(
    p: Program,
    process: Process,
    host: Host,
    load_filter: Callable[[Program], None] | None,
    *,
    keep_groups: bool = False,
) -> None:
    """Become the process's user.  `load_filter` loads a seccomp filter that must not wait for execve(2).

    `keep_groups` leaves the supplementary groups as whoever called the runtime has them.
    """
    sets = resolve(process.capabilities, host.last_capability, host.capabilities)
    entered = _emit_enter(p, process.cwd)
    umask = process.user.umask
    p.call("umask", _DEFAULT_UMASK if umask is None else umask, doing="set the umask")
    if process.no_new_privileges:
        with p.at("process.noNewPrivileges"):
            p.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, doing="set no_new_privs")
    _emit_give_stdio(p, process.user.uid)
    emit_bounding(p, sets, host.last_capability)
    is_confined = host.euid != 0 or host.in_user_namespace
    _emit_ids(p, process.user, is_confined=is_confined, keep_groups=keep_groups)
    _emit_enter_again(p, process.cwd, entered)
    _emit_check_directory(p, process.cwd)
    if load_filter is None:
        emit_sets(p, sets)
        emit_ambient(p, sets)
        return
    emit_sets(p, sets, kept=CAP_SYS_ADMIN)
    emit_ambient(p, sets)
    load_filter(p)
    emit_sets(p, sets)


def emit_make_directory(p: Program, root: Register, process: Process) -> None:
    """cwd, if it is missing: in the rootfs with everything mounted, before any of it becomes read-only."""
    with p.at("process.cwd", process.cwd):
        p.close(RootPaths(p, root).open_or_make_directory(process.cwd))


def _emit_enter(p: Program, cwd: str) -> Register:
    """Go to cwd as root.  A register that is 1 when that worked, and 0 when permission was refused."""
    entered, refused, done = p.register(), p.target(), p.target()
    with p.at("process.cwd", cwd):
        p.set(entered, 0)
        directory = p.register()
        tolerate = (EACCES, EPERM)
        _emit_open(p, cwd, directory, tolerate, done)
        p.call("fchdir", directory, doing="enter", tolerate=tolerate, otherwise=refused, says=_cwd_failed(cwd))
        p.set(entered, 1)
        p.here(refused)
        p.close(directory)
        p.here(done)
    return entered


def _emit_enter_again(p: Program, cwd: str, entered: Register) -> None:
    """Go to cwd as the process's user, if root was refused; now that is final."""
    done = p.target()
    with p.at("process.cwd", cwd):
        p.jump_if(entered, 1, done)
        directory = p.register()
        _emit_open(p, cwd, directory, (), None)
        p.call("fchdir", directory, doing="enter", says=_cwd_failed(cwd))
        p.close(directory)
        p.here(done)
    p.release(entered)


def _emit_open(p: Program, cwd: str, directory: Register, tolerate: tuple[int, ...], otherwise: Target | None) -> None:
    """No magic links: cwd "/proc/self/fd/7" would be a directory of the host if one had leaked (CVE-2024-21626)."""
    how = p.open_how(O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_MAGICLINKS)
    arguments = (AT_FDCWD, cwd, how, how.size)
    says = _cwd_failed(cwd)
    p.call("openat2", *arguments, doing="open", into=directory, tolerate=tolerate, otherwise=otherwise, says=says)


def _cwd_failed(cwd: str) -> str:
    return f"chdir to cwd ({quote(cwd)}) set in config.json failed: {{errno}}"


def _emit_check_directory(p: Program, cwd: str) -> None:
    """getcwd(2) knows whether we are below our root: outside, the path starts with "(unreachable)" (CVE-2024-21626)."""
    where = p.scratch(_PATH_MAX)
    says = f"cwd ({quote(cwd)}) set in config.json is outside of the container's root: possible container breakout"
    with p.at("process.cwd", cwd):
        p.call("getcwd", where, where.size, doing="ask for the current directory", says=says)
        p.check(where.field(0, 1), ord("/"), doing="check the current directory", errno=ENOENT, says=says)


def _emit_give_stdio(p: Program, uid: int) -> None:
    """stdin, stdout and stderr to the user, so that /proc/self/fd/1 can be opened; the group stays.

    /dev/null is everybody's.  It is known by its device number: nothing of the image is looked at (CVE-2026-88265).
    """
    status = p.scratch(_STATX_SIZE)
    owner, mode, device = status.field(_STX_UID, 4), status.field(_STX_MODE, 2), status.field(_STX_RDEV, 8)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        other, kept = p.target(), p.target()
        with p.at("process.user", name):
            wanted = STATX_TYPE | STATX_MODE | STATX_UID
            arguments = (number, "", AT_EMPTY_PATH, wanted, status)
            p.call("statx", *arguments, doing="stat", tolerate=[EBADF], otherwise=kept)
            p.check(owner, uid, doing="compare its owner", errno=EPERM, differs=True, otherwise=kept)
            p.check(mode, S_IFCHR, mask=S_IFMT, doing="compare its type", errno=EPERM, otherwise=other)
            p.check(device, _NULL_DEVICE, doing="compare its number", errno=EPERM, differs=True, otherwise=kept)
            p.here(other)
            # EINVAL: its owner has no id here; EPERM: not ours to give (user_namespaces(7)); EROFS: chown(2).
            p.call("fchown", number, uid, _UNCHANGED, doing="give it to the user", tolerate=[EINVAL, EPERM, EROFS])
            p.here(kept)


def _emit_ids(p: Program, user: User, *, is_confined: bool, keep_groups: bool) -> None:
    """Groups, gid, uid; permitted capabilities survive, effective ones do not unless the user is root."""
    p.call("prctl", PR_SET_KEEPCAPS, 1, doing="keep the capabilities over the change of user")
    gids = user.additional_gids
    with p.at("process.user", f"{user.uid}:{user.gid}"):
        groups = p.constant(b"".join(gid.to_bytes(4, "little") for gid in gids)) if gids else 0
        # EPERM without groups to set: /proc/self/setgroups says deny, so the caller's cannot be dropped.
        tolerate = [EPERM] if is_confined and not gids else []
        if not keep_groups:
            p.call("setgroups", len(gids), groups, doing="set the groups", tolerate=tolerate)
        p.call("setresgid", user.gid, user.gid, user.gid, doing="set the gid")
        p.call("setresuid", user.uid, user.uid, user.uid, doing="set the uid")
    p.call("prctl", PR_SET_KEEPCAPS, 0, doing="keep no capabilities any more")
    # A change of ids clears the first (PR_SET_PDEATHSIG(2const)) and sets the second to what the sysctl
    # fs.suid_dumpable says (proc_sys_fs(5)).  A parent that died in between is noticed at the next sync point.
    p.call("prctl", PR_SET_PDEATHSIG, SIGKILL, doing="ask to die with the runtime")
    p.call("prctl", PR_SET_DUMPABLE, 0, doing="make the process non-dumpable")
