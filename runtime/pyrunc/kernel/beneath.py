"""Opening what lies below a directory that somebody else controls: openat2(2)."""

from __future__ import annotations

import posix
from errno import ELOOP, ENOENT, ENOTDIR

from pyrunc.kernel.constants import (
    O_NOFOLLOW,
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    S_IFLNK,
    S_IFMT,
)
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper

_MAX_LINKS = 40  # MAXSYMLINKS in linux/namei.h


def open_in_root(root: Fd, path: str, flags: int) -> Fd:
    """`path` with `root` as "/": symlinks stay inside, magic links are refused (ELOOP)."""
    content = path.encode("utf-8", "surrogateescape")
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    return Fd(check(helper.pyrunc_openat2(root.number, content, flags, 0, resolve)))


def resolve_dangling(root: Fd, path: str) -> str:
    """Where `path` leads with `root` as "/" when a link on the way leads to what is not there; "" when none does.

    What is missing is taken as it stands, as if it were made: filepath-securejoin's rule, which is runc's.  This is
    what was seen, not what is: who uses it must resolve it again, and safely.  Raises OSError, ELOOP for 40 links.
    """
    waiting = path.split("/")[::-1]
    found: list[str] = []
    links = 0
    is_missing = False
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del found[-1:]
            continue
        text = _link_text(root, "/".join([*found, name]))
        if not text:
            is_missing = is_missing or text is None
            found.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(ELOOP, posix.strerror(ELOOP))
        if text.startswith("/"):
            found = []
        waiting += text.split("/")[::-1]
    return "/" + "/".join(found) if links and is_missing else ""


def _link_text(root: Fd, path: str) -> str | None:
    """What the link at `path` says, "" for anything else, None when nothing is there.  Links on the way: ELOOP."""
    content = path.encode("utf-8", "surrogateescape")
    flags = O_PATH | O_NOFOLLOW
    try:
        opened = Fd(check(helper.pyrunc_openat2(root.number, content, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)))
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return None
        raise
    with opened:
        is_link = posix.fstat(opened.number).st_mode & S_IFMT == S_IFLNK
        return posix.readlink("", dir_fd=opened.number) if is_link else ""
