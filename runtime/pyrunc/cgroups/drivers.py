"""Who makes a container's cgroup: the cgroupfs driver, systemd, or nobody.

systemd's driver is imported where it is used: the other way costs nothing more for it.
"""

from __future__ import annotations

from ocispec.record import Record, replace
from pyrunc.cgroups import fs
from pyrunc.cgroups.place import ContainerCgroup, is_only_v2, planned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocispec.config import Config
    from ocispec.resources import Resources
    from pyrunc.cgroups.systemd_names import ScopeName
    from pyrunc.cgroups.systemd_properties import Property
    from pyrunc.kernel.host import CgroupHierarchy, Host

CGROUPFS, SYSTEMD, DISABLED = "cgroupfs", "systemd", "disabled"


class CgroupPlan(Record):
    """Where the container's cgroup will be, and for systemd what the unit is to be."""

    cgroup: ContainerCgroup
    scope: ScopeName | None = None
    properties: tuple[Property, ...] = ()


def plan_cgroup(driver: str, config: Config, container_id: str, host: Host, *, skip_devices: bool) -> CgroupPlan:
    """Decide; nothing is made, nobody is asked.  Raises ConfigError, and UsageError where systemd does not run."""
    wanted = config.linux.cgroups_path
    if driver == DISABLED:
        return CgroupPlan(cgroup=ContainerCgroup(hierarchies=()))
    if driver == SYSTEMD:
        return _plan_unit(config, container_id, host, skip_devices=skip_devices)
    from pyrunc.cgroups.paths import container_paths  # delete has no use for it

    paths = container_paths(wanted, container_id, host.cgroups)
    rootless = host.euid != 0 or host.in_user_namespace
    return CgroupPlan(cgroup=planned(host.cgroups, paths, optional=rootless and not wanted))


def _plan_unit(config: Config, container_id: str, host: Host, *, skip_devices: bool) -> CgroupPlan:
    from pyrunc.cgroups import systemd
    from pyrunc.cgroups.devices import denials
    from pyrunc.cgroups.systemd_names import scope_name
    from pyrunc.cgroups.systemd_properties import (
        annotation_properties,
        device_properties,
        limit_properties,
        scope_properties,
    )

    systemd.check_running()
    scope = scope_name(config.linux.cgroups_path, container_id, of_user=systemd.is_of_user(host))
    resources = config.linux.resources
    only_v2 = is_only_v2(host.cgroups)
    cgroup = systemd.plan(host.cgroups, scope)
    properties = [*scope_properties(scope), *limit_properties(resources, only_v2=only_v2)]
    if not skip_devices:
        rules = resources.devices if resources is not None else ()
        properties.extend(device_properties(rules))
        cgroup = replace(cgroup, denied=() if only_v2 else denials(rules))
    properties.extend(annotation_properties(config.annotations))
    # The last word wins; systemd takes a list named twice for a longer one.
    return CgroupPlan(cgroup=cgroup, scope=scope, properties=tuple(dict(properties).items()))


def create(hierarchies: Sequence[CgroupHierarchy], wanted: CgroupPlan, holder: Callable[[], int]) -> ContainerCgroup:
    """Make it.  `holder` starts a process for systemd to make a scope of, and returns its pid."""
    if wanted.scope is not None:
        from pyrunc.cgroups import systemd

        made = systemd.create(hierarchies, wanted.scope, wanted.properties, holder())
        return replace(made, denied=wanted.cgroup.denied)
    paths = wanted.cgroup.relative_paths(hierarchies)
    if not wanted.cgroup.hierarchies:
        return wanted.cgroup
    return fs.create(hierarchies, paths, optional=wanted.cgroup.optional)


def remove(cgroup: ContainerCgroup) -> None:
    if cgroup.unit:
        from pyrunc.cgroups import systemd

        systemd.remove(cgroup)
    else:
        fs.remove(cgroup)


def attacher(cgroup: ContainerCgroup) -> Callable[[int], None] | None:
    """Who moves a process into the cgroup when we may not; None: nobody."""
    if not cgroup.unit:
        return None
    from pyrunc.cgroups import systemd

    return lambda pid: systemd.attach(cgroup, pid)


def update_unit(cgroup: ContainerCgroup, resources: Resources, hierarchies: Sequence[CgroupHierarchy]) -> bool:
    """Tell systemd of other limits, which are in the files; whether it then may have rounded what is there."""
    if not cgroup.unit:
        return False
    from pyrunc.cgroups import systemd
    from pyrunc.cgroups.systemd_properties import AT_START, limit_properties, weight_property

    only_v2 = is_only_v2(hierarchies)
    properties = [one for one in limit_properties(resources, only_v2=only_v2) if one[0] not in AT_START]
    cpu = cgroup.find("cpu")
    if only_v2 and cpu is not None and resources.cpu is not None and resources.cpu.idle == 0:
        properties.extend(weight_property(resources.cpu, cpu.path))
    if properties:
        systemd.set_properties(cgroup, properties)
    return bool(properties)
