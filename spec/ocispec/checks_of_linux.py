"""Rules between the keys of the `linux` object, apart from namespaces (config-linux.md)."""

from __future__ import annotations

from ocispec.forms import is_interface_name, is_sysctl_key, parse_number_list
from ocispec.reader import shown
from ocispec.words import SECCOMP_ERRNO_ACTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.config import Config

    Found = tuple[str, str]

# ipc_namespaces(7): the keys of /proc/sys/kernel that belong to the IPC namespace.
IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
) | {"kernel.auto_msgmni", "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"}
SYSCTL_OWNERS = (("fs.mqueue.", "ipc"), ("net.", "network"), ("user.", "user"))


def devices(config: Config) -> Iterator[Found]:
    for index, device in enumerate(config.linux.devices):
        if device.type != "p" and (device.major is None or device.minor is None):
            yield f"linux.devices[{index}]", f"a device of type {device.type} must have major and minor"


def network_devices(config: Config) -> Iterator[Found]:
    wanted: set[str] = set()
    for host_name, device in config.linux.net_devices.items():
        place = f"linux.netDevices[{shown(host_name)}]"
        if not is_interface_name(host_name):
            yield place, "is no name of an interface"
        name = device.name or host_name
        if device.name and not is_interface_name(device.name):
            yield f"{place}.name", f"is no name of an interface: {shown(device.name)}"
        elif name in wanted and "%d" not in name:
            yield f"{place}.name", f"two devices would be called {shown(name)}"
        wanted.add(name)


def seccomp(config: Config) -> Iterator[Found]:
    profile = config.linux.seccomp
    if profile is None:
        return
    if profile.default_errno_ret is not None and profile.default_action not in SECCOMP_ERRNO_ACTIONS:
        yield "linux.seccomp.defaultErrnoRet", f"{profile.default_action} returns no errno"
    if profile.listener_metadata and not profile.listener_path:
        yield "linux.seccomp.listenerMetadata", "must not be given without listenerPath"
    notifies = profile.default_action == "SCMP_ACT_NOTIFY"
    for index, rule in enumerate(profile.syscalls):
        notifies = notifies or rule.action == "SCMP_ACT_NOTIFY"
        if rule.errno_ret is not None and rule.action not in SECCOMP_ERRNO_ACTIONS:
            yield f"linux.seccomp.syscalls[{index}].errnoRet", f"{rule.action} returns no errno"
        if "" in rule.names:
            yield f"linux.seccomp.syscalls[{index}].names[{rule.names.index('')}]", "must not be empty"
    if notifies and not profile.listener_path:
        yield "linux.seccomp.listenerPath", "is missing: SCMP_ACT_NOTIFY needs a listener"


def intel_rdt(config: Config) -> Iterator[Found]:
    rdt = config.linux.intel_rdt
    if rdt is None:
        return
    # The class becomes a directory of resctrl: "/" is the root class, anything else one name below it.
    if rdt.clos_id != "/" and ("/" in rdt.clos_id or "\n" in rdt.clos_id or rdt.clos_id in (".", "..")):
        yield "linux.intelRdt.closID", f'must be "/" or a name without a slash, not {shown(rdt.clos_id)}'
    lines = [("l3CacheSchema", rdt.l3_cache_schema), ("memBwSchema", rdt.mem_bw_schema)]
    lines += [(f"schemata[{index}]", line) for index, line in enumerate(rdt.schemata)]
    for key, line in lines:
        if "\n" in line:
            yield f"linux.intelRdt.{key}", "must be one line"


def memory_policy(config: Config) -> Iterator[Found]:
    policy = config.linux.memory_policy
    if policy is None:
        return
    here = "linux.memoryPolicy"
    nodes = parse_number_list(policy.nodes)
    if nodes is None:
        yield f"{here}.nodes", f"invalid memory policy node list {shown(policy.nodes)}"
        return
    # set_mempolicy(2): which modes take nodes, and which flags go together.
    count = sum(high - low + 1 for low, high in nodes)
    if policy.mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and count:
        yield f"{here}.nodes", f"invalid memory policy: {policy.mode} mode requires 0 nodes but got {count}"
    if policy.mode not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED") and not count:
        yield f"{here}.nodes", f"invalid memory policy: {policy.mode} mode requires at least one node"
    if {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"} <= set(policy.flags):
        yield f"{here}.flags", "invalid memory policy flags: nodes are static or relative, not both"
    if "MPOL_F_NUMA_BALANCING" in policy.flags and policy.mode not in ("MPOL_BIND", "MPOL_PREFERRED_MANY"):
        yield f"{here}.flags", f"invalid memory policy flags: {policy.mode} has no MPOL_F_NUMA_BALANCING"


def personality(config: Config) -> Iterator[Found]:
    if config.linux.personality is not None and config.linux.personality.flags:
        yield "linux.personality.flags", "must be empty: the spec defines none"


def sysctls(config: Config) -> Iterator[Found]:
    """Only keys that a namespace of the container owns: any other would change the host."""
    present = {namespace.type for namespace in config.linux.namespaces}
    for key in config.linux.sysctl:
        place = f"linux.sysctl[{shown(key)}]"
        if not is_sysctl_key(key):
            yield place, "is no name of a kernel parameter"
            continue
        if key == "kernel.hostname":
            yield place, "is not allowed: say it with hostname"
            continue
        owner = sysctl_owner(key)
        if not owner:
            yield place, "is not in a separate kernel namespace"
        elif owner not in present:
            yield place, f"needs the container to have its own {owner} namespace"


def sysctl_owner(key: str) -> str:
    """The type of the namespace a kernel parameter belongs to, "" for one of the whole machine."""
    if key in IPC_SYSCTLS:
        return "ipc"
    if key == "kernel.domainname":
        return "uts"
    for prefix, owner in SYSCTL_OWNERS:
        if key.startswith(prefix):
            return owner
    return ""


def rdt_prefixes(config: Config) -> Iterator[Found]:
    rdt = config.linux.intel_rdt
    if rdt is None:
        return
    for key, line, prefix in (("l3CacheSchema", rdt.l3_cache_schema, "L3:"), ("memBwSchema", rdt.mem_bw_schema, "MB:")):
        if line and not line.startswith(prefix):
            yield f"linux.intelRdt.{key}", f"should start with {prefix}"


LINUX_CHECKS = (devices, network_devices, seccomp, intel_rdt, memory_policy, personality, sysctls)
LINUX_WARNINGS = (rdt_prefixes,)
