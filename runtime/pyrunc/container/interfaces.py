"""What went through a container's network interfaces: /proc/PID/net/dev, proc_pid_net(5)."""

from __future__ import annotations

import posix
from errno import ENOENT, ESRCH

from pyrunc.errors import during
from pyrunc.kernel.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# runc's names, which are Go's own, at the places of the line's numbers.
COLUMNS = {
    "RxBytes": 0,
    "RxPackets": 1,
    "RxErrors": 2,
    "RxDropped": 3,
    "TxBytes": 8,
    "TxPackets": 9,
    "TxErrors": 10,
    "TxDropped": 11,
}
LOOPBACK = "lo"


def read_interfaces(pid: int) -> list[dict[str, Any]] | None:
    """Of the network namespace that this process has and we have not; None without one, or with the loopback alone.

    runc tells only of interfaces that it made itself, so of none.
    """
    try:
        theirs, ours = posix.stat(f"/proc/{pid}/ns/net"), posix.stat("/proc/self/ns/net")
        if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
            return None
        content = read_file(f"/proc/{pid}/net/dev").decode()
    except OSError as error:
        if error.errno in (ENOENT, ESRCH):  # it has just ended
            return None
        with during(f"read /proc/{pid}/net/dev"):
            raise
    return parse_interfaces(content) or None


def parse_interfaces(content: str) -> list[dict[str, Any]]:
    """Two lines of headings, then `  eth0: 648 8 0 0 0 0 0 0 648 8 0 0 0 0 0 0`."""
    found = []
    for line in content.splitlines()[2:]:
        name, _colon, rest = line.rpartition(":")
        numbers = rest.split()
        if name.strip() != LOOPBACK:
            counts = {key: int(numbers[place]) for key, place in COLUMNS.items()}
            found.append({"Name": name.strip(), **counts})
    return found
