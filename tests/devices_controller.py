"""A model of version 1's devices controller: security/device_cgroup.c of the kernel, for one cgroup.

Its parent allows everything.
"""

from __future__ import annotations

from errno import EINVAL
from typing import TYPE_CHECKING

from pyrunc.cgroups.devices import ANY, spell, v1_writes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.resources import DeviceRule
    from pyrunc.cgroups.devices import Key
    from pyrunc.cgroups.writes import Write


class DevicesController:
    """`allow` is the default; `exceptions` are to it."""

    def __init__(self, *, allow: bool, exceptions: dict[Key, set[str]], has_children: bool = False) -> None:
        self.allow = allow
        self.exceptions = exceptions
        self.has_children = has_children

    def write(self, file: str, value: str) -> None:
        """devcgroup_update_access(): `a` sets the default; an exception is found by its spelling alone."""
        allows = file == "devices.allow"
        if value.startswith("a"):
            if self.has_children:
                raise OSError(EINVAL, "the cgroup has children")
            self.allow, self.exceptions = allows, {}
            return
        kind, numbers, access = value.split()
        major, minor = (ANY if n == "*" else int(n) for n in numbers.split(":"))
        key = (kind, major, minor)
        if allows != self.allow:
            self.exceptions.setdefault(key, set()).update(access)
        elif key in self.exceptions:
            self.exceptions[key].difference_update(access)
            if not self.exceptions[key]:
                del self.exceptions[key]

    def list(self) -> list[str]:
        """devices.list, devcgroup_seq_show(): what is denied beside "everything" it does not tell."""
        if self.allow:
            return ["a *:* rwm"]
        # set_access() of the kernel writes r, w, m in this order
        return [spell(key, "".join(one for one in "rwm" if one in letters)) for key, letters in self.exceptions.items()]

    def may(self, kind: str, major: int, minor: int, letter: str) -> bool:
        excepted = any(
            k == kind and a in (ANY, major) and i in (ANY, minor) and letter in letters
            for (k, a, i), letters in self.exceptions.items()
        )
        return excepted != self.allow


def with_rules(rules: Sequence[DeviceRule], *, has_children: bool = False) -> DevicesController:
    model = DevicesController(allow=True, exceptions={})
    for write in v1_writes(rules):
        model.write(write.file, write.value)
    model.has_children = has_children
    return model


def step(model: DevicesController, write: Write) -> None:
    try:
        model.write(write.file, write.value)
    except OSError as error:
        if error.errno not in write.tolerate:
            raise
