"""NamespacePlan: which namespaces are new, which are joined, and how many processes that takes.

clone3 of the stage makes the new namespaces in the common case.  It cannot when there is a user namespace: execve(2)
of the stage before the id maps are written would lose all capabilities (user_namespaces(7)), and the others must
belong to it.  Then the stage makes them itself, and a new pid or time namespace, which only a child enters
(pid_namespaces(7), time_namespaces(7)), takes a second process.
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.config import Config
    from ocispec.linux import IDMapping, Linux
    from pyrunc.kernel.host import Host

FLAGS = {
    "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
    "mount": CLONE_NEWNS,
}
# Not made together with the others: user first, time before the fork, cgroup after the cgroups were joined.
_MADE_APART = CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWCGROUP
KEEP_GROUPS = "run.oci.keep_original_groups"
_MAX_MAPPINGS = 340  # user_namespaces(7), Linux 4.15
_MAX_ID = (1 << 32) - 1  # (uid_t) -1 is no id


class JoinedNamespace(Record):
    """One namespace that exists already.  `place` is where config.json names it."""

    kind: str
    path: str
    place: str


class NamespacePlan(Record):
    """What the stage starts with (`clone_flags`), joins, and makes itself (`later_flags`)."""

    new: tuple[str, ...]
    joined: tuple[JoinedNamespace, ...]
    clone_flags: int  # for clone3 of the stage
    later_flags: int  # for the stage's own clone or unshare; without user, time and cgroup
    needs_second_process: bool
    is_privileged: bool  # the parent may write any id map
    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()
    time_offsets: tuple[tuple[str, int, int], ...] = ()  # clock, seconds, nanoseconds
    changes_network: bool = False  # sysctls or devices: never the host's own

    keeps_groups: bool = False

    def is_new(self, kind: str) -> bool:
        return kind in self.new

    def has(self, kind: str) -> bool:
        """New or joined: not the host's, as far as config.json says."""
        return kind in self.new or any(joined.kind == kind for joined in self.joined)

    def joined_kinds(self) -> tuple[str, ...]:
        return tuple(joined.kind for joined in self.joined)

    @property
    def has_user_namespace(self) -> bool:
        return self.has("user")

    @property
    def needs_map_sync(self) -> bool:
        """The parent writes the maps of a new user namespace, or compares those of a joined one."""
        return self.is_new("user") or (self.has("user") and bool(self.uid_mappings or self.gid_mappings))


def plan_namespaces(config: Config, host: Host) -> NamespacePlan:
    """For a config that ocispec has checked: no kind twice, mappings and offsets only where they belong.

    Raises ConfigError for what this host or the kernel would refuse.
    """
    linux = config.linux
    new, joined = _sort(linux)
    user = "user" in new or "user" in (namespace.kind for namespace in joined)
    if not user and host.euid != 0:
        raise ConfigError("rootless container requires user namespaces")
    for name, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        check_ranges(f"linux.{name}Mappings", mappings)
        if "user" in new and not any(mapping.container_id == 0 for mapping in mappings):
            raise ConfigError(f"linux.{name}Mappings: id 0 of the user namespace is not mapped")
    later = 0
    for kind in new:
        later |= FLAGS[kind]
    later &= ~_MADE_APART
    second = "time" in new or (user and "pid" in new) or any(namespace.kind == "pid" for namespace in joined)
    by_stage = second or user
    return NamespacePlan(
        new=new,
        joined=joined,
        clone_flags=0 if by_stage else later,
        later_flags=later if by_stage else 0,
        needs_second_process=second,
        is_privileged=host.euid == 0,
        uid_mappings=linux.uid_mappings,
        gid_mappings=linux.gid_mappings,
        time_offsets=tuple((clock, offset.secs, offset.nanosecs) for clock, offset in linux.time_offsets.items()),
        keeps_groups=keeps_groups(config),
        changes_network=bool(linux.net_devices) or any(key.startswith("net.") for key in linux.sysctl),
    )


def keeps_groups(config: Config) -> bool:
    """crun's annotation, which `podman run --group-add keep-groups` sets."""
    return config.annotations.get(KEEP_GROUPS) == "1"


def _sort(linux: Linux) -> tuple[tuple[str, ...], tuple[JoinedNamespace, ...]]:
    """Kinds of new ones and joined ones, in the order of FLAGS: mount last, for what is opened by path before."""
    new = {namespace.type for namespace in linux.namespaces if not namespace.path}
    joined = {
        namespace.type: JoinedNamespace(kind=namespace.type, path=namespace.path, place=f"linux.namespaces[{index}]")
        for index, namespace in enumerate(linux.namespaces)
        if namespace.path
    }
    return tuple(kind for kind in FLAGS if kind in new), tuple(joined[kind] for kind in FLAGS if kind in joined)


def check_ranges(list_name: str, mappings: Sequence[IDMapping]) -> None:
    """What the kernel would answer with a bare EINVAL: user_namespaces(7).  Raises ConfigError."""
    if len(mappings) > _MAX_MAPPINGS:
        raise ConfigError(f"{list_name}: more than {_MAX_MAPPINGS} mappings")
    for index, mapping in enumerate(mappings):
        place = f"{list_name}[{index}]"
        if mapping.size == 0:
            raise ConfigError(f"{place}.size: must not be 0")
        for first in (mapping.container_id, mapping.host_id):
            if first + mapping.size > _MAX_ID:
                raise ConfigError(f"{place}: {mapping.size} ids from {first} on go beyond 2^32-2")
        for other in mappings[:index]:
            if _overlap(mapping.container_id, other.container_id, mapping.size, other.size):
                raise ConfigError(f"{place}.containerID: overlaps with another mapping")
            if _overlap(mapping.host_id, other.host_id, mapping.size, other.size):
                raise ConfigError(f"{place}.hostID: overlaps with another mapping")


def _overlap(first: int, second: int, first_size: int, second_size: int) -> bool:
    return first < second + second_size and second < first + first_size
