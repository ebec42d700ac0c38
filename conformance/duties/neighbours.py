"""Processes with namespaces of their own, for containers to join."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duties.container import Island

OPTIONS = {
    "ipc": "--ipc", "mount": "--mount", "network": "--net", "pid": "--pid --fork", "uts": "--uts", "cgroup": "--cgroup",
    "time": "--time --fork", "user": "--user",
}  # fmt: skip
LINKS = {"ipc": "ipc", "mount": "mnt", "network": "net", "pid": "pid", "uts": "uts", "cgroup": "cgroup",
         "time": "time", "user": "user"}  # fmt: skip


class Neighbour:
    """A sleeping process in a new namespace of one kind."""

    def __init__(self, island: Island, kind: str, *more: str) -> None:
        words = ["unshare", *OPTIONS[kind].split(), *more, "sh", "-c", "echo; exec sleep 1000"]
        self.process = subprocess.Popen(island.command(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        assert self.process.stdout.read(1) == b"\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0]) if children else self.process.pid
        self.link = f"/proc/{self.pid}/ns/{LINKS[kind]}"

    def close(self) -> None:
        if self.pid != self.process.pid:
            os.kill(self.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
