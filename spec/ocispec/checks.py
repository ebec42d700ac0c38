"""The rules between keys of config.json, in the order in which a person would like to hear of them.

What one key alone must be is said where it is read (config.py, linux.py, …); here is what takes two.  A check takes
the config and yields (place, problem) pairs; CONFIG_WARNINGS yield what is odd but accepted.
"""

from __future__ import annotations

from ocispec.checks_of_linux import LINUX_CHECKS, LINUX_WARNINGS
from ocispec.checks_of_process import PROCESS_CHECKS, PROCESS_WARNINGS
from ocispec.checks_of_resources import RESOURCES_CHECKS, RESOURCES_WARNINGS
from ocispec.reader import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocispec.config import Config
    from ocispec.linux import Namespace

    Found = tuple[str, str]

HOST_NAME_MAX = 64  # __NEW_UTS_LEN, uname(2)


def annotation_keys(config: Config) -> Iterator[Found]:
    if "" in config.annotations:
        yield "annotations", "must not have an empty key"


def process(config: Config) -> Iterator[Found]:
    if config.process is not None:
        for check in PROCESS_CHECKS:
            for place, problem in check(config.process):
                yield f"process.{place}", problem


def resources(config: Config) -> Iterator[Found]:
    if config.linux.resources is not None:
        for check in RESOURCES_CHECKS:
            for place, problem in check(config.linux.resources):
                yield f"linux.resources.{place}", problem


def duplicate_namespaces(config: Config) -> Iterator[Found]:
    seen: list[str] = []
    for index, namespace in enumerate(config.linux.namespaces):
        if namespace.type in seen:
            yield f"linux.namespaces[{index}].type", f"{namespace.type} is given twice"
        seen.append(namespace.type)


def host_names(config: Config) -> Iterator[Found]:
    for key, value in (("hostname", config.hostname), ("domainname", config.domainname)):
        if value and namespace_of(config, "uts") is None:
            yield key, "unable to set it without a private UTS namespace"
        if len(value.encode()) > HOST_NAME_MAX:
            yield key, f"must be at most {HOST_NAME_MAX} bytes"


def user_namespace(config: Config) -> Iterator[Found]:
    space = namespace_of(config, "user")
    for kind, mappings in (("uid", config.linux.uid_mappings), ("gid", config.linux.gid_mappings)):
        place = f"linux.{kind}Mappings"
        if mappings and space is None:
            yield place, "user namespace mappings specified, but user namespace isn't enabled"
        if space is not None and not space.path and not mappings:
            yield place, f"user namespaces enabled, but no {kind} mappings found"


def time_namespace(config: Config) -> Iterator[Found]:
    if config.linux.time_offsets:
        space = namespace_of(config, "time")
        if space is None:
            yield "linux.timeOffsets", "time namespace offsets specified, but time namespace isn't enabled"
        elif space.path:  # time_namespaces(7): offsets can be set only before the first process enters
            yield "linux.timeOffsets", "must not be given for a time namespace joined by path"


def network_devices_have_a_namespace(config: Config) -> Iterator[Found]:
    if config.linux.net_devices and namespace_of(config, "network") is None:
        yield "linux.netDevices", "unable to move network devices without a private network namespace"


def mount_mappings(config: Config) -> Iterator[Found]:
    for index, mount in enumerate(config.mounts):
        if bool(mount.uid_mappings) != bool(mount.gid_mappings):
            yield f"mounts[{index}]", "must have uidMappings and gidMappings, or neither"
        elif mount.uid_mappings or not ("idmap" in mount.options or "ridmap" in mount.options):
            continue
        elif namespace_of(config, "user") is None:
            # config.md#linux-mount-options: the container's own mappings stand in, if it has any.
            yield f"mounts[{index}].options", "idmap needs uidMappings and gidMappings, or a user namespace"


def bind_sources(config: Config) -> Iterator[Found]:
    for index, mount in enumerate(config.mounts):
        binds = mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options
        if binds and not mount.source and "remount" not in mount.options:
            yield f"mounts[{index}].source", "is missing: a bind mount needs one"


def namespace_of(config: Config, kind: str) -> Namespace | None:
    for namespace in config.linux.namespaces:
        if namespace.type == kind:
            return namespace
    return None


def process_warnings(config: Config) -> Iterator[Found]:
    if config.process is not None:
        for check in PROCESS_WARNINGS:
            for place, text in check(config.process):
                yield f"process.{place}", text


def resources_warnings(config: Config) -> Iterator[Found]:
    if config.linux.resources is not None:
        for check in RESOURCES_WARNINGS:
            for place, text in check(config.linux.resources):
                yield f"linux.resources.{place}", text


def joined_user_namespace(config: Config) -> Iterator[Found]:
    # containerd's CRI sends both; the maps of an existing namespace are what they are.
    space = namespace_of(config, "user")
    if space is not None and space.path and (config.linux.uid_mappings or config.linux.gid_mappings):
        yield "linux.uidMappings", "the user namespace is joined by path and keeps its own mappings, ignoring"


def relative_destinations(config: Config) -> Iterator[Found]:
    for index, mount in enumerate(config.mounts):
        if mount.destination[0] != "/":  # config.md#mounts: allowed since 1.2, taken relative to "/"
            yield f"mounts[{index}].destination", f"should be an absolute path, not {shown(mount.destination)}"


CONFIG_CHECKS: tuple[Callable[[Config], Iterable[Found]], ...] = (
    *(annotation_keys, process, duplicate_namespaces, host_names, user_namespace, time_namespace),
    *(network_devices_have_a_namespace, mount_mappings, bind_sources, *LINUX_CHECKS, resources),
)
CONFIG_WARNINGS: tuple[Callable[[Config], Iterable[Found]], ...] = (
    *(process_warnings, joined_user_namespace, relative_destinations, *LINUX_WARNINGS, resources_warnings),
)
