"""The cgroups below a container's: walked by descriptor, because the container may have made them.

One whose cgroup is writable can nest them deeper than a path is long (PATH_MAX) and than Python recurses, and it
must be deletable all the same.  One descriptor is open at a time; the way up is "..", which leads to the parent even
from a directory that was removed meanwhile.  Version 2 knows no rename, version 1 none to another parent.
"""

from __future__ import annotations

import posix
from errno import EBUSY, ENOENT

from pyrunc.cgroups.processes import GONE
from pyrunc.kernel.constants import O_DIRECTORY, O_NOFOLLOW, O_RDONLY
from pyrunc.kernel.files import Fd, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def children_of(directory: str | int) -> list[str]:
    """The names of the cgroups directly below; none if it is gone."""
    try:
        with posix.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def visit(path: str) -> Iterator[int]:
    """A descriptor of `path` and of each cgroup below it, good until the next is asked for; nothing if it is gone."""
    current = _open(path)
    if current is None:
        return
    waiting: list[list[str]] = []
    try:
        while True:
            yield current.number
            waiting.append(children_of(current.number))
            child = None
            while child is None:
                if waiting[-1]:
                    child = _open(waiting[-1].pop(), current)
                else:
                    waiting.pop()
                    if not waiting:
                        return
                    current = _up(current)
            current.close()
            current = child
    finally:
        current.close()


def remove_below(path: str) -> bool:
    """rmdir(2) of all that is below, bottom-up; False while something is busy for its processes.  Raises OSError."""
    current = _open(path)
    if current is None:
        return True
    try:
        names: list[str] = []  # from `path` to `current`
        waiting = [children_of(current.number)]
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                if _remove(name, current):
                    continue
                child = _open(name, current)
                if child is None:
                    continue
                current.close()
                current = child
                names.append(name)
                waiting.append(children_of(current.number))
                if not waiting[-1]:
                    return False
            else:
                waiting.pop()
                if not waiting:
                    return True
                current = _up(current)
                if not _remove(names.pop(), current):
                    return False
    finally:
        current.close()


def _remove(name: str, parent: Fd) -> bool:
    """False if it is busy: the kernel says so for processes and for children."""
    try:
        posix.rmdir(name, dir_fd=parent.number)
    except OSError as error:
        if error.errno == EBUSY:
            return False
        if error.errno != ENOENT:
            raise
    return True


def _open(name: str, parent: Fd | None = None) -> Fd | None:
    try:
        flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        return open_file(name, flags, dir_fd=parent.number if parent is not None else None)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def _up(current: Fd) -> Fd:
    parent = open_file("..", O_RDONLY | O_DIRECTORY, dir_fd=current.number)
    current.close()
    return parent
