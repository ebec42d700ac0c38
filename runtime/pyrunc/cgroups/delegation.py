"""Version 2: the container's cgroup is given to whom it is to make cgroups below (cgroups(7), "Cgroup delegation").

The directory and the files that the kernel names, never the limits: those stay the host's.
"""

from __future__ import annotations

import posix
from errno import ENOENT

from pyrunc.errors import during
from pyrunc.kernel.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.config import Config, Mount
    from ocispec.linux import IDMapping
    from pyrunc.cgroups.place import ContainerCgroup

PLACE = "/sys/fs/cgroup"
# What the kernel says may be given away, one a line (Linux 4.15); it grows: memory.reclaim came with 5.19.
DELEGATE = "/sys/kernel/cgroup/delegate"
ALWAYS = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def owner(config: Config) -> int | None:
    """The host's id of the user that the container's cgroup is to belong to; None: it stays ours.

    As in runc, it is the user of the container's process, of a container with a cgroup namespace of its own and a
    cgroup mount that can be written.  For a config that ocispec has checked.
    """
    linux = config.linux
    new = {namespace.type for namespace in linux.namespaces if not namespace.path}
    if "cgroup" not in new or config.process is None or not any(map(_is_writable_cgroup, config.mounts)):
        return None
    uid = config.process.user.uid
    if not any(namespace.type == "user" for namespace in linux.namespaces):
        return uid or None
    return _outside(uid, linux.uid_mappings)


def _is_writable_cgroup(mount: Mount) -> bool:
    if mount.type not in ("cgroup", "cgroup2") or mount.destination.rstrip("/") != PLACE:
        return False
    words = [word for word in mount.options if word in ("ro", "rw", "rro")]
    return not words or words[-1] == "rw"


def _outside(uid: int, mappings: Sequence[IDMapping]) -> int | None:
    """None for an id without a mapping: nobody outside is meant."""
    for mapping in mappings:
        if mapping.container_id <= uid < mapping.container_id + mapping.size:
            return mapping.host_id + uid - mapping.container_id
    return None


def delegate(cgroup: ContainerCgroup, uid: int) -> None:
    """chown(2) of the version 2 directory and of those files in it; the groups stay as they are."""
    joined = cgroup.find("")
    if joined is None:
        return
    with during(f"give {joined.path} to uid {uid}"):
        posix.chown(joined.path, uid, -1)
        for name in delegated_files():
            try:
                posix.chown(f"{joined.path}/{name}", uid, -1)
            except OSError as error:
                # Files of a controller that this cgroup does not have.
                if error.errno != ENOENT:
                    raise


def delegated_files() -> tuple[str, ...]:
    try:
        return tuple(read_file(DELEGATE).decode().split())
    except OSError as error:
        if error.errno == ENOENT:  # a /sys that does not show it
            return ALWAYS
        with during(f"read {DELEGATE}"):
            raise
