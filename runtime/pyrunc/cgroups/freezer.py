"""Freezing all of a container's processes and letting them go on: pause and resume.

Version 1: freezer.state (kernel: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst) has to be asked, and a
process that forks meanwhile may keep it at FREEZING; thawing it for a moment helps.  Version 2: cgroup.freeze, and
poll(2) of cgroup.events tells when all have come to a stop (Linux 5.2).
"""

from __future__ import annotations

import posix
from select import POLLERR, POLLPRI, poll
from time import monotonic, sleep

from pyrunc.cgroups.processes import GONE, freezer_of, set_frozen, state_of
from pyrunc.errors import KernelError, StateError, during
from pyrunc.kernel.constants import O_RDONLY
from pyrunc.kernel.files import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy

NO_FREEZER = "cannot toggle freezer: cgroups not configured for container"  # runc's words
TIMEOUT_SECONDS = 10.0  # runc's, for version 2
LOOKS_BETWEEN_THAWS = 50
LONGEST_LOOK_SECONDS = 0.01


def freeze(cgroup: ContainerCgroup, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Returns when every process is frozen.  What cannot be frozen in time is thawed again, and StateError raised."""
    joined = _freezer(cgroup)
    try:
        with during(f"freeze {joined.path}"):
            set_frozen(joined, frozen=True)
        if not _is_frozen_within(joined, timeout_seconds):
            raise StateError(f"unable to freeze: not all processes stopped within {timeout_seconds:.0f} s")
    except BaseException:
        thaw(cgroup)
        raise


def thaw(cgroup: ContainerCgroup) -> None:
    """Does nothing for a cgroup that is gone."""
    joined = _freezer(cgroup)
    try:
        with during(f"thaw {joined.path}"):
            set_frozen(joined, frozen=False)
    except KernelError as error:
        if error.errno not in GONE:
            raise


def _freezer(cgroup: ContainerCgroup) -> JoinedHierarchy:
    joined = freezer_of(cgroup)
    if joined is None:
        raise StateError(NO_FREEZER)
    return joined


def _is_frozen_within(joined: JoinedHierarchy, seconds: float) -> bool:
    return _wait_v2(joined, seconds) if joined.version == 2 else _ask_v1(joined, seconds)


def _wait_v2(joined: JoinedHierarchy, seconds: float) -> bool:
    end = monotonic() + seconds
    with open_file(f"{joined.path}/cgroup.events", O_RDONLY) as events:
        poller = poll()
        poller.register(events.number, POLLPRI | POLLERR)
        # A change after the last read is what poll waits for, so none is missed.
        while b"frozen 1" not in posix.pread(events.number, 4096, 0):
            left = end - monotonic()
            if left <= 0:
                return False
            poller.poll(left * 1000)
    return True


def _ask_v1(joined: JoinedHierarchy, seconds: float) -> bool:
    """FROZEN is written again with every look: that is what makes a version 1 cgroup look at its tasks anew."""
    end = monotonic() + seconds
    look = 0.0001
    count = 0
    while state_of(joined) != "FROZEN":
        if monotonic() > end:
            return False
        count += 1
        if count % LOOKS_BETWEEN_THAWS == 0:
            set_frozen(joined, frozen=False)
            sleep(LONGEST_LOOK_SECONDS)
        sleep(look)
        look = min(look * 2, LONGEST_LOOK_SECONDS)
        set_frozen(joined, frozen=True)
    return True
