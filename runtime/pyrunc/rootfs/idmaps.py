"""idmap, ridmap, uidMappings and gidMappings of a mount: whose files they are, seen through it.  Pure.

A map is that of a user namespace: (first id on the file system, first id on the host, count).  Without one of its own a
mount takes the container's, so that files of the host's root are the container root's.  crun's form is read too:

    idmap=uids=0-1000-10#10-5000-1;gids=0-1000-10      "@" before a range: its second number is an id of the container
"""

from __future__ import annotations

from ocispec.linux import IDMapping
from ocispec.record import Record
from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.config import Mount
    from ocispec.linux import Linux
    from pyrunc.rootfs.options import MountOptions

_MAX_ID = (1 << 32) - 1


class IdMap(Record):
    """`uids` and `gids` empty: the map of the user namespace that the container joins."""

    place: str
    uids: tuple[IDMapping, ...]
    gids: tuple[IDMapping, ...]
    recursive: bool


def is_id_mapped(mount: Mount) -> bool:
    """Whether it could be: cheap, and asked of every mount."""
    return bool(mount.uid_mappings or mount.gid_mappings) or "idmap" in ",".join(mount.options)


def id_map_of(place: str, mount: Mount, options: MountOptions, linux: Linux) -> IdMap | None:
    """None for a mount that is not id-mapped.  Raises ConfigError."""
    if not options.idmap and not mount.uid_mappings and not mount.gid_mappings:
        return None
    recursive = options.idmap == "ridmap"
    if options.id_ranges:
        if mount.uid_mappings or mount.gid_mappings:
            raise ConfigError(f"{place}: mappings, and others in its option {options.idmap}")
        uids, gids = parse_ranges(place, options.id_ranges, linux)
        return IdMap(place=place, uids=uids, gids=gids, recursive=recursive)
    if mount.uid_mappings or mount.gid_mappings:
        if not (mount.uid_mappings and mount.gid_mappings):
            raise ConfigError(f"{place}: must have uidMappings and gidMappings, or neither")
        return IdMap(place=place, uids=mount.uid_mappings, gids=mount.gid_mappings, recursive=recursive)
    space = next((namespace for namespace in linux.namespaces if namespace.type == "user"), None)
    if space is None:
        raise ConfigError(f"{place}.options: idmap needs uidMappings and gidMappings, or a user namespace")
    if space.path:
        return IdMap(place=place, uids=(), gids=(), recursive=recursive)
    return IdMap(place=place, uids=linux.uid_mappings, gids=linux.gid_mappings, recursive=recursive)


def parse_ranges(place: str, text: str, linux: Linux) -> tuple[tuple[IDMapping, ...], tuple[IDMapping, ...]]:
    """`uids=…;gids=…`.  Raises ConfigError."""
    own = {"uids": linux.uid_mappings, "gids": linux.gid_mappings}
    found: dict[str, tuple[IDMapping, ...]] = {}
    for part in text.split(";"):
        key, _equals, ranges = part.partition("=")
        if key not in own or key in found:
            raise ConfigError(f"{place}.options: idmap={text}: not of the form uids=0-1000-1;gids=0-1000-1")
        found[key] = tuple(_parse_range(place, text, one, own[key]) for one in ranges.split("#"))
    if len(found) != len(own):
        raise ConfigError(f"{place}.options: idmap={text}: uids and gids are both needed")
    return found["uids"], found["gids"]


def _parse_range(place: str, text: str, given: str, own: Sequence[IDMapping]) -> IDMapping:
    is_relative = given.startswith("@")
    numbers = given.lstrip("@").split("-") if given.count("@") == is_relative else []
    if len(numbers) != 3 or not all(_is_number(number) for number in numbers):
        raise ConfigError(f"{place}.options: idmap={text}: {given!r} is no range like 0-1000-1")
    first, host, size = (int(number) for number in numbers)
    if max(first, host, size) > _MAX_ID:
        raise ConfigError(f"{place}.options: idmap={text}: {given!r} goes beyond 2^32-1")
    if is_relative:
        host = _host_id(place, text, host, own)
    return IDMapping(container_id=first, host_id=host, size=size)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _host_id(place: str, text: str, inside: int, own: Sequence[IDMapping]) -> int:
    found = id_outside(own, inside)
    if found is None:
        raise ConfigError(f"{place}.options: idmap={text}: the container's user namespace does not map {inside}")
    return found


def id_outside(mappings: Sequence[IDMapping], inside: int) -> int | None:
    """The host's id for one of the container's; None if it has none."""
    for mapping in mappings:
        if mapping.container_id <= inside < mapping.container_id + mapping.size:
            return mapping.host_id + inside - mapping.container_id
    return None
