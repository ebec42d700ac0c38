"""Config + options + Host -> Plan.  Pure: everything that is decided about a container is decided here.

`compile_create` reads as the order of a container's birth.  What breaks when a line moves:

*   the cgroup is joined before anything is mounted or forked, so that all of it is charged and limited;
*   namespaces before credentials: being uid 0 of the user namespace is what the mounts need;
*   the process is made non-dumpable after the id maps (an unprivileged parent must be able to write them) and before
    anything of the container is touched (CVE-2016-9962);
*   the cgroup namespace is unshared after the cgroup was joined: its root is where we are then (cgroup_namespaces(7));
*   prestart and createRuntime run when the mounts are there and before pivot_root (config.md#prestart), createContainer
    after them, masks after that: a hook may still mount;
*   sysctls in the container's namespaces, and before pivot_root: where no procfs may be made the host's /proc is taken;
*   everything of `process` after pivot_root, and the exec fifo last: `start` is all that is left to happen.
"""

from __future__ import annotations

from ocispec.record import Record, replace
from pyrunc.cgroups.join import emit_join
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import CLONE_NEWCGROUP
from pyrunc.namespaces.hostname import emit_hostname
from pyrunc.namespaces.join import emit_processes
from pyrunc.namespaces.network import emit_loopback_up
from pyrunc.namespaces.plan import check_ranges
from pyrunc.namespaces.sysctl import emit_sysctls
from pyrunc.process import birth, sync
from pyrunc.process.credentials import emit_make_directory
from pyrunc.process.descriptors import (
    CONSOLE,
    EXEC_FIFO,
    FIRST,
    PROC,
    ROOTFS,
    Descriptors,
    device,
    namespace,
    preserved,
    source,
)
from pyrunc.process.hooks import STDERR, STDOUT
from pyrunc.process.hooks_inside import Output, emit_hooks
from pyrunc.process.limits import emit_oom_score_adj
from pyrunc.process.payload import emit_execution, emit_payload
from pyrunc.process.procfs import emit_host_procfs, emit_procfs
from pyrunc.program.builder import Program
from pyrunc.rootfs.console import emit_console
from pyrunc.rootfs.devices import emit_devices, wanted_nodes
from pyrunc.rootfs.idmaps import is_id_mapped
from pyrunc.rootfs.inputs import RootfsInputs
from pyrunc.rootfs.masks import emit_masks, emit_readonly_root
from pyrunc.rootfs.mounts import emit_mounts, wanted_sources
from pyrunc.rootfs.pivot import emit_pivot
from pyrunc.rootfs.prepare import emit_rootfs
from pyrunc.security.keyring import emit_session_keyring
from pyrunc.security.lsm import emit_key_label, emit_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Process
    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.kernel.host import Host
    from pyrunc.namespaces.plan import NamespacePlan
    from pyrunc.program.operations import Pointer
    from pyrunc.rootfs.devices import DeviceNode
    from pyrunc.rootfs.idmaps import IdMap
    from pyrunc.rootfs.mounts import Source

HOOK_OUTPUT = "hook output"
HOOK_ERRORS = "hook errors"
_OPEN_AT_ONE_TIME = 80  # registers, and the few descriptors of descriptors.py that are not counted by a list
_PID_DIGITS = 10  # room for any pid in the state that hooks inside the container get


class Birth(Record):
    """What a create wants, with every default resolved and every path absolute."""

    container_id: str
    bundle: str
    rootfs: str
    config: Config
    process: Process
    host: Host
    namespaces: NamespacePlan
    joined: tuple[str, ...]  # kinds of namespaces that the parent has opened for the stage to join
    cgroup: ContainerCgroup
    hook_state: bytes  # the state's JSON with pid 0: its length is what matters here
    has_console_socket: bool = False
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    source_links: dict[int, str] = {}  # index in mounts -> the link that is to be copied (copy-symlink)


class Plan(Record):
    """What will be done: by the stage (`program`), and what the parent needs to know to do its part."""

    program: Program
    descriptors: Descriptors
    clone_flags: int
    namespaces: NamespacePlan
    home: Pointer | None  # where the answer to READY goes, if the container's passwd is to say what HOME is
    hook_state: Pointer | None  # where the answer to RUNTIME_HOOKS goes, if the container has hooks of its own
    sources: tuple[Source, ...]  # bind sources that the parent opens
    nodes: tuple[DeviceNode, ...]  # device nodes that it makes
    first_hook_operation: int  # no hook has run before it
    first_start_operation: int  # operations from here on happen at `start`
    hook_output: int = 0  # the stage's descriptor for what startContainer hooks print, if `start` is to show it
    warnings: tuple[str, ...] = ()  # what is left out, for --debug


def compile_create(wanted: Birth) -> Plan:
    """The plan of a container's creation up to its execve.  Raises ConfigError and Unsupported."""
    spaces = wanted.namespaces
    p = Program()
    descriptors = Descriptors()
    fifo = descriptors.add(EXEC_FIFO)
    inputs, sources, nodes = _rootfs_inputs(wanted, descriptors)
    joined = {kind: descriptors.add(namespace(kind)) for kind in wanted.joined}
    if "mount" in joined:  # from there on "/proc" is what others have mounted
        inputs = replace(inputs, proc=descriptors.add(PROC))
    has_inner_hooks = bool(wanted.config.hooks.create_container or wanted.config.hooks.start_container)
    output = Output(descriptors.add(HOOK_OUTPUT)) if has_inner_hooks else None
    if output is not None and STDERR in wanted.config.annotations:
        output = Output(output.stdout, descriptors.add(HOOK_ERRORS))
    kept = [descriptors.add(preserved(index)) for index in range(wanted.preserve_fds)]

    birth.emit_birth(p, wanted.host.ignored_signals)
    emit_oom_score_adj(p, wanted.process)
    emit_join(p, wanted.cgroup)
    emit_processes(p, wanted.namespaces, joined, sync.MAP_IDS, sync.INIT_PID)
    birth.emit_not_dumpable(p)
    _emit_surroundings(p, wanted, inputs.proc)
    own_descriptors = birth.emit_own_descriptors(p, inputs.proc)
    hook_state, first_hook_operation = _emit_root(p, wanted, inputs, output)
    confined, alone = spaces.has_user_namespace, spaces.is_new("pid")
    payload = emit_payload(p, wanted.config, wanted.process, wanted.host, in_user_namespace=confined, is_alone=alone)
    birth.emit_outlive_parent(p)
    p.sync(sync.READY, "ready", 0, payload.home)

    first_start_operation = len(p)
    above = FIRST + len(descriptors.names) + wanted.preserve_fds
    report = birth.emit_wait_for_start(p, own_descriptors, fifo, above)
    if hook_state is not None and output is not None and wanted.config.hooks.start_container:
        hooks = wanted.config.hooks.start_container
        emit_hooks(p, "startContainer", hooks, hook_state, output, directory=None, environment=payload.environment)
    birth.emit_announce_exec(p, report, p.scratch(sync.MESSAGE.size))
    birth.emit_preserved(p, kept)
    emit_execution(p, wanted.process, payload)
    return Plan(
        program=p,
        descriptors=descriptors,
        clone_flags=wanted.namespaces.clone_flags,
        namespaces=wanted.namespaces,
        home=payload.home,
        hook_state=hook_state,
        sources=sources,
        nodes=nodes,
        first_hook_operation=first_hook_operation,
        first_start_operation=first_start_operation,
        hook_output=_shown_output(wanted.config, output),
        warnings=payload.warnings,
    )


def _shown_output(config: Config, output: Output | None) -> int:
    return 0 if output is None or not config.hooks.start_container or STDOUT in config.annotations else output.stdout


def _rootfs_inputs(
    wanted: Birth, descriptors: Descriptors
) -> tuple[RootfsInputs, tuple[Source, ...], tuple[DeviceNode, ...]]:
    spaces = wanted.namespaces
    inputs = RootfsInputs(
        config=wanted.config,
        bundle=wanted.bundle,
        rootfs=wanted.rootfs,
        has_mount_namespace=spaces.has("mount"),
        has_user_namespace=spaces.has("user") or wanted.host.in_user_namespace,
        has_cgroup_namespace=spaces.has("cgroup"),
        has_network_namespace=spaces.has("network"),
        cgroups=wanted.host.cgroups,
        cgroup_paths=_cgroup_paths(wanted),
        source_fds={},
        device_fds={},
        source_links=wanted.source_links,
        rootfs_fd=-1,
        console_fd=descriptors.add(CONSOLE) if wanted.has_console_socket else -1,
        no_pivot=wanted.no_pivot,
        mount_label=wanted.config.linux.mount_label if wanted.host.has_selinux else "",
        sync_hand_over=sync.HAND_OVER,
        sync_copy_up=sync.COPY_UP,
        spare_fd=_spare_descriptor(wanted),
    )
    # The uid 0 of a user namespace may be nobody on the way to a source: a privileged parent opens those (runc too).
    opens_all = spaces.has("user") and wanted.host.euid == 0 and not wanted.host.in_user_namespace
    if not opens_all and not any(is_id_mapped(mount) for mount in wanted.config.mounts):
        return inputs, (), ()
    sources = tuple(one for one in wanted_sources(inputs) if opens_all or one.id_map is not None)
    for one in sources:
        check_id_map(one.id_map, wanted.host)
        inputs.source_fds[one.index] = descriptors.add(source(one.index))
    nodes = wanted_nodes(wanted.config) if opens_all and spaces.is_new("user") else ()
    for node in nodes:
        inputs.device_fds[node.index] = descriptors.add(device(node.index))
    if opens_all and spaces.is_new("mount"):
        rootfs_fd = descriptors.add(ROOTFS)
        inputs = replace(inputs, rootfs_fd=rootfs_fd)
    return inputs, sources, nodes


def check_id_map(wanted: IdMap | None, host: Host) -> None:
    """mount_setattr(2): it takes CAP_SYS_ADMIN where the file system was mounted, and a map written by root."""
    if wanted is None:
        return
    if host.euid != 0:
        raise ConfigError(f"{wanted.place}: id-mapped mounts need root")
    check_ranges(f"{wanted.place}.uidMappings", wanted.uids)
    check_ranges(f"{wanted.place}.gidMappings", wanted.gids)


def _spare_descriptor(wanted: Birth) -> int:
    """Above everything the stage is given (at most one for a mount or a device) and will have open at one time."""
    listed = len(wanted.config.mounts) + len(wanted.config.linux.devices)
    return FIRST + listed + len(wanted.joined) + wanted.preserve_fds + _OPEN_AT_ONE_TIME


def _cgroup_paths(wanted: Birth) -> tuple[str, ...]:
    """Where the container is in each hierarchy: where we are ourselves, in those that it does not join (rootless)."""
    hierarchies = wanted.host.cgroups
    paths = wanted.cgroup.relative_paths(hierarchies)
    return tuple(path or hierarchy.own_path for path, hierarchy in zip(paths, hierarchies, strict=True))


def _emit_surroundings(p: Program, wanted: Birth, proc: int | None) -> None:
    """Everything of the environment that is not a file system."""
    config, spaces = wanted.config, wanted.namespaces
    if spaces.is_new("cgroup"):
        with p.at("linux.namespaces", "cgroup"):
            p.call("unshare", CLONE_NEWCGROUP, doing="make a cgroup namespace")
    birth.emit_session(p)
    if not wanted.no_new_keyring:
        emit_key_label(p, wanted.process, lambda p: emit_host_procfs(p, proc))
        emit_session_keyring(p, wanted.container_id)
    emit_hostname(p, config)
    if spaces.is_new("network"):
        emit_loopback_up(p)


def _emit_root(p: Program, wanted: Birth, inputs: RootfsInputs, output: Output | None) -> tuple[Pointer | None, int]:
    """The rootfs with all that is mounted on it, the hooks that may still see the host, and the way in.

    Returns where the state for hooks goes, and the first operation after the mounts.
    """
    config = wanted.config
    root = emit_rootfs(p, inputs)
    emit_mounts(p, root, inputs)
    emit_devices(p, root, inputs)
    if wanted.process.terminal:
        emit_console(p, root, inputs)
    first_hook_operation = len(p)
    hook_state = None
    hooks = config.hooks
    if output is not None:
        hook_state = p.scratch(len(wanted.hook_state) + _PID_DIGITS)
    if hook_state is not None or hooks.prestart or hooks.create_runtime or config.linux.net_devices:
        p.sync(sync.RUNTIME_HOOKS, "prestart and createRuntime hooks", 0, hook_state)
    if hook_state is not None and output is not None and hooks.create_container:
        state = hook_state
        emit_hooks(p, "createContainer", hooks.create_container, state, output, directory=root, environment=None)
    emit_make_directory(p, root, wanted.process)
    if config.linux.sysctl:
        with p.at("linux.sysctl"):
            proc = emit_procfs(p, inputs.proc)
        emit_sysctls(p, config, proc)
        p.close(proc)
    emit_label(p, wanted.process, wanted.host, lambda p: emit_host_procfs(p, inputs.proc))
    emit_masks(p, root, inputs)
    emit_readonly_root(p, root, inputs)
    emit_pivot(p, root, inputs)
    if inputs.proc is not None:
        p.call("close", inputs.proc, doing="close the host's /proc")
    return hook_state, first_hook_operation
