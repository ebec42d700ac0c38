"""Mounts of type cgroup: what they are depends on the host's hierarchies.

v2 alone     cgroup2, and where that may not be mounted a bind of the container's own directory
v1, hybrid   a tmpfs with one directory a hierarchy (`cpu,cpuacct`, `unified`) and a link for each controller of a
             shared one; in a cgroup namespace the hierarchies are mounted anew, without one the container's own
             directories are bound: the rest of the tree is not the container's business
"""

from __future__ import annotations

from errno import EBUSY, EPERM

from pyrunc.kernel.constants import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)
from pyrunc.rootfs.filesystems import FileSystem, emit_file_system
from pyrunc.rootfs.options import Attributes
from pyrunc.rootfs.trees import emit_attach, emit_attributes, emit_clone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.kernel.host import CgroupHierarchy
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.mounting import Mounting
    from pyrunc.rootfs.options import MountOptions

_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
_NAMED = "name="


def emit_cgroup(m: Mounting, destination: str, options: MountOptions) -> Register:
    """The descriptor of the mount at `destination`, attached."""
    if all(hierarchy.version == 2 for hierarchy in m.inputs.cgroups) and m.inputs.cgroups:
        return _emit_unified(m, destination, options)
    return _emit_hierarchies(m, destination, options)


def _emit_unified(m: Mounting, destination: str, options: MountOptions) -> Register:
    p, inputs = m.p, m.inputs
    if inputs.has_user_namespace and not inputs.has_cgroup_namespace:
        # CVE-2023-25809: the whole tree would be shown, and what is the caller's would be writable.
        tree = emit_file_system(p, FileSystem("tmpfs", "tmpfs"), _ATTRIBUTES | MOUNT_ATTR_RDONLY)
    else:
        refused, made = p.target(), p.target()
        wanted = FileSystem("cgroup2", "cgroup", tuple(options.data))
        tree = emit_file_system(p, wanted, options.attributes.sets, tolerate=(EPERM, EBUSY), otherwise=refused)
        p.jump(made)
        p.here(refused)
        own = _own_directory(inputs.cgroups[0], inputs.cgroup_paths[0])
        _emit_bind_into(m, tree, own, options.attributes)
        p.here(made)
    m.own.read(p, tree)
    m.attach(tree, destination, m.target(destination, is_directory=True))
    return tree


def _emit_hierarchies(m: Mounting, destination: str, options: MountOptions) -> Register:
    p, inputs = m.p, m.inputs
    base = emit_file_system(p, FileSystem("tmpfs", "tmpfs", (("mode", "755"),)), _ATTRIBUTES)
    names = [hierarchy.mountpoint.rstrip("/").rpartition("/")[2] for hierarchy in inputs.cgroups]
    for name in names:
        m.paths.make_directory(base, name)  # nobody else can reach it yet
    for name in names:
        for controller in name.split(",") if "," in name else ():
            m.paths.make_link(base, controller, name)
    m.own.read(p, base)
    m.attach(base, destination, m.target(destination, is_directory=True))
    read_only = options.attributes.sets & MOUNT_ATTR_RDONLY
    for name, hierarchy, path in zip(names, inputs.cgroups, inputs.cgroup_paths, strict=True):
        if inputs.has_cgroup_namespace:
            tree = emit_file_system(p, _file_system(hierarchy), _ATTRIBUTES | read_only)
        else:
            tree = p.register()
            _emit_bind_into(m, tree, _own_directory(hierarchy, path), Attributes(_ATTRIBUTES | read_only))
        target = m.paths.open_name(base, name)
        emit_attach(p, tree, target, doing=f"attach {name}")
        p.close(target)
        p.close(tree)
    emit_attributes(p, base, Attributes(read_only), recursive=False, doing="make it read-only")
    return base


def _file_system(hierarchy: CgroupHierarchy) -> FileSystem:
    """Naming its controllers (or its name) finds an existing v1 hierarchy; cgroups(7)."""
    if hierarchy.version == 2:
        return FileSystem("cgroup2", "cgroup")
    data: list[tuple[str, str | None]] = []
    for controller in hierarchy.controllers:
        is_named = controller.startswith(_NAMED)
        data.append(("name", controller[len(_NAMED) :]) if is_named else (controller, None))
    return FileSystem("cgroup", "cgroup", tuple(data))


def _own_directory(hierarchy: CgroupHierarchy, path: str) -> str:
    return f"{hierarchy.mountpoint.rstrip('/')}/{path.strip('/')}".rstrip("/")


def _emit_bind_into(m: Mounting, tree: Register, source: str, attributes: Attributes) -> None:
    p = m.p
    bound = emit_clone(p, source, recursive=False, doing=f"bind {source}")
    emit_attributes(p, bound, attributes, recursive=False, doing=f"bind {source}")
    p.set(tree, bound)
    p.release(bound)
