"""Device nodes and the links of /dev.

A node is made by name in a directory that is held open, opened without following a link, and must be the device it
should be before its owner and mode are touched (CVE-2026-47766).  In a user namespace mknod(2) is not allowed: there
nodes are bound on empty files.  They are the parent's, made for the container with the owner and mode that config.json
wants, or those of the host: the default devices, and what the parent cannot make.
"""

from __future__ import annotations

from errno import EEXIST, ENOENT

from ocispec.linux import Device
from ocispec.record import Record
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    MS_PRIVATE,
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
)
from pyrunc.rootfs.host import emit_if_absent, emit_mode, emit_owner
from pyrunc.rootfs.idmaps import id_outside
from pyrunc.rootfs.mounts import is_bind
from pyrunc.rootfs.options import parse_mount_options
from pyrunc.rootfs.paths import Facts, RootPaths, clean_path
from pyrunc.rootfs.trees import emit_attach, emit_clone, emit_propagation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

    _Numbers = tuple[int, int, int]  # kind, major, minor

DEFAULT_MODE = 0o666
# config-linux.md#default-devices
_DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
# runtime-linux.md#dev-symbolic-links
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
_KINDS = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
_MAX_MAJOR = (1 << 12) - 1
_MAX_MINOR = (1 << 20) - 1


class DeviceNode(Record):
    """A node that the parent makes.  Owner and group are ids of the host."""

    index: int  # in linux.devices
    path: str  # in the container, and of the host's own node if there is one
    kind: int  # S_IFCHR or S_IFBLK
    number: int  # as mknod(2) takes it
    mode: int
    uid: int
    gid: int


def wanted_nodes(config: Config) -> tuple[DeviceNode, ...]:
    """Of linux.devices, those that belong to somebody whom the user namespace knows.  Raises ConfigError."""
    linux = config.linux
    nodes = []
    for index, device in enumerate(linux.devices):
        kind = _KINDS[device.type]
        uid, gid = id_outside(linux.uid_mappings, device.uid or 0), id_outside(linux.gid_mappings, device.gid or 0)
        if kind == S_IFIFO or uid is None or gid is None:
            continue
        number = encode_device(*_numbers(device, f"linux.devices[{index}]"))
        path, mode = clean_path(device.path), _mode(device)
        nodes.append(DeviceNode(index=index, path=path, kind=kind, number=number, mode=mode, uid=uid, gid=gid))
    return tuple(nodes)


class _Making:
    """The rootfs while devices are made in it."""

    def __init__(self, p: Program, root: Register, inputs: RootfsInputs) -> None:
        self.p = p
        self.inputs = inputs
        self.paths = RootPaths(p, root)
        self.facts = Facts(p)


def emit_devices(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """The default devices, linux.devices, /dev/ptmx and the links.  Raises ConfigError for impossible numbers.

    Nothing is made in a /dev that is a bind mount: it is somebody else's.
    """
    if has_foreign_dev(inputs):
        return
    making = _Making(p, root, inputs)
    directories: dict[str, Register] = {}
    for place, device, given in _wanted(inputs):
        parent, _slash, name = clean_path(device.path).rpartition("/")
        with p.at(place, device.path):
            if not name:
                raise ConfigError(f"{place}.path: '{device.path}' is no place for a device")
            directory = directories.get(parent)
            if directory is None:
                directory = directories[parent] = making.paths.open_or_make_directory(parent or "/")
            _emit_device(making, directory, name, device, place, given)
            if parent != "/dev":  # where nearly all are: that one stays open for its siblings
                p.close(directories.pop(parent))
    with p.at("", "/dev"):
        directory = directories.pop("/dev", None) or making.paths.open_or_make_directory("/dev")
        _emit_links(making, directory)
        p.close(directory)


def has_foreign_dev(inputs: RootfsInputs) -> bool:
    """Whether /dev is bound from elsewhere."""
    return any(
        clean_path(mount.destination) == "/dev" and is_bind(mount, parse_mount_options(mount.options))
        for mount in inputs.config.mounts
        if "dev" in mount.destination
    )


def _wanted(inputs: RootfsInputs) -> list[tuple[str, Device, int]]:
    """(place in config.json, device, the parent's node or -1): a listed device replaces the default of its path."""
    fds = inputs.device_fds
    devices = enumerate(inputs.config.linux.devices)
    listed = [(f"linux.devices[{index}]", device, fds.get(index, -1)) for index, device in devices]
    taken = {clean_path(device.path) for _place, device, _given in listed}
    defaults = [
        ("default devices", Device(type="c", path=path, major=major, minor=minor), -1)
        for path, major, minor in _DEFAULTS
        if path not in taken
    ]
    return defaults + listed


def _emit_device(making: _Making, directory: Register, name: str, device: Device, place: str, given: int) -> None:
    kind = _KINDS[device.type]
    major, minor = _numbers(device, place)
    if making.inputs.has_user_namespace and kind != S_IFIFO:
        _emit_bound(making, directory, name, clean_path(device.path), (kind, major, minor), given)
        return
    p = making.p
    making.paths.make_node(directory, name, kind, 0 if kind == S_IFIFO else encode_device(major, minor))
    node = making.paths.open_name(directory, name)
    emit_check_device(p, making.facts, node, kind, major, minor)
    emit_owner(p, node, device.uid or 0, device.gid or 0)
    emit_mode(p, node, _mode(device), making.inputs.spare_fd, making.inputs.proc)
    p.close(node)


def _mode(device: Device) -> int:
    return DEFAULT_MODE if device.file_mode is None else device.file_mode & 0o7777


def _numbers(device: Device, place: str) -> tuple[int, int]:
    major, minor = device.major or 0, device.minor or 0
    if not (0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR):
        raise ConfigError(f"{place}: no device has the numbers {major}:{minor}")
    return major, minor


def encode_device(major: int, minor: int) -> int:
    """What mknod(2) takes: the kernel's new_encode_dev."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def emit_check_device(p: Program, facts: Facts, node: Register, kind: int, major: int, minor: int) -> None:
    """What stands there must be this very device, else EEXIST (config-linux.md#devices)."""
    other = "something else is there already"
    facts.read(p, node)
    p.check(facts.mode, kind, doing=other, errno=EEXIST, mask=S_IFMT)
    if kind != S_IFIFO:
        p.check(facts.major, major, doing=other, errno=EEXIST)
        p.check(facts.minor, minor, doing=other, errno=EEXIST)


def _emit_bound(making: _Making, directory: Register, name: str, source: str, device: _Numbers, given: int) -> None:
    """The parent's node, or the host's with the host's owner and mode, on an empty file."""
    p = making.p
    if given >= 0:
        tree = p.register()
        p.set(tree, given)
        emit_propagation(p, tree, MS_PRIVATE, recursive=False, doing="make it private")
    else:
        tree = emit_clone(p, source, recursive=False, doing="bind the host's device")
    emit_check_device(p, making.facts, tree, *device)
    making.paths.make_file(directory, name)
    target = making.paths.open_name(directory, name)
    emit_attach(p, tree, target, doing="bind the device")
    p.close(target)
    p.close(tree)


def _emit_links(making: _Making, directory: Register) -> None:
    p, paths = making.p, making.paths
    for name, text in _LINKS:
        paths.make_link(directory, name, text)
    done = p.target()
    emit_if_absent(p, "/proc/kcore", done, ENOENT)
    paths.make_link(directory, "core", "/proc/kcore")
    p.here(done)
    # config-linux.md#default-devices: the container's own, never one that the image brought.
    paths.remove(directory, "ptmx")
    paths.make_link(directory, "ptmx", "pts/ptmx")
