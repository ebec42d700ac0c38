"""exec: another process in a running container, from its record alone (runtime.md has no word for it: runc's exec).

Nothing of ours runs in the container but the sealed stage, which joins everything itself: process/plan_exec.py.
"""

from __future__ import annotations

import posix
from errno import EBUSY, ENOENT, EOPNOTSUPP, ESRCH

from ocispec.config import read_config, read_process
from ocispec.record import Record, replace
from pyrunc import log
from pyrunc.cgroups.fs import open_v2_directory
from pyrunc.cgroups.place import from_json
from pyrunc.container.create import hand_over
from pyrunc.container.options import check_console
from pyrunc.container.state import hook_state
from pyrunc.container.status import PAUSED, STOPPED, status_of
from pyrunc.container.subcgroup import below, where_init_is
from pyrunc.errors import KernelError, StateError, during
from pyrunc.jsonio import dumps, loads
from pyrunc.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
)
from pyrunc.kernel.files import Fd, read_file
from pyrunc.kernel.host import ALL_CAPABILITIES
from pyrunc.kernel.processes import open_pidfd, set_child_subreaper
from pyrunc.kernel.signals import open_signals
from pyrunc.kernel.sockets import connect, receive_descriptor, socket_pair
from pyrunc.process.credentials import credential_warnings
from pyrunc.process.descriptors import CONSOLE, FIRST, preserved
from pyrunc.process.exec_parent import run_exec
from pyrunc.process.host import read_host
from pyrunc.process.parent import Opened
from pyrunc.process.plan_exec import INIT, INIT_ROOT, Execution, compile_exec
from pyrunc.process.relay import Terminal, exit_code, relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocispec.config import Config, Process
    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.container.record import ContainerRecord
    from pyrunc.container.store import Store
    from pyrunc.process.plan_exec import ExecPlan
    from pyrunc.process.spawn import Stage

_MAX_PROCESS = 16 << 20
_NAMESPACES = (
    ("user", CLONE_NEWUSER),
    ("cgroup", CLONE_NEWCGROUP),
    ("ipc", CLONE_NEWIPC),
    ("uts", CLONE_NEWUTS),
    ("net", CLONE_NEWNET),
    ("pid", CLONE_NEWPID),
    ("time", CLONE_NEWTIME),
    ("mnt", CLONE_NEWNS),
)


class ExecOptions(Record):
    """What a command line asks of an exec, defaults resolved."""

    container_id: str
    change: Callable[[Config], Process]  # the container's config -> the process to run
    detach: bool = False
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    cgroups: tuple[str, ...] = ()  # [controllers:]path below the container's cgroup
    ignore_paused: bool = False
    subreaper: bool = True


def execute(store: Store, options: ExecOptions) -> int:
    """Run the process: 0 when it is detached, else how it ended, as a shell says it."""
    record = store.load(options.container_id)
    _check_status(record, store, ignore_paused=options.ignore_paused)
    config = read_config(record.config)
    process = options.change(config)
    check_console(options, process.terminal)
    if options.detach:
        with _console(options) as console:
            _start(record, config, process, options, console, _nothing)
        return 0
    if options.subreaper:
        set_child_subreaper()
    ours, theirs = socket_pair()
    terminals: list[Terminal] = []

    def take_terminal() -> None:
        # Before the program is executed: its terminal has its size from the start.
        if process.terminal:
            terminals.append(Terminal(receive_descriptor(ours)))

    with open_signals() as signals, ours, theirs:
        stage = _start(record, config, process, options, theirs, take_terminal)
        if not terminals:
            return exit_code(relay(stage.pid, stage.pidfd, signals, None))
        with terminals[0] as terminal:
            return exit_code(relay(stage.pid, stage.pidfd, signals, terminal))


def _nothing() -> None:
    return None


def read_process_file(path: str) -> Process:
    """A bare process object (config.md#process).  A pipe is fine: engines may send it through /dev/fd/N."""
    with during(path):
        return read_process(loads(read_file(path, limit=_MAX_PROCESS)))


def _check_status(record: ContainerRecord, store: Store, *, ignore_paused: bool) -> None:
    status = status_of(record, store.root)
    if status == STOPPED or record.pid == 0:
        raise StateError("cannot exec in a stopped container")
    if status == PAUSED and not ignore_paused:
        raise StateError("cannot exec in a paused container (use --ignore-paused to override)")


def _console(options: ExecOptions) -> Fd:
    if not options.console_socket:
        return Fd(-1)
    with during(f"connect to the console socket {options.console_socket}"):
        return connect(options.console_socket)


def _start(
    record: ContainerRecord,
    config: Config,
    process: Process,
    options: ExecOptions,
    console: Fd,
    ready: Callable[[], None],
) -> Stage:
    """The process, executing its program; `ready` is called right before it does."""
    host = read_host()
    pidfd = open_pidfd(record.pid)
    if pidfd is None:
        raise StateError("cannot exec in a stopped container")
    with Opened() as opened:
        opened.own(INIT, pidfd)
        if process.terminal:
            opened.borrow(CONSOLE, console.number)
        for index in range(options.preserve_fds):
            opened.borrow(preserved(index), FIRST + index)
        namespaces = _other_namespaces(record.pid)
        if namespaces & CLONE_NEWUSER:
            host = replace(host, capabilities=ALL_CAPABILITIES)  # user_namespaces(7): who joins it gets them all
        for warning in credential_warnings(process, host):
            log.debug(warning)
        has_own_root = not namespaces & CLONE_NEWNS and _open_root(opened, record.pid)
        cgroup = below(from_json(record.cgroup), options.cgroups)
        wanted = Execution(
            container_id=record.container_id,
            config=config,
            process=process,
            host=host,
            cgroup=cgroup,
            namespaces=namespaces,
            has_own_root=has_own_root,
            has_console_socket=process.terminal,
            preserve_fds=options.preserve_fds,
            is_paused=options.ignore_paused,
        )

        def is_ready(stage: Stage) -> None:
            if record.rdt:
                from pyrunc.container import rdt

                rdt.join(record, stage.pid)
            ready()
            hand_over(options, stage)

        with during("unable to start container process"):
            return _run(wanted, opened, cgroup, record, is_ready)


def _run(
    wanted: Execution,
    opened: Opened,
    cgroup: ContainerCgroup,
    record: ContainerRecord,
    ready: Callable[[Stage], None],
) -> Stage:
    """In the container's cgroup; in init's when that has moved on and left one that takes no processes (v2, EBUSY)."""
    from pyrunc.cgroups.drivers import attacher

    plan: ExecPlan = compile_exec(wanted)
    for warning in plan.warnings:
        log.debug(warning)

    def state() -> bytes:
        return dumps(hook_state(record, "running", record.pid)).encode("utf-8", "surrogateescape")

    try:
        with open_v2_directory(cgroup) or Fd(-1) as v2:
            return run_exec(plan, wanted, opened.numbers, v2.number, state, ready, attacher(cgroup))
    except OSError as error:
        if error.errno not in (EBUSY, ENOENT, EOPNOTSUPP):
            raise
        moved = where_init_is(cgroup, record.pid)
        if moved == cgroup:
            raise KernelError(error.errno) from error
    wanted = replace(wanted, cgroup=moved)
    with open_v2_directory(moved) or Fd(-1) as v2:
        return run_exec(compile_exec(wanted), wanted, opened.numbers, v2.number, state, ready)


def _other_namespaces(pid: int) -> int:
    """CLONE_NEW* flags of the namespaces in which `pid` is not where we are."""
    flags = 0
    for name, flag in _NAMESPACES:
        try:
            theirs = posix.stat(f"/proc/{pid}/ns/{name}")
        except OSError as error:
            if error.errno == ESRCH:
                raise StateError("cannot exec in a stopped container") from error
            if error.errno == ENOENT and name == "time":  # a kernel without CONFIG_TIME_NS
                continue
            raise
        ours = posix.stat(f"/proc/self/ns/{name}")
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            flags |= flag
    return flags


def _open_root(opened: Opened, pid: int) -> bool:
    """Init's root, when it is in our mount namespace and another one than ours (a container without one of its own)."""
    path = f"/proc/{pid}/root"
    theirs, ours = posix.stat(path), posix.stat("/")
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
        return False
    opened.own(INIT_ROOT, Fd(posix.open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)))
    return True
