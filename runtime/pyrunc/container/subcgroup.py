"""Which cgroup a second process joins: the container's, one below it (exec --cgroup), or where init has gone."""

from __future__ import annotations

from ocispec.record import replace
from pyrunc.errors import UsageError
from pyrunc.kernel.files import exists, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.place import ContainerCgroup


def below(cgroup: ContainerCgroup, wanted: Sequence[str]) -> ContainerCgroup:
    """`[controller,…:]path` for each of `wanted`, relative to the container's cgroup; it must exist and stay inside."""
    joined = {hierarchy.path: hierarchy for hierarchy in cgroup.hierarchies}
    for one in wanted:
        names, colon, path = one.rpartition(":")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise UsageError(f"bad sub cgroup path: {path}")
        controllers = names.split(",") if colon else []
        for name in controllers:
            if cgroup.find(name) is None:
                raise UsageError(f"unknown controller {name} in {one}")
        for original, hierarchy in joined.items():
            if colon and not set(controllers) & set(hierarchy.controllers):
                continue
            inside = "/".join([original, *parts])
            if not exists(inside):
                if hierarchy.version == 2 and not hierarchy.controllers and len(joined) > 1:
                    continue  # hybrid: the v2 side has no controllers, and who made the others need not know of it
                raise UsageError(f"bad sub cgroup path: {path}: {inside} does not exist")
            joined[original] = replace(hierarchy, path=inside)
    return replace(cgroup, hierarchies=tuple(joined.values()))


def where_init_is(cgroup: ContainerCgroup, pid: int) -> ContainerCgroup:
    """The version 2 directory that init is in now, /proc/PID/cgroup says; version 1 stays as it is."""
    hierarchies = []
    for hierarchy in cgroup.hierarchies:
        path = hierarchy.path
        if hierarchy.version == 2:
            path = _current_path(path, pid)
        hierarchies.append(replace(hierarchy, path=path))
    return replace(cgroup, hierarchies=tuple(hierarchies))


def _current_path(path: str, pid: int) -> str:
    """`path` is the container's own directory; init is in it or below it."""
    for line in read_file(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").splitlines():
        number, _controllers, found = line.split(":", 2)
        name = path.rpartition("/")[2]
        if number == "0" and f"/{name}/" in f"{found}/":
            return f"{path}{found.partition(f'/{name}')[2]}"
    return path
