"""Version 2: enabling controllers for a cgroup's children (cgroups(7), cgroup.subtree_control)."""

from __future__ import annotations

from errno import EACCES, EBUSY, ENOENT, EOPNOTSUPP, EPERM, EROFS

from pyrunc.errors import during
from pyrunc.kernel.files import exists, read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Not ours to change (delegated, read-only), or the cgroup has processes itself or is threaded: whoever needs the
# controller fails when it writes to it, and says so in better words.
CANNOT = (EACCES, EPERM, EROFS, EBUSY, EOPNOTSUPP, ENOENT)


def enable_controllers(directory: str, names: Sequence[str]) -> None:
    """Let the children of `directory` have these controllers, as far as that can be had, from the top down.

    One read when they have them already, which is the ordinary case: a write would take the kernel's global lock.
    """
    missing = [name for name in names if name not in _names(directory, "cgroup.subtree_control")]
    if not missing:
        return
    absent = [name for name in missing if name not in _names(directory, "cgroup.controllers")]
    parent = directory.rpartition("/")[0]
    if absent and exists(f"{parent}/cgroup.subtree_control"):
        enable_controllers(parent, absent)
    if not _enable(directory, missing):
        # One that cannot be enabled spoils the whole line.
        for name in missing:
            _enable(directory, [name])


def _names(directory: str, file: str) -> list[str]:
    with during(f"read {directory}/{file}"):
        return read_file(f"{directory}/{file}").decode().split()


def _enable(directory: str, names: Sequence[str]) -> bool:
    try:
        write_file(f"{directory}/cgroup.subtree_control", " ".join(f"+{name}" for name in names))
    except OSError as error:
        if error.errno in CANNOT:
            return False
        with during(f"enable {' '.join(names)} in {directory}"):
            raise
    return True
