"""A cgroup and all below it, however deep: a container that may make cgroups decides how deep that is.

By descriptor, one open at a time, down by name and up by "..": a path would be longer than PATH_MAX (4096 bytes) after
two thousand directories called `a`, and nothing below could be listed, ended or removed any more.
"""

from __future__ import annotations

import posix
from errno import EBUSY

from pyrunc.cgroups.processes import GONE
from pyrunc.kernel.constants import O_DIRECTORY, O_NOFOLLOW, O_RDONLY
from pyrunc.kernel.files import Fd, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW


def directories(path: str) -> Iterator[Fd]:
    """Each directory of the tree, the top first; closed when the next one is asked for.  None if there is no top."""
    here = _open(path)
    if here is None:
        return
    try:
        yield here
        waiting = [_names(here)]
        while waiting:
            if waiting[-1]:
                child = _open(waiting[-1].pop(), here)
                if child is not None:
                    here = _instead(here, child)
                    yield here
                    waiting.append(_names(here))
                continue
            waiting.pop()
            if waiting:
                here = _instead(here, open_file("..", _DIRECTORY, dir_fd=here.number))
    finally:
        here.close()


def remove_below(path: str) -> bool:
    """rmdir of all below a directory, the deepest first; False when one is busy with processes."""
    here = _open(path)
    if here is None:
        return True
    try:
        way: list[str] = []
        while True:
            busy = [name for name in _names(here) if not _remove(name, here)]
            if busy:
                child = _open(busy[0], here)
                if child is not None:
                    if not _names(child):  # nothing below it: processes
                        child.close()
                        return False
                    here = _instead(here, child)
                    way.append(busy[0])
                continue
            if not way:
                return True
            here = _instead(here, open_file("..", _DIRECTORY, dir_fd=here.number))
            if not _remove(way.pop(), here):
                return False
    finally:
        here.close()


def _instead(before: Fd, after: Fd) -> Fd:
    before.close()
    return after


def _open(name: str, directory: Fd | None = None) -> Fd | None:
    try:
        return open_file(name, _DIRECTORY, dir_fd=None if directory is None else directory.number)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def _names(directory: Fd) -> list[str]:
    """Of the cgroups directly below."""
    try:
        with posix.scandir(directory.number) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def _remove(name: str, directory: Fd) -> bool:
    """False if it is busy: the kernel says so for processes and for children."""
    try:
        posix.rmdir(name, dir_fd=directory.number)
    except OSError as error:
        if error.errno == EBUSY:
            return False
        if error.errno not in GONE:
            raise
    return True
