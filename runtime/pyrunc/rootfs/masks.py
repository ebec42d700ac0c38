"""maskedPaths, readonlyPaths, and what becomes read-only at the very end.

A file is covered by the host's /dev/null, a directory by one read-only tmpfs that all masked directories share
(Kubernetes masks hundreds: a file system each would cost memory).  Nothing of the container is ever the cover
(CVE-2025-31133: its /dev/null was a link to /proc/sys/kernel/core_pattern).  Only ENOENT means that there is nothing
to cover.
"""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENOENT

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    O_PATH,
    S_IFCHR,
    S_IFDIR,
    S_IFMT,
    STATX_ATTR_MOUNT_ROOT,
)
from pyrunc.rootfs.filesystems import FileSystem, emit_file_system
from pyrunc.rootfs.host import emit_open
from pyrunc.rootfs.mounts import is_read_only_at_the_end
from pyrunc.rootfs.options import Attributes, parse_mount_options
from pyrunc.rootfs.paths import Facts, RootPaths, check_kind, clean_path
from pyrunc.rootfs.trees import emit_attach, emit_attributes, emit_clone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

_MADE_UP = "/\x01path"
_READ_ONLY = Attributes(MOUNT_ATTR_RDONLY)
_COVER = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC


def emit_masks(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """readonlyPaths, then maskedPaths.  Raises ConfigError without a mount namespace: the host would lose its files."""
    linux = inputs.config.linux
    if (linux.masked_paths or linux.readonly_paths) and not inputs.has_mount_namespace:
        raise ConfigError("unable to restrict sys entries without a private MNT namespace")
    paths = RootPaths(p, root)
    if linux.readonly_paths:
        _emit_each(p, "linux.readonlyPaths", linux.readonly_paths, lambda path: _emit_read_only(p, paths, path))
    if linux.masked_paths:
        _emit_masked(p, root, paths, linux.masked_paths)


def _emit_each(p: Program, place: str, listed: Iterable[str], emit: Callable[[str], None]) -> None:
    """For all paths the same, so it is emitted once, for one that nobody has (builder.py, `pattern`)."""
    start = len(p)
    emit(_MADE_UP)
    pattern = p.pattern(start, (_MADE_UP,))
    for index, path in _once(listed):
        with p.at(f"{place}[{index}]", path):
            p.stamp(pattern, (path,))


def _once(listed: Iterable[str]) -> Iterable[tuple[int, str]]:
    """(index, path) without the paths that came before."""
    seen = set()
    for index, path in enumerate(listed):
        path = clean_path(path)
        if path not in seen:
            seen.add(path)
            yield index, path


def _emit_read_only(p: Program, paths: RootPaths, path: str) -> None:
    absent = p.target()
    target = p.register()
    paths.open_into(target, path, passing=(ENOENT,), otherwise=absent)
    tree = emit_clone_of(p, target, recursive=True, doing="bind it on itself")
    emit_attributes(p, tree, _READ_ONLY, recursive=False, doing="make it read-only")
    emit_attach(p, tree, target, doing="bind it on itself")
    p.close(tree)
    p.close(target)
    p.here(absent)


def _emit_masked(p: Program, root: Register, paths: RootPaths, listed: Iterable[str]) -> None:
    facts = Facts(p)
    cover = p.register()
    with p.at("linux.maskedPaths", ""):
        null = _emit_null(p, facts)
        empty = emit_file_system(p, FileSystem("tmpfs", "tmpfs", (("nr_blocks", "1"), ("nr_inodes", "1"))), _COVER)
        # A mount can be copied only while it is attached (until Linux 6.15).  Over the root of the rootfs, whose
        # descriptor we hold from below, nobody meets it: openat2(2) starts under it.
        emit_attach(p, empty, root, doing="attach the cover")

    def emit_cover(path: str) -> None:
        absent, chosen = p.target(), p.target()
        target = p.register()
        paths.open_into(target, path, passing=(ENOENT,), otherwise=absent)
        facts.read(p, target)
        p.set(cover, null)
        check_kind(p, facts, S_IFDIR, chosen)
        p.set(cover, empty)
        p.here(chosen)
        tree = emit_clone_of(p, cover, recursive=False, doing="cover it")
        emit_attach(p, tree, target, doing="cover it")
        p.close(tree)
        p.close(target)
        p.here(absent)

    _emit_each(p, "linux.maskedPaths", listed, emit_cover)
    with p.at("linux.maskedPaths", ""):
        p.call("fchdir", empty, doing="detach the cover")
        p.call("umount2", ".", MNT_DETACH, doing="detach the cover")
        p.call("fchdir", root, doing="enter the rootfs")
        p.close(empty)
        p.close(null)
    p.release(cover)


def _emit_null(p: Program, facts: Facts) -> Register:
    null = emit_open(p, "/dev/null", O_PATH, doing="open the host's /dev/null")
    facts.read(p, null)
    for field, expected, mask in ((facts.mode, S_IFCHR, S_IFMT), (facts.major, 1, -1), (facts.minor, 3, -1)):
        p.check(field, expected, doing="the host's /dev/null is no null device", errno=ENODEV, mask=mask)
    return null


def emit_readonly_root(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """What had to stay writable for our own sake: /dev, tmpfs mounts, and the root.  The last change to any mount.

    Raises ConfigError for root.readonly without a mount namespace.
    """
    paths = RootPaths(p, root)
    facts = Facts(p)
    for index, mount in enumerate(inputs.config.mounts):
        options = parse_mount_options(mount.options)
        if not is_read_only_at_the_end(mount, options):
            continue
        with p.at(f"mounts[{index}]", mount.destination):
            mounted = paths.open_existing(clean_path(mount.destination))
            facts.read(p, mounted)
            moved = "the mount is no longer there"
            p.check(facts.attributes, STATX_ATTR_MOUNT_ROOT, doing=moved, errno=EINVAL, mask=STATX_ATTR_MOUNT_ROOT)
            emit_attributes(p, mounted, _READ_ONLY, recursive=False, doing="make it read-only")
            p.close(mounted)
    if inputs.config.root.readonly:
        if not inputs.has_mount_namespace:
            raise ConfigError("root.readonly: needs a mount namespace, or the host's mount would become read-only")
        with p.at("root.readonly", ""):
            emit_attributes(p, root, _READ_ONLY, recursive=False, doing="make the rootfs read-only")
