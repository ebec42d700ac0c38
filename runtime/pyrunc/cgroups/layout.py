"""What the host's cgroup trees are, and where we are in them: cgroups(7)."""

from __future__ import annotations

import posix
from errno import EACCES, ENOENT

from pyrunc.errors import during
from pyrunc.kernel.constants import F_OK
from pyrunc.kernel.files import list_directory, read_file
from pyrunc.kernel.host import CgroupHierarchy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Located = tuple[int, tuple[str, ...], str, str]
    Mount = tuple[int, frozenset[str], str, str]  # version, options, root, mountpoint

# cgroups(7), and systemd's file-hierarchy: where every distribution mounts them.
CONVENTIONAL = "/sys/fs/cgroup"
HUGE_PAGES = "/sys/kernel/mm/hugepages"
# A file that only this version's cgroup directories have (the root of v2 has no cgroup.type, so not that one).
MARKS = {1: "tasks", 2: "cgroup.controllers"}


def read_hierarchies() -> tuple[CgroupHierarchy, ...]:
    """Every hierarchy that is mounted and that we are in, in the order of /proc/self/cgroup (v2 is last there).

    /proc/self/mountinfo, long on a host full of containers, is read only if something is not where it usually is.
    """
    memberships = _read_text("/proc/self/cgroup")
    if posix.access(f"{CONVENTIONAL}/{MARKS[2]}", F_OK):
        # Version 2 alone, as runc judges by that mount: version 1 may still be compiled in, and be listed.
        memberships = "".join([line for line in memberships.splitlines(keepends=True) if line.startswith("0::")])
    found = locate(memberships, lambda path: posix.access(path, F_OK), lambda: _read_text("/proc/self/mountinfo"))
    return tuple(_hierarchy(*one) for one in found)


def locate(memberships: str, exists: Callable[[str], bool], read_mounts: Callable[[], str]) -> list[Located]:
    """The decisions of `read_hierarchies`, with the content of the two files and a look at the file system passed in.

    (version, v1's controllers, mountpoint, own path below it) of each.
    """
    entries = [_parse_entry(line) for line in memberships.splitlines()]
    has_v1 = any(version == 1 for version, _names, _path in entries)
    found: list[Located] = []
    mounts: list[Mount] | None = None
    for version, names, own_path in entries:
        mountpoint = _conventional(version, names, has_v1)
        if not exists(_mark(mountpoint, version, own_path)):
            if mounts is None:
                mounts = _parse_mounts(read_mounts())
            mountpoint, own_path = _search(mounts, version, names, own_path, exists)
        if mountpoint:
            found.append((version, names, mountpoint, own_path))
    return found


def _hierarchy(version: int, names: tuple[str, ...], mountpoint: str, own_path: str) -> CgroupHierarchy:
    if version == 2:
        names = tuple(_read_text(f"{mountpoint}/cgroup.controllers").split())
    return CgroupHierarchy(version=version, controllers=names, mountpoint=mountpoint, own_path=own_path)


def read_page_sizes() -> tuple[str, ...]:
    """The sizes of huge pages this host has, as the hugetlb controller spells them: ("1GB", "2MB").

    Read only when the config sets hugepageLimits: compare with these before a size becomes a file name
    (GHSA-5g49-rx9x-qfc6).
    """
    try:
        names = list_directory(HUGE_PAGES)
    except OSError as error:
        if error.errno in (ENOENT, EACCES):
            return ()
        raise
    return tuple(sorted(_spell_size(int(name[len("hugepages-") : -len("kB")])) for name in names))


def _parse_entry(line: str) -> tuple[int, tuple[str, ...], str]:
    """(version, controllers, path) of a line such as `4:cpu,cpuacct:/user` or `0::/user`."""
    _number, names, path = line.split(":", 2)
    # A process outside its cgroup namespace's root sees /../x: nothing under our mounts is meant by that.
    own_path = "/" if path == "/.." or path.startswith("/../") else path
    return (1, tuple(names.split(",")), own_path) if names else (2, (), own_path)


def _conventional(version: int, names: tuple[str, ...], has_v1: bool) -> str:
    if version == 2:
        return f"{CONVENTIONAL}/unified" if has_v1 else CONVENTIONAL
    return f"{CONVENTIONAL}/{','.join(names).removeprefix('name=')}"


def _mark(mountpoint: str, version: int, own_path: str) -> str:
    """The file that proves that this hierarchy is mounted here and that we are where we think."""
    return f"{mountpoint}{own_path.rstrip('/')}/{MARKS[version]}"


def _read_text(path: str) -> str:
    with during(f"read {path}"):
        return read_file(path, limit=64 << 20).decode("utf-8", "surrogateescape")


def _parse_mounts(content: str) -> list[Mount]:
    """The cgroup mounts of a mountinfo file: proc_pid_mountinfo(5)."""
    found = []
    for line in content.splitlines():
        head, _dash, tail = line.partition(" - ")
        kind, _source, options = tail.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            fields = head.split(" ")
            version = 1 if kind == "cgroup" else 2
            found.append((version, frozenset(options.split(",")), _unescape(fields[3]), _unescape(fields[4])))
    return found


def _search(
    mounts: Sequence[Mount], version: int, names: tuple[str, ...], own_path: str, exists: Callable[[str], bool]
) -> tuple[str, str]:
    """(mountpoint, own path below it); ("", "") if it is mounted nowhere that can be reached.

    The root of a mount is not "/" inside a container that has no cgroup namespace: its own cgroup is mounted there.
    A mount may be hidden by a later one, so each must prove itself.  Our own cgroup may have been removed: then
    there is still the hierarchy.
    """
    fitting = [mount for mount in mounts if mount[0] == version and mount[1].issuperset(names)]
    places = [(mountpoint, _below(root, own_path)) for _version, _options, root, mountpoint in fitting]
    for mountpoint, below in (*places, *((mount[3], "/") for mount in fitting)):
        if exists(_mark(mountpoint, version, below)):
            return mountpoint, below
    return "", ""


def _below(root: str, path: str) -> str:
    """`path` as seen from `root`; "/" when it is not below it (a mount made in another cgroup namespace)."""
    if root == "/":
        return path
    return path[len(root) :] if path.startswith(root + "/") else "/"


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as three octal digits."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _spell_size(kilobytes: int) -> str:
    """2048 -> "2MB": mem_fmt() in the kernel's mm/hugetlb_cgroup.c."""
    if kilobytes >= 1 << 20:
        return f"{kilobytes >> 20}GB"
    return f"{kilobytes >> 10}MB" if kilobytes >= 1 << 10 else f"{kilobytes}KB"
