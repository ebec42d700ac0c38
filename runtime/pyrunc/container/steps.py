"""What the parent does, as lines for people: the other half of `explain`."""

from __future__ import annotations

from ocispec.reader import shown
from ocispec.record import Record
from pyrunc.process.limits import limits_of
from pyrunc.process.sync import COPY_UP, LISTENER, MAP_IDS, READY, RUNTIME_HOOKS
from pyrunc.program.operations import SYNC
from pyrunc.program.signatures import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.linux import IDMapping
    from pyrunc.container.create import Prepared
    from pyrunc.process.plan import Plan
    from pyrunc.rootfs.idmaps import IdMap


class Step(Record):
    """`sync` is the number of the sync point at which it happens, 0: before the stage starts (process/sync.py)."""

    name: str
    doing: str
    place: str = ""
    sync: int = 0


def parent_steps(prepared: Prepared, plan: Plan) -> tuple[Step, ...]:
    """In order.  Nothing of it is done."""
    return (*_before(prepared, plan), *_at_sync_points(prepared, plan))


def _before(prepared: Prepared, plan: Plan) -> Iterator[Step]:
    record = prepared.record
    for joined in prepared.namespaces.joined:
        yield Step(name="open namespace", place=joined.place, doing=f"open the {joined.kind} namespace {joined.path}")
    yield Step(name="state directory", doing=f"make the directory of {record.container_id}, locked, with the journal")
    cgroup = prepared.cgroup.cgroup
    if cgroup.unit:
        whose = "the user's systemd" if cgroup.unit_of_user else "systemd"
        names = ", ".join(name for name, _value in prepared.cgroup.properties)
        yield Step(name="start unit", place="linux.cgroupsPath", doing=f"have {whose} start {cgroup.unit}: {names}")
    for hierarchy in cgroup.hierarchies:
        yield Step(name="make cgroup", place="linux.cgroupsPath", doing=f"make {hierarchy.path}")
    for write in prepared.resources.writes:
        joined_hierarchy = cgroup.find(write.controller)
        path = f"{joined_hierarchy.path if joined_hierarchy else write.controller}/{write.file}"
        yield Step(name="limit", place=write.place, doing=f"write {write.value!r} to {path}")
    if record.rdt:
        doing = f"make or find the resctrl group {record.rdt['path']}"
        yield Step(name="resctrl group", place="linux.intelRdt", doing=doing)
    program, directory = prepared.resources.device_program, cgroup.find("")
    if program and directory is not None:
        doing = f"attach a device program of {len(program) // 8} instructions to {directory.path}"
        yield Step(name="device program", place="linux.resources.devices", doing=doing)
    if prepared.resources.owner is not None and directory is not None:
        doing = f"give {directory.path} to uid {prepared.resources.owner}"
        yield Step(name="delegate", place="linux.namespaces", doing=doing)
    yield Step(name="exec fifo", doing="make the exec fifo")
    for one in plan.sources:
        words = "tree" if one.recursive else "mount"
        yield Step(name="clone source", place=f"mounts[{one.index}].source", doing=f"clone the {words} at {one.path}")
        if one.id_map is not None:
            yield Step(name="map ids", place=one.id_map.place, doing=f"map its ids: {_maps(one.id_map)}")
    for node in plan.nodes:
        doing = f"make the device {node.path}, mode {node.mode:o}, owner {node.uid}:{node.gid}"
        yield Step(name="make device", place=f"linux.devices[{node.index}]", doing=doing)
    yield Step(name="start stage", doing=f"clone3 the sealed stage: {integer('namespaces', plan.clone_flags)}")


def _maps(wanted: IdMap) -> str:
    if not wanted.uids:
        return "as the user namespace has them"
    return "; ".join(f"{name} {_ranges(mappings)}" for name, mappings in (("uid", wanted.uids), ("gid", wanted.gids)))


def _ranges(mappings: Sequence[IDMapping]) -> str:
    return ", ".join(f"{m.container_id} {m.host_id} {m.size}" for m in mappings)


def _at_sync_points(prepared: Prepared, plan: Plan) -> Iterator[Step]:
    config = prepared.bundle.config
    if prepared.namespaces.needs_map_sync:
        for name, mappings in (("uid", config.linux.uid_mappings), ("gid", config.linux.gid_mappings)):
            doing = f"map ids: {_ranges(mappings)}"
            yield Step(name=f"{name} map", place=f"linux.{name}Mappings", doing=doing, sync=MAP_IDS)
    for index, mount in enumerate(config.mounts):
        if "tmpcopyup" in mount.options:
            doing = f"have a second stage copy what {mount.destination} holds, if anything, into the tmpfs"
            yield Step(name="copy up", place=f"mounts[{index}]", doing=doing, sync=COPY_UP)
    for name, device in config.linux.net_devices.items():
        place = f"linux.netDevices[{shown(name)}]"
        doing = f"move the network device in as {device.name or name}, with its addresses, and take it up"
        yield Step(name="network device", place=place, doing=doing, sync=RUNTIME_HOOKS)
    for kind, hooks in (("prestart", config.hooks.prestart), ("createRuntime", config.hooks.create_runtime)):
        for index, hook in enumerate(hooks):
            yield Step(
                name=f"{kind} hook", place=f"hooks.{kind}[{index}]", doing=f"run {hook.path}", sync=RUNTIME_HOOKS
            )
    seccomp = config.linux.seccomp
    if seccomp is not None and any(
        operation.kind == SYNC and operation.number == LISTENER for operation in plan.program.operations
    ):
        doing = f"take the listener, send it with the state to {seccomp.listener_path}"
        yield Step(name="seccomp listener", place="linux.seccomp.listenerPath", doing=doing, sync=LISTENER)
    if config.process is not None and prepared.namespaces.has_user_namespace:
        for place, resource, soft, hard in limits_of(config.process):
            yield Step(name="limit", place=place, doing=f"prlimit {resource} {soft}:{hard}", sync=READY)
    if prepared.record.rdt:
        doing = f"write the pid to {prepared.record.rdt['path']}/tasks"
        yield Step(name="resctrl group", place="linux.intelRdt", doing=doing, sync=READY)
    if plan.home is not None:
        yield Step(name="HOME", place="process.env", doing="read HOME from the container's /etc/passwd", sync=READY)
    yield Step(name="state", doing="write state.json and the pid file", sync=READY)
