"""mounts[]: each in the listed order (config.md#mounts).

What is the same for all: a detached tree is made and given its attributes; the target is opened in the rootfs, made if
missing; the tree is attached to that descriptor; the path is opened again and must now lead to the new mount, or
somebody moved it under us; propagation comes last.

Rule 1: proc and sysfs go on a real directory only, reached without any link (CVE-2019-19921, CVE-2023-27561).
Rule 2: nothing is mounted inside the container's /proc but a few files (mounting.ON_PROC; CVE-2019-16884): what the
        runtime and the container write there would end up elsewhere.
Rule 3: a tmpfs and /dev are mounted writable even when they are to be read-only: mount points are still made in them.
        masks.emit_readonly_root finishes the job.
"""

from __future__ import annotations

from errno import EBUSY, EINVAL, EPERM

from ocispec.record import Record
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    MOUNT_ATTR_RDONLY,
    STATX_ATTR_MOUNT_ROOT,
)
from pyrunc.rootfs.binds import emit_bind, source_of
from pyrunc.rootfs.cgroupfs import emit_cgroup
from pyrunc.rootfs.copying import emit_hand_over
from pyrunc.rootfs.filesystems import FileSystem, emit_file_system, emit_mount_by_path, emit_reconfiguration
from pyrunc.rootfs.host import emit_directory_mode
from pyrunc.rootfs.idmaps import IdMap, id_map_of
from pyrunc.rootfs.mounting import ON_PROC, Mounting, emit_mode_of, inside_proc
from pyrunc.rootfs.options import Attributes, MountOptions, parse_mount_options, words_without_effect
from pyrunc.rootfs.paths import clean_path
from pyrunc.rootfs.trees import emit_attributes, emit_clone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Mount
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

_ORDINARY = ("proc", "sysfs")  # rule 1
_WITHOUT_LABEL = ("proc", "sysfs", "mqueue", "cgroup2")  # they take no context= option
_TWO_ENTRIES = 2 * 24
_ONE_MORE = 280  # the longest entry that getdents64(2) can list


def emit_mounts(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """All of mounts[].  Raises ConfigError for what cannot be mounted by anybody."""
    m = Mounting(p, root, inputs)
    before = p.scope("", "")
    for index, mount in enumerate(inputs.config.mounts):
        p.scope(f"mounts[{index}]", mount.destination)
        _emit_mount(m, index, mount)
    p.scope(*before)


class Source(Record):
    """What a bind mount binds."""

    index: int  # in mounts
    path: str
    recursive: bool
    follow: bool  # a link that it is; not with src-nofollow
    id_map: IdMap | None


def wanted_sources(inputs: RootfsInputs) -> tuple[Source, ...]:
    """Of every bind mount, for a parent that may see and do more than the stage.  Raises ConfigError."""
    wanted = []
    for index, mount in enumerate(inputs.config.mounts):
        options = parse_mount_options(mount.options)
        if is_bind(mount, options) and not options.is_remount and index not in inputs.source_links:
            id_map = id_map_of(f"mounts[{index}]", mount, options, inputs.config.linux)
            path = source_of(inputs.bundle, mount)
            wanted.append(
                Source(
                    index=index,
                    path=path,
                    recursive=options.is_recursive,
                    follow=not options.binds_link,
                    id_map=id_map,
                )
            )
    return tuple(wanted)


def link_sources(config: Config, bundle: str) -> tuple[tuple[int, str], ...]:
    """(index in mounts, source) of what has copy-symlink: if that is a link, it belongs into `source_links`."""
    return tuple(
        (index, source_of(bundle, mount))
        for index, mount in enumerate(config.mounts)
        if "copy-symlink" in mount.options
    )


def mount_warnings(config: Config, *, has_selinux: bool) -> list[str]:
    """What is ignored, because the kernel or the spec ignores it."""
    warnings = []
    for index, mount in enumerate(config.mounts):
        options = parse_mount_options(mount.options)
        if is_bind(mount, options):
            words = words_without_effect(mount.options)
        else:
            words = [word for word in mount.options if word in ("mand", "rmand")]  # gone since Linux 5.15
        if words:
            warnings.append(f"mounts[{index}] {mount.destination}: no effect here: {', '.join(words)}")
    if config.linux.mount_label and not has_selinux:
        warnings.append("linux.mountLabel: this host has no SELinux, ignoring")
    return warnings


def is_bind(mount: Mount, options: MountOptions) -> bool:
    """The type of a bind mount is meaningless (config.md#mounts); one of type "bind" without the option is meant so."""
    return options.is_bind or mount.type == "bind"


def is_read_only_at_the_end(mount: Mount, options: MountOptions) -> bool:
    """Rule 3."""
    if options.is_remount or is_bind(mount, options) or not options.is_read_only:
        return False
    return mount.type == "tmpfs" or clean_path(mount.destination) == "/dev"


def _emit_mount(m: Mounting, index: int, mount: Mount) -> None:
    p = m.p
    options = parse_mount_options(mount.options)
    destination = clean_path(mount.destination)
    _refuse(index, mount, options, destination)
    if options.is_remount:
        tree = _emit_remount(m, mount, options, destination)
    elif index in m.inputs.source_links:
        directory, name = m.paths.parent_and_name(destination)
        m.paths.make_this_link(directory, name, m.inputs.source_links[index])
        p.close(directory)
        return
    elif is_bind(mount, options):
        emit_bind(m, index, mount, options, destination)
        return
    elif mount.type == "cgroup":
        tree = emit_cgroup(m, destination, options)
    else:
        tree = _emit_new(m, index, mount, options, destination)
    m.finish(tree, options, is_rootfs=destination == "/" and not options.is_remount)


def _refuse(index: int, mount: Mount, options: MountOptions, destination: str) -> None:
    """What no kernel could do, or this version cannot: said before anything is started, and never ignored."""
    if destination.startswith("/proc/") and destination not in ON_PROC and not options.is_remount:
        raise ConfigError(f"mounts[{index}].destination: {inside_proc(destination)}")
    if destination == "/proc" and mount.type != "proc" and not is_bind(mount, options) and not options.is_remount:
        raise ConfigError(f'mounts[{index}].destination: "/proc" cannot be mounted because it is not of type proc')
    if (options.idmap or mount.uid_mappings) and (options.is_remount or not is_bind(mount, options)):
        raise ConfigError(f"mounts[{index}]: only bind mounts can be id-mapped")
    links = options.binds_link or options.covers_link or options.copies_link
    if links and (not is_bind(mount, options) or options.is_remount):
        raise ConfigError(
            f"mounts[{index}].options: src-nofollow, dest-nofollow and copy-symlink are for new bind mounts only"
        )
    if options.copies_up and (mount.type != "tmpfs" or is_bind(mount, options) or options.is_remount):
        raise ConfigError(f"mounts[{index}].options: tmpcopyup is for new tmpfs mounts only")
    if not mount.type and not is_bind(mount, options) and not options.is_remount:
        raise ConfigError(f"mounts[{index}].type: missing, and it is no bind mount")


# -- new file systems --------------------------------------------------------------------------------------------------


def _file_system(m: Mounting, mount: Mount, options: MountOptions) -> FileSystem:
    data = list(options.data)
    label = m.inputs.mount_label
    if label and mount.type not in _WITHOUT_LABEL:
        data.append(("context", label))
    flags = [word for word, on in options.super_flags.items() if on]
    # As mount(2) does it, read-only means the file system too; a tmpfs could then never get its mount points.
    if options.is_read_only and not is_read_only_at_the_end(mount, options):
        flags.append("ro")
    return FileSystem(mount.type, mount.source, tuple(data), tuple(flags))


def _emit_new(m: Mounting, index: int, mount: Mount, options: MountOptions, destination: str) -> Register:
    p = m.p
    wanted = _file_system(m, mount, options)
    attributes = options.attributes
    if is_read_only_at_the_end(mount, options):
        attributes = Attributes(attributes.sets & ~MOUNT_ATTR_RDONLY, attributes.clears)
    if wanted.needs_mount:
        return _emit_by_path(m, index, wanted, options, attributes, destination)
    if mount.type == "sysfs" and m.inputs.has_user_namespace and not m.inputs.has_network_namespace:
        tree = _emit_host_sysfs(m, wanted, options)
    else:
        tree = emit_file_system(p, wanted, attributes.sets)
    m.own.read(p, tree)
    if mount.type in _ORDINARY:
        target = m.ordinary_target(destination, mount.type)
    elif mount.type == "tmpfs":
        covered = _Covered(m, destination)
        covered.emit_take(m, index, tree, options)
        target = covered.directory
    else:
        target = m.target(destination, is_directory=True)
    m.attach(tree, destination, target)
    if destination == "/proc":
        m.remember_proc(tree)
    return tree


def _emit_host_sysfs(m: Mounting, wanted: FileSystem, options: MountOptions) -> Register:
    """sysfs belongs to the network namespace: without an own one a user namespace may only bind the host's.

    The mounts below it are no less read-only than itself (crun 1.31).
    """
    p = m.p
    refused, made = p.target(), p.target()
    sets = options.attributes.sets
    tree = emit_file_system(p, wanted, sets, tolerate=(EPERM, EBUSY), otherwise=refused)
    p.jump(made)
    p.here(refused)
    bound = emit_clone(p, "/sys", recursive=True, doing="bind the host's /sys")
    emit_attributes(p, bound, Attributes(sets & MOUNT_ATTR_RDONLY), recursive=True, doing="bind the host's /sys")
    emit_attributes(p, bound, options.attributes, recursive=False, doing="bind the host's /sys")
    p.set(tree, bound)
    p.release(bound)
    p.here(made)
    return tree


class _Covered:
    """The directory that a tmpfs is to cover, and takes something from if it was there before."""

    def __init__(self, m: Mounting, destination: str) -> None:
        p = m.p
        self.is_new = p.register()
        p.set(self.is_new, 0)

        def make(directory: Register, name: str) -> None:
            exists = p.target()
            m.paths.make_directory(directory, name, exists)
            p.set(self.is_new, 1)
            p.here(exists)

        self.directory = m.paths.open_or_make(destination, make)
        m.refuse_inside_proc(self.directory, destination)

    def emit_take(self, m: Mounting, index: int, tree: Register, options: MountOptions) -> None:
        """Its mode, as runc's does, if the tmpfs is told none.  With tmpcopyup its content."""
        p = m.p
        done = p.target()
        p.jump_if(self.is_new, 1, done)
        if not options.has_data("mode"):
            m.there.read(p, self.directory)
            mode = emit_mode_of(p, m.there)
            emit_directory_mode(p, tree, mode, doing="keep the mode of the mount point")
            p.release(mode)
        if options.copies_up:
            _emit_copy_up(m, index, self.directory, tree)
        p.here(done)
        p.release(self.is_new)


def _emit_copy_up(m: Mounting, index: int, directory: Register, tree: Register) -> None:
    """The parent is asked only when there is something: nearly every `--tmpfs` of podman is on an empty directory.

    Such a one lists "." and "..", 24 bytes each (struct linux_dirent64), or less if it was removed.
    """
    p = m.p
    entries = p.scratch(_TWO_ENTRIES + _ONE_MORE)
    reading = m.paths.open_for_reading(directory)
    listed = p.result("getdents64", reading, entries, entries.size, doing="tmpcopyup: read the directory")
    p.close(reading)
    done = p.target()
    for size in (0, _TWO_ENTRIES):
        p.jump_if(listed, size, done)
    emit_hand_over(p, m.inputs, directory, tree, index)
    p.here(done)
    p.release(listed)


def _emit_by_path(
    m: Mounting, index: int, wanted: FileSystem, options: MountOptions, attributes: Attributes, destination: str
) -> Register:
    """For what fsconfig(2) cannot say.  All one can check is that the path now leads to a mount root that is new."""
    p = m.p
    covered = _Covered(m, destination) if wanted.type == "tmpfs" else None
    target = m.target(destination, is_directory=True) if covered is None else covered.directory
    m.own.read(p, target)
    emit_mount_by_path(p, wanted, target, m.inputs.spare_fd, m.inputs.proc)
    tree = m.paths.open_existing(destination)
    m.there.read(p, tree)
    moved = "the mount point was moved or covered meanwhile"
    p.check(m.there.mount_id, m.own.mount_id, doing=moved, errno=EINVAL, differs=True)
    p.check(m.there.attributes, STATX_ATTR_MOUNT_ROOT, doing=moved, errno=EINVAL, mask=STATX_ATTR_MOUNT_ROOT)
    if covered is not None:
        covered.emit_take(m, index, tree, options)
    p.close(target)
    emit_attributes(p, tree, attributes, recursive=False, doing="set attributes")
    return tree


# -- remounts ----------------------------------------------------------------------------------------------------------


def _emit_remount(m: Mounting, mount: Mount, options: MountOptions, destination: str) -> Register:
    """`remount` changes the file system and the mount, `bind,remount` the mount alone.  What is not named stays."""
    p = m.p
    mounted = m.paths.open_existing(destination)
    m.there.read(p, mounted)
    nothing = "remount: nothing is mounted there"
    p.check(m.there.attributes, STATX_ATTR_MOUNT_ROOT, doing=nothing, errno=EINVAL, mask=STATX_ATTR_MOUNT_ROOT)
    if not is_bind(mount, options):
        emit_reconfiguration(p, mounted, options)
    emit_attributes(p, mounted, options.attributes, recursive=False, doing="remount")
    return mounted
