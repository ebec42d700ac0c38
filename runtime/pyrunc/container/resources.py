"""What a config asks of the container's cgroup, on this host and with our rights."""

from __future__ import annotations

from ocispec.record import replace
from pyrunc.cgroups.layout import read_page_sizes
from pyrunc.cgroups.place import is_only_v2
from pyrunc.cgroups.resources import plan_resources
from pyrunc.cgroups.writes import ResourcePlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.kernel.host import Host


def why_no_device_rules(host: Host) -> str:
    """ "" when there can be: they need the host's CAP_SYS_ADMIN, in devcgroup_update_access() and in bpf(2)."""
    return "pyrunc is in a user namespace" if host.in_user_namespace else "" if host.euid == 0 else "pyrunc is not root"


def resources_of(config: Config, host: Host, *, skip_devices: str, without_cgroup: bool = False) -> ResourcePlan:
    """Raises ConfigError for what cannot be had here.  As in crun, without a cgroup there are no limits at all."""
    if without_cgroup:
        return ResourcePlan(writes=())
    wanted = config.linux.resources
    sizes = read_page_sizes() if wanted is not None and wanted.hugepage_limits else ()
    plan = plan_resources(wanted, host.cgroups, page_sizes=sizes, skip_devices=skip_devices)
    # Who is not root cannot give away, and version 1 is never given: its hierarchies do not protect the host.
    if host.euid != 0 or not is_only_v2(host.cgroups):
        return plan
    from pyrunc.cgroups.delegation import owner  # version 2

    return replace(plan, owner=owner(config))
