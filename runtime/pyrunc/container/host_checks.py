"""Would this config run here, and if not, why: a valid config held against the facts of a machine (`validate`).

A check takes config and facts and yields (place, problem) pairs.  Pure; all of them are asked, so that a person hears
of everything at once.  Last comes what `create` would say itself, in `refusal`.
"""

from __future__ import annotations

from ocispec.forms import parse_number_list
from ocispec.reader import SpecError, shown
from ocispec.sections import split_place
from pyrunc.cgroups.resources import plan_resources
from pyrunc.container.bundle import Bundle
from pyrunc.container.create import compile_prepared, prepare
from pyrunc.container.host_facts import HIDDEN, MISSING, below, is_bind, sysctl_file
from pyrunc.container.options import CreateOptions
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ocispec.config import Config
    from pyrunc.container.host_facts import Facts

    Found = tuple[str, str]

OLDEST_KERNEL = (5, 15)
CAP_NET_ADMIN, CAP_SYS_NICE, CAP_SYS_RESOURCE = 12, 23, 24
_NAMESPACE_FILES = {"network": "net", "mount": "mnt"}  # the others are called as the spec calls them
# Words of mounts[].type that are no file systems of the kernel's.
_NO_FILE_SYSTEM = ("bind", "none", "cgroup", "")
_HOOKS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
_LIMIT_NAMES = {
    "RLIMIT_AS": "Max address space", "RLIMIT_CORE": "Max core file size", "RLIMIT_CPU": "Max cpu time",
    "RLIMIT_DATA": "Max data size", "RLIMIT_FSIZE": "Max file size", "RLIMIT_LOCKS": "Max file locks",
    "RLIMIT_MEMLOCK": "Max locked memory", "RLIMIT_MSGQUEUE": "Max msgqueue size", "RLIMIT_NICE": "Max nice priority",
    "RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes", "RLIMIT_RSS": "Max resident set",
    "RLIMIT_RTPRIO": "Max realtime priority", "RLIMIT_RTTIME": "Max realtime timeout",
    "RLIMIT_SIGPENDING": "Max pending signals", "RLIMIT_STACK": "Max stack size",
}  # fmt: skip


def host_problems(config: Config, facts: Facts) -> list[Found]:
    return [found for check in HOST_CHECKS for found in check(config, facts)]


def can(facts: Facts, capability: int) -> bool:
    return bool(facts.capabilities >> capability & 1)


def kernel(_config: Config, facts: Facts) -> Iterator[Found]:
    if facts.kernel < OLDEST_KERNEL:
        yield "", f"Linux {'.'.join(map(str, facts.kernel))} is too old: 5.15 has the system calls that are needed"


def root(config: Config, facts: Facts) -> Iterator[Found]:
    if facts.bundle:
        kind = facts.paths.get(below(facts.bundle, config.root.path), "directory")
        if kind not in ("directory", HIDDEN):
            words = "does not exist" if kind == MISSING else "is not a directory"
            yield "root.path", f"rootfs {config.root.path} {words}"


def program(config: Config, facts: Facts) -> Iterator[Found]:
    if facts.program is False and config.process is not None:
        yield "process.args[0]", f"the root filesystem has no {shown(config.process.args[0])}, in $PATH or as it stands"


def mounts(config: Config, facts: Facts) -> Iterator[Found]:
    for index, mount in enumerate(config.mounts):
        if is_bind(mount):
            if facts.paths.get(below(facts.bundle, mount.source)) == MISSING:
                yield f"mounts[{index}].source", f"{shown(mount.source)} does not exist"
        elif mount.type not in (*_NO_FILE_SYSTEM, *facts.filesystems) and not facts.has_modules:
            yield f"mounts[{index}].type", f"this kernel has no file system {shown(mount.type)}: /proc/filesystems"


def namespaces(config: Config, facts: Facts) -> Iterator[Found]:
    for index, namespace in enumerate(config.linux.namespaces):
        place = f"linux.namespaces[{index}]"
        if _NAMESPACE_FILES.get(namespace.type, namespace.type) not in facts.namespaces:
            yield f"{place}.type", f"this kernel has no {namespace.type} namespaces"
        elif namespace.path and facts.paths.get(namespace.path) == MISSING:
            yield f"{place}.path", f"{namespace.path} does not exist"
        elif namespace.type == "user" and not namespace.path and not facts.user_namespaces:
            yield f"{place}.type", "no user namespace may be made here: user.max_user_namespaces is 0"


def rootless(config: Config, facts: Facts) -> Iterator[Found]:
    if facts.host.euid == 0:
        return
    if not any(namespace.type == "user" for namespace in config.linux.namespaces):
        yield "linux.namespaces", f"rootless container requires user namespaces (uid {facts.host.euid} asks)"
    for kind, own in (("uid", facts.host.euid), ("gid", facts.host.egid)):
        mappings = getattr(config.linux, f"{kind}_mappings")
        alone = len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == own
        if mappings and not alone and not facts.has_map_programs:
            yield f"linux.{kind}Mappings", f"more than one's own id takes new{kind}map, which is not installed"


def labels(config: Config, facts: Facts) -> Iterator[Found]:
    process = config.process
    if process is not None and process.apparmor_profile and not facts.host.has_apparmor:
        yield "process.apparmorProfile", "apparmor: config provided but apparmor not supported"
    if process is not None and process.selinux_label and not facts.host.has_selinux:
        yield "process.selinuxLabel", "selinux is disabled or not supported"


def resctrl(config: Config, facts: Facts) -> Iterator[Found]:
    if config.linux.intel_rdt is not None and not facts.resctrl:
        yield "linux.intelRdt", "no resctrl file system is mounted"


def network_devices(config: Config, facts: Facts) -> Iterator[Found]:
    for name in config.linux.net_devices:
        place = f"linux.netDevices[{shown(name)}]"
        if name not in facts.network_devices:
            yield place, "there is no such network device on the host"
        elif not can(facts, CAP_NET_ADMIN):
            yield place, "moving a network device needs CAP_NET_ADMIN"


def resources(config: Config, facts: Facts) -> Iterator[Found]:
    skip = "not root" if facts.host.euid != 0 or facts.host.in_user_namespace else ""
    hierarchies = facts.host.cgroups
    try:
        plan_resources(config.linux.resources, hierarchies, page_sizes=facts.page_sizes, skip_devices=skip)
    except PyruncError as error:
        yield split_place(str(error))


def rlimits(config: Config, facts: Facts) -> Iterator[Found]:
    if config.process is None or can(facts, CAP_SYS_RESOURCE):
        return
    for index, limit in enumerate(config.process.rlimits):
        most = facts.hard_limits.get(_LIMIT_NAMES.get(limit.type, ""))
        if most is not None and limit.hard > most:
            yield f"process.rlimits[{index}].hard", f"raising it above {most} needs CAP_SYS_RESOURCE"


def scheduling(config: Config, facts: Facts) -> Iterator[Found]:
    process = config.process
    if process is None:
        return
    score = process.oom_score_adj
    if score is not None and score < facts.oom_score_adj and not can(facts, CAP_SYS_RESOURCE):
        yield "process.oomScoreAdj", f"lowering it below {facts.oom_score_adj} needs CAP_SYS_RESOURCE"
    scheduler = process.scheduler
    if scheduler is not None and not can(facts, CAP_SYS_NICE):
        if scheduler.policy in ("SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"):
            yield "process.scheduler.policy", f"{scheduler.policy} needs CAP_SYS_NICE"
        elif scheduler.nice < 0:
            yield "process.scheduler.nice", "a negative niceness needs CAP_SYS_NICE"
    priority = process.io_priority
    if priority is not None and priority.class_ == "IOPRIO_CLASS_RT" and not can(facts, CAP_SYS_NICE):
        yield "process.ioPriority.class", "IOPRIO_CLASS_RT needs CAP_SYS_NICE"


def lists(config: Config, facts: Facts) -> Iterator[Found]:
    """Nodes and processors that this machine does not have."""
    policy = config.linux.memory_policy
    if policy is not None and not _is_within(policy.nodes, facts.memory_nodes):
        yield "linux.memoryPolicy.nodes", f"this machine has the nodes {facts.memory_nodes}, not all of {policy.nodes}"
    affinity = config.process.exec_cpu_affinity if config.process is not None else None
    for key, text in (("initial", affinity.initial), ("final", affinity.final)) if affinity is not None else ():
        if text and not _meets(text, facts.cpus):
            yield f"process.execCPUAffinity.{key}", f"this machine has the processors {facts.cpus}, none of {text}"


def _is_within(text: str, present: str) -> bool:
    there = parse_number_list(present) or ()
    wanted = parse_number_list(text) or ()
    return all(any(low <= first and last <= high for low, high in there) for first, last in wanted)


def _meets(text: str, present: str) -> bool:
    there = parse_number_list(present) or ()
    wanted = parse_number_list(text) or ()
    return any(first <= high and low <= last for low, high in there for first, last in wanted)


def seccomp(config: Config, facts: Facts) -> Iterator[Found]:
    profile = config.linux.seccomp
    if profile is None:
        return
    if not facts.seccomp_actions:
        yield "linux.seccomp", "this kernel has no seccomp filters"
    elif profile.listener_path and "user_notif" not in facts.seccomp_actions:
        yield "linux.seccomp.listenerPath", "this kernel has no SCMP_ACT_NOTIFY"
    elif profile.listener_path and facts.paths.get(profile.listener_path, HIDDEN) not in ("socket", HIDDEN):
        yield "linux.seccomp.listenerPath", f"no agent listens on {profile.listener_path}"


def hooks(config: Config, facts: Facts) -> Iterator[Found]:
    """Those that are found on the host; startContainer hooks are the image's."""
    names = ("prestart", "create_runtime", "create_container", "poststart", "poststop")
    for kind, name in zip(_HOOKS, names, strict=True):
        for index, hook in enumerate(getattr(config.hooks, name)):
            found = facts.paths.get(hook.path, "program")
            if found not in ("program", HIDDEN):
                words = "does not exist" if found == MISSING else "is no program"
                yield f"hooks.{kind}[{index}].path", f"{hook.path} {words}"


def sysctls(config: Config, facts: Facts) -> Iterator[Found]:
    for key in config.linux.sysctl:
        if facts.paths.get(sysctl_file(key), "file") == MISSING:
            yield f"linux.sysctl[{shown(key)}]", "this kernel has no such parameter"


HOST_CHECKS: tuple[Callable[[Config, Facts], Iterable[Found]], ...] = (
    *(kernel, root, program, mounts, namespaces, rootless, labels, rlimits, scheduling, lists),
    *(network_devices, resources, resctrl, sysctls, seccomp, hooks),
)


def refusal(config: Config, document: dict[str, Any], bundle: str) -> Found | None:
    """What `create` would say, of what the checks above do not know; nothing is made."""
    options = CreateOptions(container_id="validate", detach=False)
    wanted = Bundle(path=bundle or "/", config=config, document=document, rootfs=below(bundle or "/", config.root.path))
    try:
        prepared = prepare(options, wanted)
        compile_prepared(prepared, options, prepared.namespaces.joined_kinds())
    except (PyruncError, SpecError) as error:
        return split_place(str(error))
    return None
