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
    from ocispec.config import Config
    from ocispec.linux import IDMapping, Linux, TimeOffset
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
    sets_network_sysctls: bool = False
    warnings: tuple[str, ...] = ()

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
    """Raises ConfigError for namespaces that contradict each other or the rest of the config."""
    linux = config.linux
    new, joined = _sort(linux)
    kinds = {*new, *(namespace.kind for namespace in joined)}
    warnings = _check_mappings(linux, new, kinds, host)
    _check_names(config, kinds)
    later = 0
    for kind in new:
        later |= FLAGS[kind]
    later &= ~_MADE_APART
    user = "user" in kinds
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
        time_offsets=_time_offsets(linux.time_offsets, new),
        sets_network_sysctls=any(key.startswith(("net.", "net/")) for key in linux.sysctl),
        warnings=warnings,
    )


def _sort(linux: Linux) -> tuple[tuple[str, ...], tuple[JoinedNamespace, ...]]:
    """Kinds of new ones, in the order of FLAGS; joined ones in the order in which setns(2) works."""
    new: list[str] = []
    joined: dict[str, JoinedNamespace] = {}
    for index, namespace in enumerate(linux.namespaces):
        place, kind = f"linux.namespaces[{index}]", namespace.type
        if kind not in FLAGS:
            raise ConfigError(f"{place}: unknown namespace type '{kind}'")
        if kind in new or kind in joined:
            raise ConfigError(f"{place}: malformed spec file: duplicated ns '{kind}'")
        if namespace.path:
            joined[kind] = JoinedNamespace(kind=kind, path=namespace.path, place=place)
        else:
            new.append(kind)
    return tuple(k for k in FLAGS if k in new), tuple(joined[k] for k in FLAGS if k in joined)


def _check_mappings(linux: Linux, new: tuple[str, ...], kinds: set[str], host: Host) -> tuple[str, ...]:
    """The id mappings fit the user namespace; warnings."""
    if "user" not in kinds:
        if linux.uid_mappings or linux.gid_mappings:
            raise ConfigError("user namespace mappings specified, but user namespace isn't enabled in the config")
        if host.euid != 0:
            raise ConfigError("rootless container requires user namespaces")
        return ()
    for name, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        _check_ranges(name, mappings)
        if "user" in new:
            if not mappings:
                raise ConfigError(f"user namespaces enabled, but no {name} mappings found")
            if not any(m.container_id == 0 and m.size for m in mappings):
                raise ConfigError(f"linux.{name}Mappings: id 0 of the user namespace is not mapped")
    if "user" not in new and (linux.uid_mappings or linux.gid_mappings):
        return ("the user namespace has a path and mappings: the mappings must be those of the namespace",)
    return ()


def _check_ranges(name: str, mappings: tuple[IDMapping, ...]) -> None:
    """What the kernel would answer with a bare EINVAL: user_namespaces(7)."""
    if len(mappings) > _MAX_MAPPINGS:
        raise ConfigError(f"linux.{name}Mappings: more than {_MAX_MAPPINGS} mappings")
    for index, mapping in enumerate(mappings):
        place = f"linux.{name}Mappings[{index}]"
        if mapping.size == 0:
            raise ConfigError(f"{place}.size: 0 ids")
        for first in (mapping.container_id, mapping.host_id):
            if first + mapping.size > _MAX_ID:
                raise ConfigError(f"{place}: {first} and the {mapping.size - 1} ids after it go beyond 2^32-2")
        for other in mappings[:index]:
            if _overlap(mapping.container_id, other.container_id, mapping.size, other.size):
                raise ConfigError(f"{place}.containerID: overlaps with another mapping")
            if _overlap(mapping.host_id, other.host_id, mapping.size, other.size):
                raise ConfigError(f"{place}.hostID: overlaps with another mapping")


def _overlap(first: int, second: int, first_size: int, second_size: int) -> bool:
    return first < second + second_size and second < first + first_size


def _check_names(config: Config, kinds: set[str]) -> None:
    if config.hostname and "uts" not in kinds:
        raise ConfigError("unable to set hostname without a private UTS namespace")
    if config.domainname and "uts" not in kinds:
        raise ConfigError("unable to set domainname without a private UTS namespace")


def _time_offsets(offsets: dict[str, TimeOffset], new: tuple[str, ...]) -> tuple[tuple[str, int, int], ...]:
    if offsets and "time" not in new:
        raise ConfigError("linux.timeOffsets: set, but there is no new time namespace")
    for clock in offsets:
        if clock not in ("monotonic", "boottime"):
            raise ConfigError(f"linux.timeOffsets: unknown clock '{clock}'")
    return tuple((clock, offset.secs, offset.nanosecs) for clock, offset in offsets.items())
