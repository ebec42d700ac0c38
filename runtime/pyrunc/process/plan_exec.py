"""exec: a second process in a container, compiled like the first (process/plan.py).

The stage starts on the host, joins the cgroup and then, with one setns(2) on init's pidfd (Linux 5.8), every namespace
in which init is not where we are.  What breaks when a line moves:

*   non-dumpable before anything is joined: the container's processes may ptrace what they see (CVE-2016-9962);
*   the cgroup before the namespaces: its files are the host's;
*   a descriptor of the host's /proc is opened before: the container's own /proc is not to be trusted with our paths;
*   a pid namespace is entered by a fork after setns(2) (pid_namespaces(7)), the user namespace's root is become
    before that, so that the terminal and the ids are the container's.
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.cgroups.join import emit_join
from pyrunc.kernel.constants import (
    AT_FDCWD,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
)
from pyrunc.namespaces.join import emit_fork, emit_namespace_root
from pyrunc.namespaces.plan import keeps_groups
from pyrunc.process import birth, sync
from pyrunc.process.affinity import emit_affinity
from pyrunc.process.descriptors import CONSOLE, FIRST, Descriptors, preserved
from pyrunc.process.limits import emit_oom_score_adj
from pyrunc.process.payload import emit_execution, emit_payload
from pyrunc.process.procfs import emit_host_procfs
from pyrunc.program.builder import Program
from pyrunc.rootfs.console import emit_terminal
from pyrunc.security.keyring import emit_session_keyring
from pyrunc.security.lsm import emit_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Process
    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.kernel.host import Host
    from pyrunc.program.operations import Pointer

INIT = "init"
INIT_ROOT = "init's root"
_DIRECTORY = O_PATH | O_DIRECTORY | O_CLOEXEC
_OPEN_AT_ONE_TIME = 32


class Execution(Record):
    """What an exec wants, with every default resolved."""

    container_id: str
    config: Config  # what the container's config.json says that holds for every process (seccomp, personality)
    process: Process
    host: Host
    cgroup: ContainerCgroup
    namespaces: int  # CLONE_NEW* of those in which init is not where we are
    has_own_root: bool  # init's root is another one in our mount namespace: chroot(2) instead of setns(2)
    has_console_socket: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    is_paused: bool = False  # and the caller knows: the process starts when somebody resumes the container


class ExecPlan(Record):
    program: Program
    descriptors: Descriptors
    home: Pointer | None
    in_user_namespace: bool
    warnings: tuple[str, ...] = ()  # what is left out, for --debug


def compile_exec(wanted: Execution) -> ExecPlan:
    """The plan of an exec.  Raises ConfigError and Unsupported."""
    p = Program()
    descriptors = Descriptors()
    init = descriptors.add(INIT)
    root = descriptors.add(INIT_ROOT) if wanted.has_own_root else -1
    console = descriptors.add(CONSOLE) if wanted.has_console_socket else -1
    kept = [descriptors.add(preserved(index)) for index in range(wanted.preserve_fds)]
    in_user_namespace = bool(wanted.namespaces & CLONE_NEWUSER) or wanted.host.in_user_namespace

    birth.emit_birth(p, wanted.host.ignored_signals)
    emit_oom_score_adj(p, wanted.process)
    birth.emit_not_dumpable(p)
    emit_affinity(p, wanted.process, "initial")
    emit_join(p, wanted.cgroup)
    emit_affinity(p, wanted.process, "final")
    proc = None
    if wanted.process.terminal:  # nothing else needs it, and who got into the stage would have the host's processes
        with p.at("process.terminal"):
            proc = emit_host_procfs(p)
    emit_label(p, wanted.process, wanted.host, emit_host_procfs)
    _emit_enter(p, wanted, init, root)
    birth.emit_session(p)
    if not wanted.no_new_keyring:
        emit_session_keyring(p, wanted.container_id)
    if proc is not None:
        spare = FIRST + len(descriptors.names) + wanted.preserve_fds + _OPEN_AT_ONE_TIME
        inside = p.result("openat", AT_FDCWD, "/", _DIRECTORY, 0, doing="open the container's root")
        emit_terminal(p, inside, wanted.process, console, spare, is_exec=True, proc=proc)
        p.close(inside)
        p.close(proc)
    payload = emit_payload(
        p, wanted.config, wanted.process, wanted.host, in_user_namespace=in_user_namespace, is_alone=False
    )
    birth.emit_outlive_parent(p)
    p.sync(sync.READY, "ready", 0, payload.home)
    report = birth.emit_move_socket(p, FIRST + len(descriptors.names) + wanted.preserve_fds)
    birth.emit_announce_exec(p, report, p.scratch(sync.MESSAGE.size))
    birth.emit_preserved(p, kept)
    emit_execution(p, wanted.process, payload)
    return ExecPlan(
        program=p,
        descriptors=descriptors,
        home=payload.home,
        in_user_namespace=in_user_namespace,
        warnings=payload.warnings,
    )


def _emit_enter(p: Program, wanted: Execution, init: int, root: int) -> None:
    """Into init's namespaces and root, as the root of its user namespace."""
    if wanted.namespaces:
        p.call("setns", init, wanted.namespaces, doing="join the container's namespaces")
    if root >= 0:
        p.call("fchdir", root, doing="enter the container's root")
        p.call("chroot", ".", doing="chroot")
    p.call("chdir", "/", doing="enter /")
    if wanted.namespaces & CLONE_NEWUSER:
        emit_namespace_root(p, keep_groups=keeps_groups(wanted.config))
    if wanted.namespaces & CLONE_NEWPID:
        emit_fork(p, 0, sync.INIT_PID)
