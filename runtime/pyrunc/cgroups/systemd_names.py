"""linux.cgroupsPath as the systemd driver takes it: `slice:prefix:name`, and the cgroup that systemd makes of it."""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import ConfigError

PLACE = "linux.cgroupsPath"
_SLICE = ".slice"
_SCOPE = ".scope"
# systemd.unit(5): what a unit's name may be made of.
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255
# For a container without a cgroupsPath: what runc calls it.
_PREFIX = "runc"


class ScopeName(Record):
    """The unit a container is to be, and the slice it is to be in; of the user's manager or of the system's."""

    slice: str  # system.slice
    unit: str  # runc-c1.scope
    name: str  # c1: what runc's description calls it
    of_user: bool = False

    @property
    def path(self) -> str:
        """Its cgroup below the manager's own."""
        return f"{expand_slice(self.slice).rstrip('/')}/{self.unit}"


def scope_name(cgroups_path: str, container_id: str, *, of_user: bool = False) -> ScopeName:
    """Raises ConfigError, in runc's words for what has not three parts."""
    parts = cgroups_path.split(":") if cgroups_path else ["", _PREFIX, container_id]
    if len(parts) != 3:
        wanted = 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups'
        raise ConfigError(f'{PLACE}: {wanted}, got "{cgroups_path}" instead')
    parent = parts[0] or ("user.slice" if of_user else "system.slice")
    expand_slice(parent)
    unit = f"{parts[1]}-{parts[2]}{_SCOPE}"
    if parts[2].endswith(_SLICE):
        raise ConfigError(f"{PLACE}: {parts[2]} is a slice, and a container is a scope")
    if not parts[2] or len(unit) > _LONGEST or not _ALLOWED.issuperset(unit):
        raise ConfigError(f"{PLACE}: {unit!r} is not a name that a unit may have, see systemd.unit(5)")
    return ScopeName(slice=parent, unit=unit, name=parts[2], of_user=of_user)


def expand_slice(name: str) -> str:
    """`a-b.slice` is /a.slice/a-b.slice, `-.slice` the root: systemd.slice(5)."""
    stem = name.removesuffix(_SLICE)
    if stem == name or not stem or len(name) > _LONGEST or not _ALLOWED.issuperset(name):
        raise ConfigError(f"{PLACE}: invalid slice name: {name}")
    if stem == "-":
        return "/"
    path = prefix = ""
    for component in stem.split("-"):
        if not component:
            raise ConfigError(f"{PLACE}: invalid slice name: {name}")
        path += f"/{prefix}{component}{_SLICE}"
        prefix += f"{component}-"
    return path
