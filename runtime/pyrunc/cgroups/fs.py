"""The cgroupfs driver: make a container's cgroup and remove it.

Paths are the host's own, below mounts that only its root changes.
"""

from __future__ import annotations

import posix
from errno import EACCES, EBUSY, EEXIST, ENOENT, EPERM, EROFS
from time import sleep

from pyrunc.cgroups.controllers import enable_controllers
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy, is_only_v2, planned
from pyrunc.cgroups.processes import list_processes, state_of
from pyrunc.errors import KernelError, StateError, during
from pyrunc.kernel.files import Fd, exists, open_directory, read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.kernel.host import CgroupHierarchy

REFUSED = (EACCES, EPERM, EROFS)
# runc's words: its test suite and engines match on them.
NOT_EMPTY = "container's cgroup is not empty"
FROZEN = "container's cgroup unexpectedly frozen"
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
# 1, 2, 4 … ms: a second in all, as runc.
REMOVAL_WAITS = tuple(0.001 * 2**power for power in range(10))
# How often a parent that somebody else removes at the same moment is made again.
RACES = 16


def create(hierarchies: Sequence[CgroupHierarchy], paths: Sequence[str], *, optional: bool = False) -> ContainerCgroup:
    """Make the container's directory in every hierarchy; on an error what was made is removed again.

    An empty one that is there already is taken over and goes with the container, as in runc and crun: it is what a
    runtime that was killed leaves.  One with children is somebody's own and stays.
    `optional` (rootless and no cgroupsPath): a hierarchy we may not write to is left out.
    Raises KernelError, and StateError for a cgroup that is in use already.
    """
    made: list[str] = []
    adopted: list[str] = []
    joined: list[JoinedHierarchy] = []
    only_v2 = is_only_v2(hierarchies)
    try:
        with during("unable to apply cgroup configuration"):
            for wanted in planned(hierarchies, paths).hierarchies:
                if _make(wanted, made, optional=optional):
                    joined.append(wanted)
                    if wanted.path not in made and _is_leaf(wanted.path):
                        adopted.append(wanted.path)
                    if wanted.version == 2 and only_v2:
                        enable_controllers(parent_of(wanted.path), wanted.controllers)
                        _become_threaded(wanted.path)
    except BaseException:
        _remove_empty(reversed(made))
        raise
    return ContainerCgroup(hierarchies=tuple(joined), made=(*made, *adopted), optional=optional)


def foresee(cgroup: ContainerCgroup) -> ContainerCgroup:
    """The planned cgroup with `made` as `create` would fill it now: what to note down before anything is made.

    Raises StateError for a cgroup that is in use: nobody must find a note that calls it this container's.
    """
    missing: list[str] = []
    with during("unable to apply cgroup configuration"):
        for joined in cgroup.hierarchies:
            chain: list[str] = []
            path = joined.path
            while not exists(path):
                chain.append(path)
                path = parent_of(path)
            if not chain:
                _check_unused(joined)
                if _is_leaf(path):
                    chain.append(path)
            missing.extend(reversed(chain))
    if cgroup.unit:
        return cgroup
    return ContainerCgroup(hierarchies=cgroup.hierarchies, made=tuple(missing), optional=cgroup.optional)


def _make(wanted: JoinedHierarchy, made: list[str], *, optional: bool) -> bool:
    """False if it is left out.  A directory that was there already must have no processes and not be frozen."""
    already_made = len(made)
    try:
        is_new = _make_directories(wanted.path, made)
    except OSError as error:
        if optional and error.errno in REFUSED:
            return False
        with during(f"mkdir {wanted.path}"):
            raise
    if not is_new:
        _check_unused(wanted)
    if wanted.version == 1 and "cpuset" in wanted.controllers:
        for directory in made[already_made:]:
            _inherit_cpuset(directory)
    return True


def _become_threaded(path: str) -> None:
    """A cgroup below a threaded one takes processes only when it is threaded as well (cgroups(7), "Thread mode").

    As runc; a limit of a controller that counts by process (memory, io) is refused when it is written.
    """
    with during(f"cgroup.type of {path}"):
        if read_file(f"{path}/cgroup.type") == b"domain invalid\n":
            write_file(f"{path}/cgroup.type", "threaded")


def make_joined(wanted: JoinedHierarchy) -> None:
    """For the systemd driver: the unit's directory where systemd has not made it.  Parents stay, as in runc."""
    made: list[str] = []
    with during(f"mkdir {wanted.path}"):
        _make_directories(wanted.path, made)
    if wanted.version == 1 and "cpuset" in wanted.controllers:
        for directory in made:
            _inherit_cpuset(directory)


def _is_leaf(path: str) -> bool:
    from pyrunc.cgroups.tree import children_of  # only of a directory that was there already

    return not children_of(path)


def _make_directories(path: str, made: list[str]) -> bool:
    """mkdir -p, one call when the parents are there; whether the last was not there before."""
    for attempt in range(RACES):
        try:
            posix.mkdir(path, 0o755)
        except OSError as error:
            if error.errno == EEXIST:
                return False
            # A deleted container's parent may vanish again before the child is made: see `remove`.
            if error.errno != ENOENT or attempt == RACES - 1:
                raise
        else:
            made.append(path)
            return True
        _make_directories(parent_of(path), made)
    raise AssertionError("not reached")


def _check_unused(joined: JoinedHierarchy) -> None:
    count = len(list_processes(joined.path))
    if count:
        raise StateError(f"{NOT_EMPTY}: {count} process(es) found in {joined.path}")
    if state_of(joined) != "THAWED":
        raise StateError(f"{FROZEN}: {joined.path}")


def _inherit_cpuset(directory: str) -> None:
    """A new v1 cpuset is empty and lets nobody in: give it its parent's values (cpuset(7))."""
    for name in CPUSET_FILES:
        with during(f"copy {name} to {directory}"):
            write_file(f"{directory}/{name}", _filled(parent_of(directory), name))


def _filled(directory: str, name: str) -> str:
    """The value of a directory that we did not make; filled from above if it is empty."""
    value = read_file(f"{directory}/{name}").decode().strip()
    if not value:
        value = _filled(parent_of(directory), name)
        write_file(f"{directory}/{name}", value)
    return value


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def open_v2_directory(cgroup: ContainerCgroup) -> Fd | None:
    """For CLONE_INTO_CGROUP (clone(2)); None if version 2 is not mounted or the container is not in it."""
    joined = next((one for one in cgroup.hierarchies if one.version == 2), None)
    if joined is None:
        return None
    with during(f"open {joined.path}"):
        return open_directory(joined.path)


def remove(cgroup: ContainerCgroup) -> None:
    """Remove what `create` made or took over, and what the container made below it; parents only if we made them.

    Processes that are just dying
    keep a cgroup busy: asked again for a second.  Raises KernelError EBUSY when that was not enough.
    """
    made = set(cgroup.made)
    left = [joined.path for joined in cgroup.hierarchies if joined.path in made]
    parents = [path for path in reversed(cgroup.made) if path not in left]
    for wait in (*REMOVAL_WAITS, None):
        left = [path for path in left if not _remove_tree(path)]
        if not left or wait is None:
            break
        sleep(wait)
    _remove_empty(parents)
    if left:
        with during(f"unable to remove the container's cgroup: rmdir {left[0]}"):
            raise KernelError(EBUSY, hint="processes are left in it")


def _remove_tree(path: str) -> bool:
    """rmdir, bottom-up if it has children; False while it is busy."""
    if _remove_directory(path):
        return True
    from pyrunc.cgroups.tree import remove_below  # few containers make cgroups

    with during(f"rmdir below {path}"):
        is_empty = remove_below(path)
    return is_empty and _remove_directory(path)


def _remove_directory(path: str) -> bool:
    """False if it is busy: the kernel says so for processes and for children."""
    try:
        posix.rmdir(path)
    except OSError as error:
        if error.errno == EBUSY:
            return False
        if error.errno != ENOENT:
            with during(f"rmdir {path}"):
                raise
    return True


def _remove_empty(paths: Iterable[str]) -> None:
    """Parents that we made go when no other container is in them any more."""
    for path in paths:
        _remove_directory(path)
