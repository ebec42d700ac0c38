"""What a config asks of the container's cgroup, on this host and with our rights."""

from __future__ import annotations

from ocispec.record import replace
from pyrunc.cgroups.layout import read_page_sizes
from pyrunc.cgroups.place import is_only_v2
from pyrunc.cgroups.resources import plan_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.cgroups.writes import ResourcePlan
    from pyrunc.kernel.host import Host


def resources_of(config: Config, host: Host) -> ResourcePlan:
    """Raises ConfigError for what cannot be had here."""
    wanted = config.linux.resources
    sizes = read_page_sizes() if wanted is not None and wanted.hugepage_limits else ()
    # Device rules need the host's CAP_SYS_ADMIN, in devcgroup_update_access() and in bpf(2).
    skip = "pyrunc is in a user namespace" if host.in_user_namespace else "" if host.euid == 0 else "pyrunc is not root"
    plan = plan_resources(wanted, host.cgroups, page_sizes=sizes, skip_devices=skip)
    # Who is not root cannot give away, and version 1 is never given: its hierarchies do not protect the host.
    if host.euid != 0 or not is_only_v2(host.cgroups):
        return plan
    from pyrunc.cgroups.delegation import owner  # version 2

    return replace(plan, owner=owner(config))
