"""create: bundle -> plan -> a container that waits for `start`.

The plan is made before anything else is, so what cannot be is refused with nothing to undo.  What is made after that
is noted as it is made and undone in reverse order on any failure.  The journal is written before the first cgroup
exists: a container whose create was killed can be deleted all the same.
"""

from __future__ import annotations

import posix
import time

from ocispec.record import Record, replace
from pyrunc import log
from pyrunc.cgroups import drivers
from pyrunc.cgroups import fs as cgroupfs
from pyrunc.cgroups.apply import apply, establish
from pyrunc.cgroups.resources import with_room
from pyrunc.container.bundle import Bundle, load_bundle
from pyrunc.container.inherited import listen_descriptors
from pyrunc.container.links import source_links, with_links_resolved
from pyrunc.container.nodes import make_nodes, remove_nodes
from pyrunc.container.notified import notify_caller, with_notify
from pyrunc.container.options import check_console
from pyrunc.container.record import ContainerRecord
from pyrunc.container.resources import resources_of, why_no_device_rules
from pyrunc.container.state import hook_state
from pyrunc.container.undo import Undo
from pyrunc.errors import ConfigError, StageFailed, during
from pyrunc.jsonio import dumps
from pyrunc.kernel.files import Fd
from pyrunc.kernel.host import ALL_CAPABILITIES
from pyrunc.kernel.processes import boot_id, may_signal, start_time
from pyrunc.kernel.sockets import connect, send_descriptor
from pyrunc.namespaces.join import open_namespaces
from pyrunc.namespaces.plan import KEEP_GROUPS, plan_namespaces
from pyrunc.process.credentials import credential_warnings
from pyrunc.process.descriptors import namespace
from pyrunc.process.holder import Holder
from pyrunc.process.hooks import run_remaining_hooks
from pyrunc.process.host import read_host
from pyrunc.process.parent import Callbacks, Opened, Parent, open_for_stage
from pyrunc.process.plan import HOOK_OUTPUT, Birth, compile_create
from pyrunc.program.operations import CALL, CHECK
from pyrunc.rootfs.mounts import mount_warnings
from pyrunc.security.seccomp import BPF_DATA, FAIL_UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ocispec.config import Process
    from pyrunc.cgroups.drivers import CgroupPlan
    from pyrunc.cgroups.writes import ResourcePlan, Write
    from pyrunc.container.execute import ExecOptions
    from pyrunc.container.options import CreateOptions
    from pyrunc.container.store import Directory, Store
    from pyrunc.kernel.host import Host
    from pyrunc.namespaces.plan import NamespacePlan
    from pyrunc.process.plan import Plan
    from pyrunc.process.spawn import Stage


PIDFD_RECEIVER = "run.oci.pidfd_receiver"  # crun's annotation for what --pidfd-socket says


class Prepared(Record):
    """Everything decided about a container, with nothing made yet."""

    bundle: Bundle
    process: Process
    host: Host
    namespaces: NamespacePlan
    cgroup: CgroupPlan  # where it will be, and who makes it
    resources: ResourcePlan
    record: ContainerRecord


class Created(Record):
    """A container that waits for `start`."""

    record: ContainerRecord
    stage: Stage
    has_terminal: bool


class Starting(Record):
    """What every attempt to start the stage needs, however its plan looks."""

    directory: Directory
    record: ContainerRecord
    fifo: Fd
    console: Fd | None
    options: CreateOptions
    late: tuple[Write, ...]  # limits that are written when only init is left
    ready: Callable[[Created], None]


def prepare(options: CreateOptions, bundle: Bundle) -> Prepared:
    """Decide everything.  Raises ConfigError, UsageError, Unsupported."""
    config = bundle.config
    if config.process is None:
        raise ConfigError("process property must not be empty")
    check_console(options, config.process.terminal)
    host = read_host()
    skip = why_no_device_rules(host)
    cgroup = drivers.plan_cgroup(options.cgroup_manager, config, options.container_id, host, skip_devices=bool(skip))
    namespaces = plan_namespaces(config, host)
    if namespaces.has_user_namespace:
        host = replace(host, capabilities=ALL_CAPABILITIES)  # user_namespaces(7): its first process has them all
    resources = resources_of(config, host, skip_devices=skip, without_cgroup=options.cgroup_manager == drivers.DISABLED)
    # init, the process that makes it (namespaces/plan.py), the one that systemd makes the scope of (process/holder.py)
    births = 1 + namespaces.needs_second_process + (cgroup.scope is not None)
    if births > 1:
        resources = with_room(resources, births)
    for warning in resources.warnings:
        log.debug(warning)
    if cgroup.cgroup.denied:
        log.warning("linux.resources.devices: systemd cannot be told what is denied: a daemon-reload allows it")
    for warning in credential_warnings(config.process, host):
        # Every `runc spec` asks for ambient capabilities that are not inheritable: news only for who looks for it.
        (log.debug if warning.startswith("can't raise ambient") else log.warning)(warning)
    if log.is_debug():
        for warning in mount_warnings(config, has_selinux=host.has_selinux):
            log.debug(warning)
    record = ContainerRecord(
        container_id=options.container_id,
        oci_version=config.oci_version,
        bundle=bundle.path,
        rootfs=bundle.rootfs,
        created=_now(),
        owner=host.euid,
        annotations=config.annotations,
        has_private_pid_namespace=namespaces.is_new("pid"),
        poststart=config.hooks.poststart,
        poststop=config.hooks.poststop,
        config=_config_for_exec(bundle.document),
    )
    if config.linux.intel_rdt is not None:
        from pyrunc.container import rdt

        record = replace(record, rdt=rdt.planned(config.linux.intel_rdt, options.container_id))
    return Prepared(
        bundle=bundle,
        process=config.process,
        host=host,
        namespaces=namespaces,
        cgroup=cgroup,
        resources=resources,
        record=record,
    )


def compile_prepared(prepared: Prepared, options: CreateOptions, joined: tuple[str, ...]) -> tuple[Birth, Plan]:
    """The stage's program and all it needs."""
    process = prepared.process
    listen = listen_descriptors()
    if listen:
        # sd_listen_fds(3): the container's first process is to find LISTEN_PID right, and that is pid 1 to it.
        process = replace(process, env=(*process.env, f"LISTEN_FDS={listen}", "LISTEN_PID=1"))
    wanted = Birth(
        container_id=options.container_id,
        bundle=prepared.bundle.path,
        rootfs=prepared.bundle.rootfs,
        config=prepared.bundle.config,
        process=process,
        host=prepared.host,
        namespaces=prepared.namespaces,
        joined=joined,
        cgroup=prepared.cgroup.cgroup,
        hook_state=_state_bytes(prepared.record, "created", 1),
        has_console_socket=process.terminal,
        no_pivot=options.no_pivot,
        no_new_keyring=options.no_new_keyring,
        preserve_fds=options.preserve_fds + listen,
        source_links=source_links(prepared.bundle),
    )
    return wanted, compile_create(wanted)


def compile_bundle(bundle_path: str, options: CreateOptions) -> tuple[Prepared, Plan]:
    """What `create` would do with a bundle; nothing is made (`explain`, tests)."""
    bundle = load_bundle(bundle_path)
    prepared = prepare(options, bundle)
    kinds = tuple(joined.kind for joined in prepared.namespaces.joined)
    return prepared, compile_prepared(prepared, options, kinds)[1]


def create_container(
    store: Store, options: CreateOptions, ready: Callable[[Created], None], console: Fd | None = None
) -> Created:
    """Make the container, up to the point where only `start` is left.  On an error nothing stays behind.

    `ready` is called when it is complete, before it is let go: what fails in there still undoes everything.
    `console` is a socket that is to get the terminal's master if there is one, and options.console_socket is not set.
    """
    bundle = load_bundle(options.bundle)
    if notify_caller():
        bundle = with_notify(bundle, store, options.container_id)
    if PIDFD_RECEIVER in bundle.config.annotations and not options.pidfd_socket:
        options = replace(options, pidfd_socket=bundle.config.annotations[PIDFD_RECEIVER])
    prepared = prepare(options, bundle)
    with Opened() as opened:
        kinds = []
        for kind, _flag, file in open_namespaces(prepared.namespaces):
            opened.own(namespace(kind), file)
            kinds.append(kind)
        wanted, plan = compile_prepared(prepared, options, tuple(kinds))
        for warning in plan.warnings:
            log.debug(warning)
        if options.console_socket:
            with during(f"connect to the console socket {options.console_socket}"):
                console = connect(options.console_socket)
        undo = Undo()
        with store.create(options.container_id) as directory:
            undo.push("remove the state directory", directory.remove)
            try:
                if notify_caller():
                    directory.make_notify()
                with Holder() as holder:
                    return _make(directory, undo, prepared, wanted, plan, opened, console, options, ready, holder)
            except BaseException:
                undo.run()
                raise


def _make(
    directory: Directory,
    undo: Undo,
    prepared: Prepared,
    wanted: Birth,
    plan: Plan,
    opened: Opened,
    console: Fd | None,
    options: CreateOptions,
    ready: Callable[[Created], None],
    holder: Holder,
) -> Created:
    directory.note(replace(prepared.record, cgroup=cgroupfs.foresee(prepared.cgroup.cgroup).as_json()))
    cgroup = drivers.create(prepared.host.cgroups, prepared.cgroup, holder.start)
    undo.push("remove the cgroup", lambda: drivers.remove(cgroup))
    for warning in establish(cgroup, prepared.resources):
        log.debug(warning)
    if cgroup.hierarchies != prepared.cgroup.cgroup.hierarchies:
        # A rootless container that may not join them all: its program must not try.  Or systemd made another one.
        prepared = replace(prepared, cgroup=replace(prepared.cgroup, cgroup=cgroup))
        wanted, plan = compile_prepared(prepared, options, wanted.joined)
    if prepared.record.rdt:
        from pyrunc.container import rdt

        rdt.make_for(prepared, undo)
    if wanted.host.euid != 0 and plan.hook_output:
        # Nobody without privileges may take a descriptor from the stage, which is not dumpable: start reads the file.
        opened.own(HOOK_OUTPUT, directory.make_hook_output())
    if prepared.record.poststop:
        # runtime.md#lifecycle: a failing hook destroys the container, and poststop hooks still run
        undo.push("run poststop hooks", lambda: _run_poststop(prepared.record))
    record = replace(prepared.record, cgroup=cgroup.as_json())
    starting = Starting(
        directory=directory,
        record=record,
        fifo=directory.make_fifo(),
        console=console,
        options=options,
        late=prepared.resources.late,
        ready=ready,
    )
    try:
        return _start(starting, wanted, plan, opened)
    except StageFailed as error:
        bundle = with_links_resolved(prepared.bundle, plan, error)
        if bundle is None:
            raise
        log.debug(f"trying again with the dangling links in destinations resolved: {error}")
    remove_nodes(directory, plan.nodes)
    again = replace(prepared, bundle=bundle)
    return _start(starting, *compile_prepared(again, options, wanted.joined), opened)


def _start(starting: Starting, wanted: Birth, plan: Plan, opened: Opened) -> Created:
    """The stage, from its start to where it waits for `start`."""
    open_for_stage(opened, plan, wanted, starting.fifo, starting.console)
    make_nodes(starting.directory, plan.nodes, opened)
    record = replace(starting.record, start_failures=_start_failures(plan), hook_output=plan.hook_output)
    made: list[Created] = []

    def is_ready(pid: int) -> None:
        complete = _with_process(record, pid)
        if starting.late:
            apply(wanted.cgroup, starting.late)
        if record.rdt:
            from pyrunc.container import rdt

            rdt.join(record, pid)
        if not record.cgroup["made"]:
            starting.directory.note_process(complete)
        starting.directory.save(complete)
        made.append(Created(record=complete, stage=parent.stage, has_terminal=wanted.has_console_socket))
        hand_over(starting.options, parent.stage)
        starting.ready(made[0])

    callbacks = Callbacks(
        hook_state=lambda pid, status: _state_bytes(record, status, pid),
        ready=is_ready,
        attach=drivers.attacher(wanted.cgroup),
    )
    parent = Parent(plan, wanted, opened, callbacks)
    with during("unable to start container process"):
        try:
            with cgroupfs.open_v2_directory(wanted.cgroup) or Fd(-1) as v2:
                parent.run(v2.number)
            remove_nodes(starting.directory, plan.nodes)
        except BaseException as error:
            parent.stage.kill()  # it may have been ready, and wait for `start`
            if isinstance(error, StageFailed):
                error.trail.insert(0, "error during container init")
            raise
    return made[0]


def _config_for_exec(document: dict[str, Any]) -> dict[str, Any]:
    """A config.json of its own that says what `exec` has to keep to; the rest of it describes the container."""
    linux = document.get("linux") or {}
    kept = {key: linux[key] for key in ("seccomp", "personality", "memoryPolicy") if key in linux}
    config = {
        "ociVersion": document["ociVersion"],
        "root": document["root"],
        "process": document["process"],
        "linux": kept,
    }
    annotations = document.get("annotations") or {}
    meant = {key: annotations[key] for key in (KEEP_GROUPS, BPF_DATA, FAIL_UNKNOWN) if key in annotations}
    return config | {"annotations": meant} if meant else config


def _run_poststop(record: ContainerRecord) -> None:
    state = _state_bytes(record, "stopped", 0)
    for failure in run_remaining_hooks("poststop", record.poststop, state, record.bundle, record.annotations):
        log.warning(failure)


def hand_over(options: CreateOptions | ExecOptions, stage: Stage) -> None:
    """The pid, to those who asked for it.  The file is complete when it appears, with no newline (go-runc, conmon)."""
    if options.pidfd_socket:
        with during(f"send the pidfd to {options.pidfd_socket}"), connect(options.pidfd_socket) as receiver:
            send_descriptor(receiver, b"pidfd", stage.pidfd)
    if options.pid_file:
        with during(f"write the pid file {options.pid_file}"):
            write_pid_file(options.pid_file, stage.pid)


def write_pid_file(path: str, pid: int) -> None:
    folder, _slash, name = path.rpartition("/")
    temporary = f"{folder}{_slash}.{name}"
    fd = Fd(posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644))
    with fd:
        posix.write(fd.number, str(pid).encode())
    posix.rename(temporary, path)


def _with_process(record: ContainerRecord, pid: int) -> ContainerRecord:
    found = start_time(pid)
    if found is None and may_signal(pid):
        raise ConfigError("/proc does not show the container's init: it hides processes (hidepid, proc(5))")
    if found is None or found[1] in "ZX":
        raise ConfigError("the container's init ended before it was ready")
    return replace(record, pid=pid, start_time=found[0], boot_id=boot_id())


def _start_failures(plan: Plan) -> dict[str, str]:
    """The sentences for what the stage may report when create is long gone."""
    program = plan.program
    operations = [(index, program.operation(index)) for index in range(plan.first_start_operation, len(program))]
    return {str(index): found.label.template() for index, found in operations if found.kind in (CALL, CHECK)}


def _state_bytes(record: ContainerRecord, status: str, pid: int) -> bytes:
    document: dict[str, Any] = hook_state(record, status, pid)
    return dumps(document).encode("utf-8", "surrogateescape")


def _now() -> str:
    """RFC 3339 with nanoseconds, UTC: what runc writes.  Not strftime(3): that reads /etc/localtime."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{nanoseconds:09d}Z"
