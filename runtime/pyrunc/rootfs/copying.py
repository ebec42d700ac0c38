"""tmpcopyup: what lies in a directory of the rootfs, made again in a tmpfs.

The stage knows no loops, so it cannot read a directory whose content nobody has seen.  It stops, hands the directory
and the tmpfs to the parent (`emit_hand_over`), and the parent lets a second stage copy: `emit_copy` says how, entry by
entry, for a listing that the parent has read.  That stage is in the container's cgroup, which pays for the memory, and
in its user namespace, which decides what may be read and to whom it may belong.

What is copied is hostile and may change meanwhile.  Directories are opened by openat2(2) below the descriptor and
without links; a name is opened as it stands (O_PATH, O_NOFOLLOW) and read only if it is a regular file then: neither a
link nor a device or fifo is ever opened.  The tmpfs is seen by nobody else.
"""

from __future__ import annotations

from errno import EAGAIN

from pyrunc.kernel.constants import (
    AT_SYMLINK_NOFOLLOW,
    MSG_NOSIGNAL,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_WRONLY,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)
from pyrunc.rootfs.host import emit_open_own, emit_reopen
from pyrunc.rootfs.paths import Facts, RootPaths
from pyrunc.rootfs.sending import descriptor_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyrunc.kernel.listing import Entry
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

    Ids = Callable[[int, int], tuple[int, int]]

BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_DIRECTORY = O_PATH | O_DIRECTORY
_MAX_SENDFILE = 0x7FFFF000  # sendfile(2)
_RETRIES = 2  # of a sendfile(2) that moved less than it was asked to: then it says why, or the file has shrunk


def emit_hand_over(p: Program, inputs: RootfsInputs, source: Register, tmpfs: Register, index: int) -> None:
    """Both directories and our user namespace go to the parent, which copies before it answers."""
    p.sync(inputs.sync_hand_over, "tmpcopyup: hand over the directories", index)
    doing = "tmpcopyup: open the user namespace"
    namespace = emit_open_own(p, "ns/user", O_RDONLY, doing=doing, proc=inputs.proc)
    for descriptor in (source, tmpfs, namespace):
        p.call("dup3", descriptor, inputs.spare_fd, O_CLOEXEC, doing="tmpcopyup: hand over")
        message = descriptor_message(p, b"\0", inputs.spare_fd)
        p.call("sendmsg", inputs.socket_fd, message, MSG_NOSIGNAL, doing="tmpcopyup: hand over")
        p.call("close", inputs.spare_fd, doing="close")
    p.close(namespace)
    p.sync(inputs.sync_copy_up, "tmpcopyup: copy", index)


class Copying:
    """A program that copies: `source` and `tmpfs` are descriptors of the two directories."""

    def __init__(self, p: Program, source: Register, tmpfs: Register, spare_fd: int, ids: Ids) -> None:
        self.p = p
        self.spare_fd = spare_fd
        self.ids = ids  # (uid, gid) as listed -> as the program's user namespace has them
        self.sources = RootPaths(p, source)
        self.copies = RootPaths(p, tmpfs)
        self.facts = Facts(p)


def emit_copy(copying: Copying, directory: str, entries: Iterable[Entry]) -> None:
    """All entries of one directory, which is there already; "" is the top."""
    p = copying.p
    path = directory or "."
    source = copying.sources.open_existing(path, _DIRECTORY, resolve=BENEATH, doing=f"tmpcopyup: open {path}")
    target = copying.copies.open_existing(path, _DIRECTORY, resolve=BENEATH, doing=f"tmpcopyup: open the new {path}")
    for entry in entries:
        doing = f"tmpcopyup: copy {directory}/{entry.name}" if directory else f"tmpcopyup: copy {entry.name}"
        _emit_make(copying, source, target, entry, doing)
        uid, gid = copying.ids(entry.uid, entry.gid)
        p.call("fchownat", target, entry.name, uid, gid, AT_SYMLINK_NOFOLLOW, doing=doing)
        if entry.kind != S_IFLNK:
            # After the owner: chown(2) clears set-id bits.
            p.call("fchmodat", target, entry.name, entry.mode, doing=doing)
    p.close(target)
    p.close(source)


def _emit_make(copying: Copying, source: Register, target: Register, entry: Entry, doing: str) -> None:
    """With no permissions for others until the owner is right."""
    p = copying.p
    if entry.kind == S_IFREG:
        _emit_file(copying, source, target, entry, doing)
    elif entry.kind == S_IFDIR:
        p.call("mkdirat", target, entry.name, 0o700, doing=doing)
    elif entry.kind == S_IFLNK:
        p.call("symlinkat", entry.link, target, entry.name, doing=doing)
    else:
        p.call("mknodat", target, entry.name, entry.kind, entry.device, doing=doing)


def _emit_file(copying: Copying, source: Register, target: Register, entry: Entry, doing: str) -> None:
    p = copying.p
    flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    copy = p.result("openat", target, entry.name, flags, 0o600, doing=doing)
    if entry.size:
        found = p.result("openat", source, entry.name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, doing=doing)
        copying.facts.read(p, found, doing)
        changed = f"{doing}: it was changed meanwhile"
        p.check(copying.facts.mode, S_IFREG, doing=changed, errno=EAGAIN, mask=S_IFMT)
        reading = emit_reopen(p, found, O_RDONLY, copying.spare_fd, doing=doing, proc=None)
        p.close(found)
        _emit_content(p, copy, reading, entry.size, doing)
        p.close(reading)
    p.close(copy)


def _emit_content(p: Program, copy: Register, reading: Register, size: int, doing: str) -> None:
    """`size` bytes.  Less than asked for is the end of a file that has shrunk, or the step before an error."""
    moved = p.register()
    ended = p.target()
    while size:
        part = min(size, _MAX_SENDFILE)
        size -= part
        complete = p.target()
        for _again in range(_RETRIES):
            p.call("sendfile", copy, reading, 0, part, doing=doing, into=moved)
            p.jump_if(moved, part, complete)
            p.jump_if(moved, 0, ended)
        p.call("sendfile", copy, reading, 0, part, doing=doing, into=moved)
        p.here(complete)
    p.here(ended)
    p.release(moved)
