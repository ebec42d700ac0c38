"""linux.cgroupsPath -> the container's path inside each hierarchy, for the cgroupfs driver."""

from __future__ import annotations

from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.kernel.host import CgroupHierarchy


def container_paths(cgroups_path: str, container_id: str, hierarchies: Sequence[CgroupHierarchy]) -> tuple[str, ...]:
    """The container's absolute path in each hierarchy, in the hierarchies' order.

    An absolute cgroupsPath counts from the root of each hierarchy (config-linux.md#cgroups-path), a relative one
    from our own cgroup there, and an absent one is the container id, relative.  ".." never leads above where the
    path counts from.  A `slice:prefix:name` is a path like any other to this driver.
    """
    if "\0" in cgroups_path or "\n" in cgroups_path:
        raise ConfigError(f"linux.cgroupsPath: {cgroups_path!r} holds a character that no cgroup's name may hold")
    below = lexically_clean(cgroups_path or container_id)
    if below == "/":
        # runc finds the root cgroup "not empty"; said here, before anything is tried.  Everything that removes
        # cgroups relies on this: a container's own directory is never the root of a hierarchy.
        raise ConfigError(
            f"linux.cgroupsPath: {cgroups_path!r} is the root of the cgroups, not a place for a container"
        )
    if cgroups_path.startswith("/"):
        return (below,) * len(hierarchies)
    only_v2 = all(hierarchy.version == 2 for hierarchy in hierarchies)
    return tuple(lexically_clean(_base(hierarchy, only_v2) + below) for hierarchy in hierarchies)


def _base(hierarchy: CgroupHierarchy, only_v2: bool) -> str:
    """Where a relative path counts from.

    On a pure v2 host that is the parent of our cgroup, as in runc: a cgroup with processes in it (ours has) cannot
    enable controllers for its children (cgroups(7), no internal processes), its parent can.
    """
    own_path = hierarchy.own_path.rstrip("/")
    return own_path.rpartition("/")[0] if only_v2 else own_path


def lexically_clean(path: str) -> str:
    """An absolute path without "", "." and ".." components; ".." at the top stays at the top."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
