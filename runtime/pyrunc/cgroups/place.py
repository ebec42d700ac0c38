"""ContainerCgroup: the directories that are one container's cgroup."""

from __future__ import annotations

from ocispec.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.kernel.host import CgroupHierarchy


class JoinedHierarchy(Record):
    """The container's directory in one hierarchy."""

    version: int
    controllers: tuple[str, ...]
    path: str  # on the host: /sys/fs/cgroup/memory/x


class ContainerCgroup(Record):
    """The container's directory in every hierarchy it is in, and those of them, parents included, that we made."""

    hierarchies: tuple[JoinedHierarchy, ...]
    made: tuple[str, ...] = ()  # parents first
    optional: bool = False  # rootless and no cgroupsPath: a hierarchy that we may not write to is left out, as in runc
    unit: str = ""  # the systemd scope that it is, "" without the systemd driver
    unit_of_user: bool = False  # which is of the user's own manager
    denied: tuple[str, ...] = ()  # of a unit on version 1 that may have all devices but these: `c 10:183 rw`

    def find(self, controller: str) -> JoinedHierarchy | None:
        """The hierarchy that has this controller; "" is version 2 itself."""
        for joined in self.hierarchies:
            if controller in joined.controllers or (not controller and joined.version == 2):
                return joined
        return None

    def relative_paths(self, hierarchies: Sequence[CgroupHierarchy]) -> tuple[str, ...]:
        """The container's path inside each of the host's hierarchies, in their order.

        Where it has no cgroup of its own (rootless) that is our own path: it stays there.
        """
        paths = []
        for hierarchy in hierarchies:
            below = hierarchy.mountpoint.rstrip("/") + "/"
            own = [joined.path[len(below) - 1 :] for joined in self.hierarchies if _is_of(joined, hierarchy, below)]
            paths.append(own[0] if own else hierarchy.own_path)
        return tuple(paths)

    def as_json(self) -> dict[str, Any]:
        """What state.json keeps; `from_json` reads it back."""
        hierarchies = [
            {"version": joined.version, "controllers": list(joined.controllers), "path": joined.path}
            for joined in self.hierarchies
        ]
        unit = {"unit": self.unit, "unitOfUser": self.unit_of_user} if self.unit else {}
        denied = {"denied": list(self.denied)} if self.denied else {}
        return {"hierarchies": hierarchies, "made": list(self.made), **unit, **denied}


def _is_of(joined: JoinedHierarchy, hierarchy: CgroupHierarchy, below: str) -> bool:
    same = joined.version == hierarchy.version and joined.controllers == hierarchy.controllers
    return same and joined.path.startswith(below)


def from_json(value: dict[str, Any]) -> ContainerCgroup:
    """The inverse of `ContainerCgroup.as_json`; KeyError or TypeError if it is not that."""
    hierarchies = [
        JoinedHierarchy(version=one["version"], controllers=tuple(one["controllers"]), path=one["path"])
        for one in value["hierarchies"]
    ]
    return ContainerCgroup(
        hierarchies=tuple(hierarchies),
        made=tuple(value["made"]),
        unit=value.get("unit", ""),
        unit_of_user=value.get("unitOfUser", False),
        denied=tuple(value.get("denied", ())),
    )


def planned(hierarchies: Sequence[CgroupHierarchy], paths: Sequence[str], *, optional: bool = False) -> ContainerCgroup:
    """The cgroup that `create` would make, with nothing made: what `explain` prints a program for."""
    return ContainerCgroup(
        optional=optional,
        hierarchies=tuple(
            JoinedHierarchy(
                version=hierarchy.version,
                controllers=hierarchy.controllers,
                path=hierarchy.mountpoint.rstrip("/") + path,
            )
            for hierarchy, path in zip(hierarchies, paths, strict=True)
        ),
    )


def is_only_v2(hierarchies: Sequence[CgroupHierarchy]) -> bool:
    """Whether every controller is on version 2; v1 hierarchies without a controller (name=systemd) do not count."""
    v1_names = [name for hierarchy in hierarchies if hierarchy.version == 1 for name in hierarchy.controllers]
    return bool(hierarchies) and all(name.startswith("name=") for name in v1_names)
