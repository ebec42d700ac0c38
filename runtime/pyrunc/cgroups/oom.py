"""Notices of the kernel having run out of a cgroup's memory.

Version 1: an eventfd that is tied to memory.oom_control (kernel: Documentation/admin-guide/cgroup-v1/memory.rst, 10);
it also fires when the cgroup is removed.  Version 2: poll(2) of memory.events, whose oom_kill counts.
"""

from __future__ import annotations

import posix
from select import POLLERR, POLLIN, POLLPRI

from pyrunc.cgroups.processes import GONE
from pyrunc.cgroups.stats_files import keyed
from pyrunc.errors import during
from pyrunc.kernel.constants import O_RDONLY
from pyrunc.kernel.files import Fd, exists, open_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup


class OomWatch:
    """`number` and `events` are for poll(2); `happened` empties what has come."""

    def __init__(self, path: str) -> None:
        self.path = path  # the container's directory of the memory controller

    number = -1
    events = 0

    def happened(self) -> bool:
        raise NotImplementedError

    def is_gone(self) -> bool:
        return not exists(self.path)


class OomWatchV1(OomWatch):
    events = POLLIN

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.eventfd = Fd(posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK))
        self.number = self.eventfd.number
        with during(f"watch {path}/memory.oom_control"), open_file(f"{path}/memory.oom_control", O_RDONLY) as control:
            write_file(f"{path}/cgroup.event_control", f"{self.number} {control.number}")

    def happened(self) -> bool:
        try:
            posix.eventfd_read(self.number)
        except BlockingIOError:  # EAGAIN: nothing has come
            return False
        return not self.is_gone()


class OomWatchV2(OomWatch):
    events = POLLPRI | POLLERR

    def __init__(self, path: str) -> None:
        super().__init__(path)
        with during(f"watch {path}/memory.events"):
            self.file = open_file(f"{path}/memory.events", O_RDONLY)
        self.number = self.file.number
        self.killed = self._count()

    def happened(self) -> bool:
        """Reading is what arms poll(2) again."""
        before, self.killed = self.killed, self._count()
        return self.killed > before

    def _count(self) -> int:
        try:
            content = posix.pread(self.number, 4096, 0)
        except OSError as error:
            if error.errno in GONE:
                return 0
            raise
        return keyed(content.decode()).get("oom_kill", 0)


def watch_oom(cgroup: ContainerCgroup) -> OomWatch | None:
    """None without a memory controller.  The descriptors live as long as the process: `events` is all it does."""
    joined = cgroup.find("memory")
    if joined is None:
        return None
    return OomWatchV1(joined.path) if joined.version == 1 else OomWatchV2(joined.path)
