"""Limits are written: the doer of a ResourcePlan."""

from __future__ import annotations

import posix
from errno import EBUSY, ENOENT

from pyrunc.cgroups.controllers import enable_controllers
from pyrunc.errors import ConfigError, KernelError, PyruncError, during
from pyrunc.kernel.constants import O_WRONLY
from pyrunc.kernel.files import Fd, exists, open_file, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
    from pyrunc.cgroups.writes import ResourcePlan, Write

UNIFIED = "linux.resources.unified."
V1_MEMORY_LIMIT = "memory.limit_in_bytes"


def establish(cgroup: ContainerCgroup, plan: ResourcePlan) -> list[str]:
    """All that a new cgroup is to have before a process is in it.  Returns and raises as `apply`."""
    writes: Sequence[Write] = plan.writes
    devices = cgroup.find("devices")
    if devices is not None and (cgroup.unit or devices.path not in cgroup.made):
        from pyrunc.cgroups.device_transition import only_changes  # few have rules before us

        writes = only_changes(cgroup, writes)
    skipped = apply(cgroup, writes)
    if plan.device_program is not None:
        from pyrunc.cgroups.device_filter import set_device_program  # version 2

        set_device_program(cgroup, plan.device_program)
    if plan.owner is not None:
        from pyrunc.cgroups.delegation import delegate  # version 2, and few

        delegate(cgroup, plan.owner)
    return skipped


def apply(cgroup: ContainerCgroup, writes: Sequence[Write]) -> list[str]:
    """Write them in order.  What was left out for a reason comes back, a line each, for --debug.

    Raises KernelError or ConfigError that begins with the place in config.json.
    """
    return Writer(cgroup).write_all(writes)


class Writer:
    """Keeps the last file open: device rules are a dozen writes to one file."""

    __slots__ = ("cgroup", "file", "path", "skipped")

    def __init__(self, cgroup: ContainerCgroup) -> None:
        self.cgroup = cgroup
        self.file = Fd(-1)
        self.path = ""
        self.skipped: list[str] = []

    def write_all(self, writes: Sequence[Write]) -> list[str]:
        postponed: list[Write] = []
        controller = ""
        try:
            for write in writes:
                if write.controller != controller:
                    self._catch_up(postponed)
                    controller = write.controller
                if not self._write(write, write.postpone):
                    postponed.append(write)
            self._catch_up(postponed)
        finally:
            self.file.close()
        return self.skipped

    def _catch_up(self, postponed: list[Write]) -> None:
        for write in postponed:
            self._write(write, ())
        postponed.clear()

    def _write(self, write: Write, postpone: Sequence[int]) -> bool:
        """False: not now."""
        try:
            self.put(self._joined(write), write)
        except OSError as error:
            number = error.errno
            if number in postpone:
                return False
            if number == ENOENT and write.otherwise is not None:
                return self._write(write.otherwise, postpone)
            if number in write.tolerate:
                self.skipped.append(f"{write.place}: {write.file} not written: {write.because}")
                return True
            raise self._explain(write, error) from error
        return True

    def _joined(self, write: Write) -> JoinedHierarchy:
        joined = self.cgroup.find(write.controller)
        if joined is None:
            name = write.controller or "unified"
            # runc's words, both.
            problem = f"cannot set {name} limit: container could not join or create cgroup"
            if write.place.startswith(UNIFIED):
                problem = f'unified resource "{write.file}" can\'t be set: controller "{name}" not available'
            raise ConfigError(f"{write.place}: {problem}")
        return joined

    def put(self, joined: JoinedHierarchy, write: Write) -> None:
        path = f"{joined.path}/{write.file}"
        if path != self.path:
            self.file.close()
            self.path = ""
            self.file = self._open(joined, write, path)
            self.path = path
        posix.write(self.file.number, write.value.encode())

    def _open(self, joined: JoinedHierarchy, write: Write, path: str) -> Fd:
        try:
            return open_file(path, O_WRONLY)
        except OSError as error:
            if error.errno != ENOENT or joined.version == 1 or not write.controller:
                raise
        # Version 2 shows a controller's files only below a cgroup that enables it; on a hybrid host nobody has.
        enable_controllers(joined.path.rpartition("/")[0], (write.controller,))
        return open_file(path, O_WRONLY)

    def _explain(self, write: Write, error: OSError) -> PyruncError:
        number = error.errno or 0
        if number == EBUSY and write.file == V1_MEMORY_LIMIT:
            told = self._memory_in_use(write)
        elif number == ENOENT and write.controller and not self._has_controller(write.controller):
            told = ConfigError(f"{write.file}: {self._without_controller(write)}")
        else:
            told = KernelError(number)
            told.trail.append(f"write {write.value!r} to {write.file}")
        told.trail.insert(0, write.place)
        return told

    def _memory_in_use(self, write: Write) -> PyruncError:
        """The kernel could not reclaim enough.  runc's words."""
        usage, peak = (self._number(write, f"memory.{name}_in_bytes") for name in ("usage", "max_usage"))
        text = f"unable to set memory limit to {write.value} (current usage: {usage}, peak usage: {peak})"
        return ConfigError(text)

    def _number(self, write: Write, file: str) -> int:
        path = f"{self._joined(write).path}/{file}"
        with during(f"read {path}"):
            return int(read_file(path))

    def _without_controller(self, write: Write) -> str:
        """Version 2.  Threaded cgroups have none that counts by process (cgroups(7)); runc's words for that."""
        path = self._joined(write).path
        kind = read_file(f"{path}/cgroup.type").decode().strip() if exists(f"{path}/cgroup.type") else "domain"
        if kind not in ("domain", "domain threaded"):
            return f'cannot enter cgroupv2 "{path}" with domain controllers -- it is in {kind} mode'
        if write.place.startswith(UNIFIED):
            return f'unified resource "{write.file}" can\'t be set: controller "{write.controller}" not available'
        return f"the {write.controller} controller is not available in this cgroup"

    def _has_controller(self, name: str) -> bool:
        joined = self.cgroup.find(name)
        if joined is None or joined.version == 1:
            return joined is not None
        path = f"{joined.path}/cgroup.controllers"
        with during(f"read {path}"):
            return name in read_file(path).decode().split()
