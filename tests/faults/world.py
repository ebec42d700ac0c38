"""What a container may leave behind on a machine, as one value that can be compared."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 3


class World:
    """Looks at everything that carries the test's name or is below its directory, and at all of our descendants.

    Descriptors belong to processes: what has none of these left has no descriptor left.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.begin()

    def begin(self) -> None:
        """What is there now is not what is left later."""
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        self.hierarchies = [line.split()[1] for line in mounts if _is_cgroup(line)]
        self.known = children()
        self.before = self.seen()

    def seen(self) -> dict[str, list[str]]:
        return {
            "processes": sorted(map(str, self.processes())),
            "cgroups": sorted(self._cgroups()),
            "mounts": [
                line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.directory) in line
            ],
            "network devices": sorted(os.listdir("/sys/class/net")),
            "files": sorted(self._files(str(self.directory))),
        }

    def left(self, seconds: float = PATIENCE_SECONDS) -> dict[str, list[str]]:
        """What was not there at the beginning, or is not there any more.  What is just ending gets its time."""
        end = time.monotonic() + seconds
        while True:
            now = self.seen()
            left = {key: sorted({*now[key]} ^ {*self.before[key]}) for key in now if now[key] != self.before[key]}
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """Descendants of ours, who take in orphans."""
        bury(self.known)
        return sorted(children() - self.known)

    def end_processes(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """After a test that failed: what it left is not the next one's."""
        self.end_processes()
        self.left()
        for path in self._cgroups():
            for directory, _below, _files in os.walk(path, topdown=False):
                os.rmdir(directory)

    def _cgroups(self) -> Iterator[str]:
        for mount in self.hierarchies:
            yield from (f"{mount}/{name}" for name in os.listdir(mount) if name.startswith(self.name))

    def _files(self, directory: str) -> Iterator[str]:
        with os.scandir(directory) as entries:
            for entry in entries:
                yield entry.path
                if entry.is_dir(follow_symlinks=False) and entry.name != "rootfs":
                    yield from self._files(entry.path)


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def bury(known: set[int]) -> None:
    """Our dead children, but for these.  A pid namespace does not end as long as one of its dead lies about."""
    for pid in children() - known:
        os.waitpid(pid, os.WNOHANG)


def _is_cgroup(line: str) -> bool:
    return line.split()[2] in ("cgroup", "cgroup2")
