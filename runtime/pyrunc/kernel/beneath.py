"""Opening what lies below a directory that somebody else controls: openat2(2)."""

from __future__ import annotations

from pyrunc.kernel.constants import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper


def open_in_root(root: Fd, path: str, flags: int) -> Fd:
    """`path` with `root` as "/": symlinks stay inside, magic links are refused (ELOOP)."""
    content = path.encode("utf-8", "surrogateescape")
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    return Fd(check(helper.pyrunc_openat2(root.number, content, flags, 0, resolve)))
