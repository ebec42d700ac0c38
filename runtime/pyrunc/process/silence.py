"""Why a process of ours says nothing: what of it can be seen from outside.

In a container whoever may send signals can stop it, whoever may write to the cgroup can freeze it, and all of it may be
starved; that is the container's doing, and nobody has to wait for it for ever.
"""

from __future__ import annotations

from errno import ENOENT, ESRCH

from pyrunc.errors import ProtocolError
from pyrunc.kernel.files import read_file
from pyrunc.kernel.processes import start_time

_STOPPED = {
    "T": "it is stopped by a signal, which any process that sees it may have sent",
    "t": "another process traces it",
}
_BUSY = {"D": "it waits inside the kernel", "R": "it gets no processor time", "S": "it waits for something"}
# the cgroup tree's own file, and what says in it that processes do not run
_FROZEN = (("freezer.state", b"THAWED", False), ("cgroup.events", b"frozen 1", True))


def check_silence(pid: int, seconds: float, *, may_take_long: bool) -> None:
    """Raises ProtocolError, with the culprit where it can be known; not for a process that only takes its time.

    One that has ended is noticed by whoever reads from it.
    """
    found = start_time(pid)
    if found is None or found[1] in "ZX":
        return
    frozen = _frozen_cgroup(pid)
    why = f"its cgroup is frozen ({frozen})" if frozen else _STOPPED.get(found[1], "")
    if not why and not may_take_long:
        why = _BUSY.get(found[1], f"its state is {found[1]}")
    if why:
        raise ProtocolError(f"process {pid} did nothing for {seconds:.0f} s: {why}")


def _frozen_cgroup(pid: int) -> str:
    """The directory of its freezer, version 1 or 2, when that is frozen."""
    for line in (_content(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "surrogateescape").splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers not in ("", "freezer"):
            continue
        for top in ("/sys/fs/cgroup/freezer", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            for name, word, present in _FROZEN:
                content = _content(f"{top}{path}/{name}")
                if content is not None and (word in content) == present:
                    return f"{top}{path}"
    return ""


def _content(path: str) -> bytes | None:
    try:
        return read_file(path)
    except OSError as error:
        if error.errno in (ENOENT, ESRCH):
            return None
        raise
