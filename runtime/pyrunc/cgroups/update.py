"""Other limits for a container that is there: all of them, or none.

Before a file is written its value is read.  When a later write is refused what has been written is set back, the
last first: each of these steps leads to a state that the kernel had accepted before.  The error says what was set back.
"""

from __future__ import annotations

import posix
from errno import ENOENT, errorcode

from ocispec.record import replace
from pyrunc.cgroups.apply import Writer
from pyrunc.cgroups.controllers import enable_controllers
from pyrunc.cgroups.resources import plan_resources
from pyrunc.errors import ConfigError, PyruncError, during
from pyrunc.kernel.files import exists, read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocispec.resources import Memory, Resources
    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
    from pyrunc.cgroups.writes import Write
    from pyrunc.kernel.host import CgroupHierarchy

# runc's reason too: what a plugin allowed since (a GPU's hook) would be lost, and for a moment everything.
LEFT_ALONE = "update leaves them alone"
# Files of a line for each device or interface: what to write for one that has no line (no limit, the default weight).
RESET = {
    "io.latency": "{key} target=max",
    "io.max": "{key} rbps=max wbps=max riops=max wiops=max",
    "io.bfq.weight": "{key} default",
    "io.weight": "{key} default",
    "misc.max": "{key} max",
    "blkio.bfq.weight_device": "{key} default",
    "blkio.weight_device": "{key} 0",
    "blkio.leaf_weight_device": "{key} 0",
    "blkio.throttle.read_bps_device": "{key} 0",
    "blkio.throttle.write_bps_device": "{key} 0",
    "blkio.throttle.read_iops_device": "{key} 0",
    "blkio.throttle.write_iops_device": "{key} 0",
    "net_prio.ifpriomap": "{key} 0",
    "rdma.max": "{key} hca_handle=max hca_object=max",
}

WEIGHT_FILES = {1: "cpu.shares", 2: "cpu.weight"}


def update(
    cgroup: ContainerCgroup,
    resources: Resources,
    hierarchies: Sequence[CgroupHierarchy],
    page_sizes: Sequence[str] = (),
    also: Callable[[Resources], bool] | None = None,
) -> list[str]:
    """What could not be done for a reason comes back, a line each.

    `also` is what else belongs to it, done after the files; it is given the limits with what they take over from those
    that are there.  True: it has rounded what was written, which is then written again.
    Raises ConfigError for what cannot be expressed or is refused beforehand, KernelError for what the kernel refuses,
    and what `also` does; then the limits are what they were.
    """
    memory = cgroup.find("memory")
    if memory is not None and memory.version == 2 and resources.memory is not None:
        check_usage(memory, resources.memory)
    wanted = _with_memory_limit(cgroup, _with_quota(cgroup, resources))
    plan = plan_resources(wanted, hierarchies, page_sizes=page_sizes, skip_devices=LEFT_ALONE)
    writer = _Updater(cgroup)
    try:
        skipped = writer.write_all(plan.writes)
        if also is not None and also(wanted):
            Writer(cgroup).write_all(plan.writes)
    except BaseException as error:
        report = writer.set_back()
        if isinstance(error, PyruncError):
            error.text += report
        raise
    return [warning for warning in (*plan.warnings, *skipped) if not warning.endswith(LEFT_ALONE)]


def check_usage(joined: JoinedHierarchy, memory: Memory) -> None:
    """config-linux.md, checkBeforeUpdate: version 1 refuses by itself, version 2 would reclaim and then kill."""
    if not memory.check_before_update:
        return
    try:
        usage = int(read_file(f"{joined.path}/memory.current"))
    except OSError as error:
        if error.errno == ENOENT:
            return
        raise
    for limit, name in ((memory.swap, "memory+swap"), (memory.limit, "memory")):
        if limit is not None and 0 < limit <= usage:
            raise ConfigError(f"rejecting {name} limit {limit} <= usage {usage}")


def _with_quota(cgroup: ContainerCgroup, resources: Resources) -> Resources:
    """Quota and period are one file in version 2 and one percentage for systemd: one alone must not lose the other."""
    joined = cgroup.find("cpu")
    cpu = resources.cpu
    if joined is None or cpu is None or bool(cpu.quota) == bool(cpu.period):
        return resources
    if joined.version == 1 and not cgroup.unit:
        return resources
    quota, period = _quota_of(joined)
    return replace(resources, cpu=replace(cpu, quota=cpu.quota or quota, period=cpu.period or period))


def _quota_of(joined: JoinedHierarchy) -> tuple[int | None, int]:
    """Microseconds; None is no limit."""
    files = ("cpu.max",) if joined.version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    words: list[bytes] = []
    for file in files:
        with during(f"read {joined.path}/{file}"):
            words += read_file(f"{joined.path}/{file}").split()
    quota, period = words
    return (None if quota in (b"max", b"-1") else int(quota)), int(period)


def _with_memory_limit(cgroup: ContainerCgroup, resources: Resources) -> Resources:
    """Version 2 limits swap alone: what memory plus swap comes to depends on the limit of memory that is there."""
    joined = cgroup.find("memory")
    memory = resources.memory
    if joined is None or joined.version == 1 or memory is None or memory.limit or (memory.swap or 0) <= 0:
        return resources
    with during(f"read {joined.path}/memory.max"):
        limit = read_file(f"{joined.path}/memory.max").strip()
    return resources if limit == b"max" else replace(resources, memory=replace(memory, limit=int(limit)))


class _Updater(Writer):
    """Writes, and remembers what was there."""

    __slots__ = ("before",)

    def __init__(self, cgroup: ContainerCgroup) -> None:
        super().__init__(cgroup)
        self.before: list[tuple[str, str]] = []  # path, the value to write again

    def put(self, joined: JoinedHierarchy, write: Write) -> None:
        path = f"{joined.path}/{write.file}"
        if joined.version == 2 and write.controller and not exists(path):
            # Shown only below a cgroup that enables the controller: then it has a value to remember.
            enable_controllers(joined.path.rpartition("/")[0], (write.controller,))
        remembered = [(path, _value_before(path, write))]
        if write.file == "cpu.idle" and remembered[0][1] == "0":
            # Whoever ceases to be idle has the default weight: sched_group_set_idle() of the kernel.
            weight = WEIGHT_FILES[joined.version]
            remembered.insert(0, (f"{joined.path}/{weight}", read_file(f"{joined.path}/{weight}").decode().strip()))
        super().put(joined, write)
        self.before.extend((path, value) for path, value in remembered if value)

    def set_back(self) -> str:
        """As far as it goes: the error that brought us here matters more.  What to add to that error's words."""
        done: list[str] = []
        left: list[str] = []
        for path, value in reversed(self.before):
            name = path.rpartition("/")[2]
            try:
                write_file(path, value)
            except OSError as error:
                if error.errno is None:
                    raise
                left.append(f"{name} ({errorcode.get(error.errno, error.errno)})")
            else:
                done.append(name)
        told = (("set back", done), ("not set back", left))
        return "".join([f"; {words}: {', '.join(dict.fromkeys(names))}" for words, names in told if names])


def _value_before(path: str, write: Write) -> str:
    """ "" for a file that is not there or cannot be read."""
    try:
        content = read_file(path).decode()
    except OSError as error:
        if error.errno == ENOENT or not _is_readable(path):
            return ""
        raise
    return value_before(content, write)


def _is_readable(path: str) -> bool:
    return bool(posix.stat(path).st_mode & 0o444)


def value_before(content: str, write: Write) -> str:
    """What to write to have again what the file said; "" when there is nothing to be said."""
    if write.file == "memory.oom_control":
        return content.split()[1]  # "oom_kill_disable 0"
    if write.file.startswith("cpuset.") and not content.strip():
        return "\n"  # all that the cgroup above has; nothing at all would not reach the kernel
    if write.file not in RESET or " " not in write.value:
        first, _newline, more = content.strip().partition("\n")
        return first.removeprefix("default ") if not more or first.startswith("default ") else ""
    key = write.value.split()[0]
    for line in content.splitlines():
        if line.split()[:1] == [key]:
            return line
    return RESET[write.file].format(key=key)
