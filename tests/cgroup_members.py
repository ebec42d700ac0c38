"""Processes inside test cgroups, and the test cgroups themselves."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from pyrunc.cgroups import fs
from pyrunc.cgroups.layout import read_hierarchies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.kernel.host import CgroupHierarchy


class Sandbox:
    """Cgroups below one test directory in every hierarchy; all of it is gone at the end, and so are its processes."""

    def __init__(self, name: str) -> None:
        self.root = f"/pyrunc-test-{os.getpid()}-{name}"
        self.hierarchies = read_hierarchies()
        self.members: list[subprocess.Popen[bytes]] = []
        self.enabled = self._enabled()

    def create(self, name: str = "c1", hierarchies: Sequence[CgroupHierarchy] | None = None) -> ContainerCgroup:
        chosen = self.hierarchies if hierarchies is None else tuple(hierarchies)
        return fs.create(chosen, [f"{self.root}/{name}"] * len(chosen))

    def directory(self, controller: str, name: str = "c1") -> Path:
        """Where the container's files of this controller are; "" is version 2."""
        for hierarchy in self.hierarchies:
            if controller in hierarchy.controllers or (not controller and hierarchy.version == 2):
                return Path(hierarchy.mountpoint + self.root) / name
        raise LookupError(controller)

    def read(self, controller: str, file: str, name: str = "c1") -> str:
        return (self.directory(controller, name) / file).read_text().strip()

    def only(self, *versions: int) -> tuple[CgroupHierarchy, ...]:
        return tuple(hierarchy for hierarchy in self.hierarchies if hierarchy.version in versions)

    def run(self, cgroup: ContainerCgroup, command: str = "exec sleep 60", below: str = "") -> subprocess.Popen[bytes]:
        """A shell that has joined all of the cgroup (or a sub-cgroup of it) before it runs the command."""
        joins = [
            f"echo 0 > {joined.path}{below}/{'tasks' if joined.version == 1 else 'cgroup.procs'}"
            for joined in cgroup.hierarchies
        ]
        script = " && ".join([*joins, "echo", f"{command}"])
        member = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.members.append(member)
        assert member.stdout is not None
        assert member.stdout.read(1) == b"\n", "the test process did not get into the cgroup"
        return member

    def close(self) -> None:
        self._thaw()
        for member in self.members:
            member.kill()
            member.wait(timeout=5)
            assert member.stdout is not None
            member.stdout.close()
        wait_until(lambda: not any(self._try_to_remove(hierarchy.mountpoint) for hierarchy in self.hierarchies))

        for name in set(self._enabled()) - set(self.enabled):  # in the root of version 2: put it back
            (self.directory("").parents[1] / "cgroup.subtree_control").write_text(f"-{name}")

    def _thaw(self) -> None:
        """A failed test may leave processes that no signal reaches."""
        for version, controller, file, value in (
            (1, "freezer", "freezer.state", "THAWED"),
            (2, "", "cgroup.freeze", "0"),
        ):
            if any(hierarchy.version == version for hierarchy in self.hierarchies):
                for found in self.directory(controller).parent.rglob(file):
                    found.write_text(value)

    def _enabled(self) -> list[str]:
        return (self.directory("").parents[1] / "cgroup.subtree_control").read_text().split()

    def _try_to_remove(self, mountpoint: str) -> bool:
        """Whether something is left."""
        top = Path(mountpoint + self.root)
        for folder, _folders, _files in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:  # busy for a moment after its last process was reaped
                return True
        return False

    def leftovers(self) -> list[Path]:
        return [path for h in self.hierarchies for path in [Path(h.mountpoint + self.root)] if path.exists()]


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
