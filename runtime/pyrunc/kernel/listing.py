"""What lies below a directory that somebody else controls, read through descriptors: names, kinds, owners."""

from __future__ import annotations

import posix

from ocispec.record import Record
from pyrunc.kernel.constants import (
    O_DIRECTORY,
    O_RDONLY,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
)
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


class Entry(Record):
    """One name of a directory.  Ids are those of our own user namespace."""

    name: str
    kind: int  # S_IFREG, S_IFDIR, ...
    mode: int  # permissions, with set-id and sticky bits
    uid: int
    gid: int
    size: int  # bytes
    device: int  # as mknod(2) takes it
    link: str  # what a symbolic link says, else ""


def walk(directory: Fd) -> Iterator[tuple[str, list[Entry]]]:
    """(path from `directory`, "" for itself; its entries by name), each directory before those in it.

    Links are never followed, neither at the end nor on the way; mounts are entered.  Raises OSError for what cannot
    be read, and for what went away meanwhile.
    """
    pending = [""]
    while pending:
        path = pending.pop()
        with _open_below(directory, path) as opened:
            entries = [_entry(opened, name) for name in sorted(posix.listdir(opened.number))]
        yield path, entries
        prefix = f"{path}/" if path else ""
        pending += [prefix + entry.name for entry in reversed(entries) if entry.kind == S_IFDIR]


def _open_below(directory: Fd, path: str) -> Fd:
    content = (path or ".").encode("utf-8", "surrogateescape")
    return Fd(check(helper.pyrunc_openat2(directory.number, content, O_RDONLY | O_DIRECTORY, 0, _RESOLVE)))


def _entry(directory: Fd, name: str) -> Entry:
    found = posix.stat(name, dir_fd=directory.number, follow_symlinks=False)
    kind = found.st_mode & S_IFMT
    return Entry(
        name=name,
        kind=kind,
        mode=found.st_mode & ~S_IFMT,
        uid=found.st_uid,
        gid=found.st_gid,
        size=found.st_size,
        device=found.st_rdev,
        link=posix.readlink(name, dir_fd=directory.number) if kind == S_IFLNK else "",
    )
