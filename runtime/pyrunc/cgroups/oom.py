"""Notices of the kernel having run out of a cgroup's memory, and whose memory it was.

Version 1: an eventfd that is tied to memory.oom_control (kernel: Documentation/admin-guide/cgroup-v1/memory.rst, 10);
it also fires when the cgroup is removed.  Version 2: poll(2) of memory.events, whose oom_kill counts.

The cgroup whose limit was met counts it on version 2: `oom` of memory.events.local (Linux 5.2).  Version 1 has nothing
that lasts (failcnt stays 0 on Linux 6.18), so there it is the nearest cgroup whose memory has been as much as its limit
allows.  Where that is neither the container's own cgroup nor one above, it was the host's memory.
"""

from __future__ import annotations

import posix
from select import POLLERR, POLLIN, POLLPRI

from ocispec.record import Record
from pyrunc.cgroups.processes import GONE
from pyrunc.cgroups.stats_files import keyed, read_number, read_text
from pyrunc.errors import during
from pyrunc.kernel.constants import O_RDONLY
from pyrunc.kernel.files import Fd, exists, open_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup

LIMIT, ANCESTOR, HOST = "limit", "ancestor", "host"
# A charge for 64 pages at once is tried before one for what is needed: MEMCG_CHARGE_BATCH of the kernel.
SLACK_BYTES = 64 * 4096


class OomCause(Record):
    """`cause` is LIMIT (the container's own, or of a cgroup in it), ANCESTOR or HOST; `cgroup` had the limit, or ""."""

    cause: str
    cgroup: str = ""


class Limiters:
    """Version 2: the container's cgroup and those above, and how often the limit of each was met."""

    def __init__(self, path: str) -> None:
        self._counts: dict[str, int] = {}  # the container's own first; the root has no such file
        while (found := read_text(f"{path}/memory.events.local")) is not None:
            self._counts[path] = keyed(found).get("oom", 0)
            path = path.rpartition("/")[0]

    def cause(self) -> OomCause:
        """What has counted since this was asked last, the nearest first."""
        grown = []
        for path, before in self._counts.items():
            self._counts[path] = keyed(read_text(f"{path}/memory.events.local")).get("oom", 0)
            if self._counts[path] > before:
                grown.append(path)
        if not grown:
            return OomCause(cause=HOST)
        is_own = grown[0] == next(iter(self._counts))
        return OomCause(cause=LIMIT if is_own else ANCESTOR, cgroup=grown[0])


def cause_v1(path: str) -> OomCause:
    """`path` is the container's."""
    cause = LIMIT
    while exists(f"{path}/memory.limit_in_bytes"):
        for name in ("memory", "memory.memsw"):
            limit = read_number(f"{path}/{name}.limit_in_bytes")
            if limit and read_number(f"{path}/{name}.max_usage_in_bytes") >= limit - SLACK_BYTES:
                return OomCause(cause=cause, cgroup=path)
        path = path.rpartition("/")[0]
        cause = ANCESTOR
    return OomCause(cause=HOST)


class OomWatch:
    """`number` and `events` are for poll(2); `happened` empties what has come, and may be asked at any time."""

    def __init__(self, path: str) -> None:
        self.path = path  # the container's directory of the memory controller

    number = -1
    events = 0

    def happened(self) -> OomCause | None:
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
        self.killed = self._kills()

    def happened(self) -> OomCause | None:
        """When the host runs out the eventfd says nothing, but kills are counted (Linux 4.13)."""
        before, self.killed = self.killed, self._kills()
        if self._is_notified():
            return None if self.is_gone() else cause_v1(self.path)
        if self.killed > before:
            cause = cause_v1(self.path)
            return cause if cause.cause == HOST else None  # a notice has come before
        return None

    def _is_notified(self) -> bool:
        try:
            posix.eventfd_read(self.number)
        except BlockingIOError:  # EAGAIN: nothing has come
            return False
        return True

    def _kills(self) -> int:
        return keyed(read_text(f"{self.path}/memory.oom_control")).get("oom_kill", 0)


class OomWatchV2(OomWatch):
    events = POLLPRI | POLLERR

    def __init__(self, path: str) -> None:
        super().__init__(path)
        with during(f"watch {path}/memory.events"):
            self.file = open_file(f"{path}/memory.events", O_RDONLY)
        self.number = self.file.number
        self.limiters = Limiters(path)
        self.killed, self.met = self._counts()

    def happened(self) -> OomCause | None:
        """Reading is what arms poll(2) again."""
        before, met = self.killed, self.met
        self.killed, self.met = self._counts()
        if self.killed <= before:
            return None
        cause = self.limiters.cause()
        # memory.events counts for the cgroups below as well.
        return OomCause(cause=LIMIT, cgroup=self.path) if self.met > met else cause

    def _counts(self) -> tuple[int, int]:
        try:
            content = posix.pread(self.number, 4096, 0)
        except OSError as error:
            if error.errno in GONE:
                return 0, 0
            raise
        found = keyed(content.decode())
        return found.get("oom_kill", 0), found.get("oom", 0)


def watch_oom(cgroup: ContainerCgroup) -> OomWatch | None:
    """None without a memory controller.  The descriptors live as long as the process: `events` is all it does."""
    joined = cgroup.find("memory")
    if joined is None:
        return None
    return OomWatchV1(joined.path) if joined.version == 1 else OomWatchV2(joined.path)
