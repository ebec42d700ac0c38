"""From the process that clone3 made to init in all its namespaces.

Host side: `open_namespaces` opens what is joined, before the stage is spawned.  Stage side: `emit_processes`.

The order of setns(2) depends on who may what.  A namespace that belongs to the host needs the capabilities that the
process has before it enters the user namespace; one that belongs to the user namespace needs those it has after.
Nobody can ask beforehand, so the first attempt may say EPERM when a user namespace follows, and is then repeated.
"""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL, ENOTTY, EPERM
from fcntl import ioctl

from pyrunc.errors import ConfigError, during
from pyrunc.kernel.constants import (
    AT_FDCWD,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_PARENT,
    F_SETLK,
    F_SETLKW,
    F_WRLCK,
    MFD_CLOEXEC,
    NS_GET_NSTYPE,
    O_CLOEXEC,
    O_NOCTTY,
    O_NONBLOCK,
    O_RDONLY,
    O_WRONLY,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    SIGCHLD,
    SIGKILL,
)
from pyrunc.kernel.files import Fd, open_file
from pyrunc.namespaces.plan import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.namespaces.plan import JoinedNamespace, NamespacePlan
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register

# struct flock (fcntl(2)): type i16, whence i16, start i64, length i64, pid i32
_WRITE_LOCK = F_WRLCK.to_bytes(8, "little") + bytes(24)
_KINDS = {flag: kind for kind, flag in FLAGS.items()}


def open_namespaces(plan: NamespacePlan) -> list[tuple[str, int, Fd]]:
    """(kind, CLONE_NEW* flag, descriptor) of every namespace to join, in the order of joining.

    Raises ConfigError for what is no namespace or one of another kind, KernelError when it cannot be opened.
    """
    opened: list[tuple[str, int, Fd]] = []
    try:
        for joined in plan.joined:
            namespace = _open_namespace(joined)
            opened.append((joined.kind, FLAGS[joined.kind], namespace))
            if joined.kind == "network" and plan.changes_network and _is_ours(namespace, "net"):
                what = f"{joined.path} is the host's network namespace"
                raise ConfigError(f"{joined.place}: {what}: no net sysctls and no devices there")
    except BaseException:
        for _kind, _flag, namespace in opened:
            namespace.close()
        raise
    return opened


def _open_namespace(joined: JoinedNamespace) -> Fd:
    # Non-blocking: the path may lead to a fifo.
    with during(f"{joined.place}: open the {joined.kind} namespace {joined.path}"):
        namespace = open_file(joined.path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
    try:
        found = _kind_of(namespace)
        if found != joined.kind:
            raise ConfigError(f"{joined.place}: {joined.path} is {_described(found)}, not a {joined.kind} namespace")
    except BaseException:
        namespace.close()
        raise
    return namespace


def _described(kind: str) -> str:
    return f"a {kind} namespace" if kind else "no namespace"


def _kind_of(namespace: Fd) -> str:
    """ioctl_ns(2), Linux 4.11; "" when it is no namespace."""
    try:
        return _KINDS.get(ioctl(namespace.number, NS_GET_NSTYPE), "unknown")
    except OSError as error:
        if error.errno in (ENOTTY, EACCES):
            return ""
        raise


def _is_ours(namespace: Fd, name: str) -> bool:
    theirs, ours = posix.fstat(namespace.number), posix.stat(f"/proc/self/ns/{name}")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


# -- stage side --------------------------------------------------------------------------------------------------


def emit_processes(
    p: Program, plan: NamespacePlan, namespace_fds: Mapping[str, int], sync_map_ids: int, sync_pid: int
) -> None:
    """Afterwards the running process is init: in every namespace but a new cgroup one, uid 0 of the user namespace.

    `namespace_fds` are the stage's descriptors of what `open_namespaces` opened, by kind; they are closed.
    It may have another pid than before: then the first process has told it at `sync_pid`, and has ended.
    """
    offsets = _emit_open_offsets(p, plan)
    if namespace_fds:
        # Before any join: what is in there must not ptrace us, nor open our descriptors (CVE-2016-9962).
        _emit_dumpable(p, 0)
    pending = _emit_first_joins(p, plan, namespace_fds)
    if plan.has_user_namespace:
        _emit_user_namespace(p, plan, namespace_fds, sync_map_ids)
        emit_namespace_root(p, keep_groups=plan.keeps_groups)
    _emit_second_joins(p, plan, namespace_fds, pending)
    for kind in namespace_fds:
        p.call("close", namespace_fds[kind], doing="close")
    if offsets is not None:
        _emit_time_namespace(p, plan, offsets)
    if plan.needs_second_process:
        emit_fork(p, plan.later_flags, sync_pid)
    elif plan.later_flags:
        p.call("unshare", plan.later_flags, doing="make the new namespaces")


def _emit_dumpable(p: Program, value: int) -> None:
    p.call("prctl", PR_SET_DUMPABLE, value, doing="set whether the process is dumpable")


def _emit_die_with_parent(p: Program) -> None:
    """Again: fork(2) does not hand it on, and a change of ids clears it (PR_SET_PDEATHSIG(2const))."""
    p.call("prctl", PR_SET_PDEATHSIG, SIGKILL, doing="ask to die with the runtime")


def _emit_first_joins(p: Program, plan: NamespacePlan, namespace_fds: Mapping[str, int]) -> dict[str, Register]:
    """setns(2) with the host's capabilities.  For those that may have to wait: a register that says it is done."""
    pending: dict[str, Register] = {}
    for joined in plan.joined:
        if joined.kind == "user":
            continue
        with p.at(joined.place, f"{joined.kind} {joined.path}"):
            fd, flag = namespace_fds[joined.kind], FLAGS[joined.kind]
            if not plan.has_user_namespace:
                p.call("setns", fd, flag, doing="join the namespace")
                continue
            done, later = p.register(), p.target()
            p.set(done, 0)
            p.call("setns", fd, flag, doing="join the namespace", tolerate=[EPERM], otherwise=later)
            p.set(done, 1)
            p.here(later)
            pending[joined.kind] = done
    return pending


def _emit_second_joins(
    p: Program, plan: NamespacePlan, namespace_fds: Mapping[str, int], pending: Mapping[str, Register]
) -> None:
    """setns(2) with the user namespace's capabilities, where the host's were not enough."""
    for joined in plan.joined:
        if joined.kind not in pending:
            continue
        with p.at(joined.place, f"{joined.kind} {joined.path}"):
            joined_already = p.target()
            p.jump_if(pending[joined.kind], 1, joined_already)
            p.call("setns", namespace_fds[joined.kind], FLAGS[joined.kind], doing="join the namespace")
            p.here(joined_already)
        p.release(pending[joined.kind])


def _emit_user_namespace(p: Program, plan: NamespacePlan, namespace_fds: Mapping[str, int], sync_map_ids: int) -> None:
    with p.at("linux.namespaces", "user"):
        if plan.is_new("user"):
            p.call("unshare", CLONE_NEWUSER, doing="make the user namespace")
        else:
            # EINVAL, for a namespace that was checked to be a user namespace: we are in it (setns(2)).
            p.call("setns", namespace_fds["user"], CLONE_NEWUSER, doing="join the namespace", tolerate=[EINVAL])
    if plan.needs_map_sync:
        if namespace_fds and not plan.is_privileged:
            # /proc/PID/uid_map of a non-dumpable process belongs to root: proc_pid(5).
            _emit_dumpable(p, 1)
        p.sync(sync_map_ids, "map ids")
        if namespace_fds:
            _emit_dumpable(p, 0)


def emit_namespace_root(p: Program, *, keep_groups: bool) -> None:
    """uid 0, gid 0, no other groups.  The capabilities in the user namespace are there already, and stay."""
    with p.at("linux.namespaces", "user"):
        if not keep_groups:
            _emit_drop_groups(p)
        p.call("setresgid", 0, 0, 0, doing="become group 0")
        p.call("setresuid", 0, 0, 0, doing="become user 0")
    _emit_die_with_parent(p)


def _emit_drop_groups(p: Program) -> None:
    # EPERM: /proc/self/setgroups says deny, as it must for a map that an unprivileged parent wrote itself.
    p.call("setgroups", 0, 0, doing="drop the groups", tolerate=[EPERM])


def _emit_open_offsets(p: Program, plan: NamespacePlan) -> Register | None:
    """Opened first: after a change of user or mount namespace the path is not ours any more, the descriptor is."""
    if not plan.is_new("time"):
        return None
    path = "/proc/self/timens_offsets"
    with p.at("linux.timeOffsets"):
        return p.result("openat", AT_FDCWD, path, O_WRONLY | O_CLOEXEC, doing=f"open {path}")


def _emit_time_namespace(p: Program, plan: NamespacePlan, offsets: Register) -> None:
    """time_namespaces(7): the offsets are fixed as soon as the first process is inside."""
    with p.at("linux.timeOffsets"):
        p.call("unshare", CLONE_NEWTIME, doing="make the time namespace")
        text = "".join(f"{clock} {secs} {nanosecs}\n" for clock, secs, nanosecs in plan.time_offsets)
        if text:
            p.call("write", offsets, text, len(text), doing="set the offsets of its clocks")
        p.close(offsets)


def emit_fork(p: Program, flags: int, sync_pid: int) -> None:
    """Go on as a sibling: the child is the parent's child too, and this process ends.

    Both have the socket, so the child must not use it before the first process is done with it.  It waits for a record
    lock: those are not inherited by fork(2), and end with the process that holds them, however that ends.
    """
    lock = p.result("memfd_create", "pyrunc", MFD_CLOEXEC, doing="make a lock")
    wanted = p.constant(_WRITE_LOCK)
    p.call("fcntl", lock, F_SETLK, wanted, doing="lock")
    pid, in_child = p.register(), p.target()
    p.call("clone", flags | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, doing="make init and its namespaces", into=pid)
    p.jump_if(pid, 0, in_child)
    p.sync(sync_pid, "report the pid of init", value=pid)
    p.call("exit_group", 0, doing="end the first process")
    p.here(in_child)
    p.release(pid)
    _emit_die_with_parent(p)
    p.call("fcntl", lock, F_SETLKW, wanted, doing="wait for the first process to end")
    p.close(lock)
