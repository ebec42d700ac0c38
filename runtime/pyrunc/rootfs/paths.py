"""The only place that opens or makes anything inside the rootfs.

Rule 1: a path is resolved by openat2(2) with the rootfs as "/" (RESOLVE_IN_ROOT) and without magic links, so no link of
        an image leads outside (CVE-2021-30465, CVE-2019-18837, CVE-2026-41579 and their kin).
Rule 2: what is made is made by name in a directory that is held open; the name is one component.
Rule 3: what is made or found is a descriptor from then on, never a path again.

Making `/a/b/c` is unrolled: the whole path is tried, and only when that says ENOENT each directory is made and opened,
from the top.  openat2(2) says EAGAIN when ".." was crossed while something on the machine was renamed or mounted;
the stage then asks again.
"""

from __future__ import annotations

from errno import EEXIST, ELOOP, ENOENT, ENOTDIR

from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    S_IFDIR,
    S_IFMT,
    STATX_BASIC_STATS,
    STATX_MNT_ID,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer, Register, Target

IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
ORDINARY = IN_ROOT | RESOLVE_NO_SYMLINKS  # for targets where not even a harmless link is accepted
TRIES = 16  # more of openat2(2) while it says EAGAIN
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
_STATX_SIZE = 256


class Facts:
    """Where statx(2) writes: the fields that are checked."""

    __slots__ = ("attributes", "buffer", "inode", "major", "minor", "mode", "mount_id")

    def __init__(self, p: Program) -> None:
        buffer = self.buffer = p.scratch(_STATX_SIZE)
        self.attributes = buffer.field(8, 8)
        self.mode = buffer.field(28, 2)
        self.inode = buffer.field(32, 8)
        self.major = buffer.field(128, 4)
        self.minor = buffer.field(132, 4)
        self.mount_id = buffer.field(144, 8)

    def read(self, p: Program, descriptor: Register | int, doing: str = "look at it") -> None:
        p.call("statx", descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, self.buffer, doing=doing)


class RootPaths:
    """Emits operations on paths of one rootfs.  `root` is a descriptor of its directory."""

    def __init__(self, p: Program, root: Register) -> None:
        self.p = p
        self.root = root
        self._hows: dict[tuple[int, int], Pointer] = {}

    # -- opening -----------------------------------------------------------------------------------------------

    def open_into(
        self,
        into: Register,
        path: str,
        flags: int = O_PATH,
        *,
        doing: str = "",
        resolve: int = IN_ROOT,
        passing: tuple[int, ...] = (),
        otherwise: Target | None = None,
    ) -> None:
        """Open what `path` leads to.  Errnos in `passing` go to `otherwise`."""
        how = self._how(flags | O_CLOEXEC, resolve)
        tries = TRIES if resolve & RESOLVE_NO_SYMLINKS == 0 else 0
        self.p.call(
            "openat2", self.root, path, how, how.size,
            doing=doing or f"open {path} in the rootfs", into=into, tolerate=passing, otherwise=otherwise, tries=tries,
        )  # fmt: skip

    def open_existing(self, path: str, flags: int = O_PATH, *, doing: str = "", resolve: int = IN_ROOT) -> Register:
        into = self.p.register()
        self.open_into(into, path, flags, doing=doing, resolve=resolve)
        return into

    def open_or_make_directory(self, path: str) -> Register:
        """Mode 0755 for what is made.  What exists may be anything: it is opened as it is."""
        return self.open_or_make(path, self.make_directory)

    def open_or_make_file(self, path: str) -> Register:
        """An empty file, mode 0644, in directories with mode 0755."""
        return self.open_or_make(path, self.make_file)

    def open_or_make(self, path: str, make: Callable[[Register, str], None], flags: int = O_PATH) -> Register:
        """Open `path`; if it is not there, make its directories, call `make(directory, name)`, and open it.

        `make` must accept that the name has appeared meanwhile.
        """
        p = self.p
        path = clean_path(path)
        into = p.register()
        missing, opened = p.target(), p.target()
        self.open_into(into, path, flags, passing=(ENOENT,), otherwise=missing)
        p.jump(opened)
        p.here(missing)
        directory = self._make_parents(path)
        make(directory, path.rpartition("/")[2])
        self._leave(directory)
        self.open_into(into, path, flags)
        p.here(opened)
        return into

    def open_ordinary_directory(self, path: str, says: str) -> Register:
        """A directory reached without any symbolic link, made if missing; otherwise `says` is the error."""
        p = self.p
        path = clean_path(path)
        into = p.register()
        absent, refused, opened = p.target(), p.target(), p.target()
        flags = O_PATH | O_DIRECTORY
        refusals = (ELOOP, ENOTDIR)
        self.open_into(into, path, flags, resolve=ORDINARY, passing=(ENOENT, *refusals), otherwise=absent)
        p.jump(opened)
        p.here(absent)
        directory = self._make_parents(path, ORDINARY, refusals, refused)
        self.make_directory(directory, path.rpartition("/")[2])
        self._leave(directory)
        self.open_into(into, path, flags, resolve=ORDINARY, passing=refusals, otherwise=refused)
        p.jump(opened)
        p.here(refused)
        emit_failure(p, ENOTDIR, says=says)
        p.here(opened)
        return into

    def parent_and_name(self, path: str) -> tuple[Register, str]:
        """The directory that holds `path`, made if missing, and the last component."""
        parent, _slash, name = clean_path(path).rpartition("/")
        return self.open_or_make_directory(parent or "/"), name

    def _make_parents(
        self, path: str, resolve: int = IN_ROOT, passing: tuple[int, ...] = (), otherwise: Target | None = None
    ) -> Register:
        p, flags = self.p, O_PATH | O_DIRECTORY
        directory = self.root
        prefix = ""
        for name in path.split("/")[1:-1]:
            prefix += "/" + name
            self.make_directory(directory, name)
            self._leave(directory)
            directory = p.register()
            self.open_into(directory, prefix, flags, resolve=resolve, passing=passing, otherwise=otherwise)
        return directory

    def _leave(self, directory: Register) -> None:
        if directory is not self.root:
            self.p.close(directory)

    def _how(self, flags: int, resolve: int) -> Pointer:
        known = self._hows.get((flags, resolve))
        if known is None:
            known = self._hows[flags, resolve] = self.p.open_how(flags, resolve)
        return known

    # -- making, by name in an open directory --------------------------------------------------------------------

    def make_directory(self, directory: Register, name: str, exists: Target | None = None) -> None:
        """What exists under that name stays (and `exists` is next); what it is, the open that follows says."""
        doing = f"make directory {name}"
        self.p.call("mkdirat", directory, name, DIRECTORY_MODE, doing=doing, tolerate=(EEXIST,), otherwise=exists)

    def make_file(self, directory: Register, name: str) -> None:
        """An empty file.  O_EXCL: nothing that exists is opened, no link is followed."""
        p = self.p
        flags = O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        exists = p.target()
        made = p.register()
        p.call(
            "openat", directory, name, flags, FILE_MODE,
            doing=f"make file {name}", into=made, tolerate=(EEXIST,), otherwise=exists,
        )  # fmt: skip
        p.close(made)
        p.here(exists)

    def make_link(self, directory: Register, name: str, text: str) -> None:
        """What exists under that name stays, as in runc."""
        self.p.call("symlinkat", text, directory, name, doing=f"link {name} to {text}", tolerate=(EEXIST,))

    def make_this_link(self, directory: Register, name: str, text: str) -> None:
        """What exists under that name must be this very link, else EEXIST."""
        p, content = self.p, text.encode("utf-8", "surrogateescape")
        doing = f"link {name} to {text}"
        exists, made = p.target(), p.target()
        p.call("symlinkat", text, directory, name, doing=doing, tolerate=(EEXIST,), otherwise=exists)
        p.jump(made)
        p.here(exists)
        other = f"{doing}: something else is there already"
        there = p.scratch(len(content) + 8)
        p.call("readlinkat", directory, name, there, there.size, doing=other)
        expected = p.constant(content + bytes(8))
        for offset in range(0, len(content) + 1, 8):
            p.check(there.field(offset, 8), expected.field(offset, 8), doing=other, errno=EEXIST)
        p.here(made)

    def make_node(self, directory: Register, name: str, kind: int, number: int) -> None:
        """mknodat(2) with mode 0.  What exists under that name stays; what it is, is checked after `open_name`."""
        self.p.call("mknodat", directory, name, kind, number, doing="make the device", tolerate=(EEXIST,))

    def open_name(self, directory: Register, name: str) -> Register:
        """What stands under that name itself: a link is not followed."""
        flags = O_PATH | O_NOFOLLOW | O_CLOEXEC
        return self.p.result("openat", directory, name, flags, 0, doing=f"open {name}")

    def open_for_reading(self, directory: Register) -> Register:
        """A directory that is held by an O_PATH descriptor, opened so that its entries can be read."""
        return self.p.result(
            "openat", directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, doing="open the directory"
        )

    def remove(self, directory: Register, name: str) -> None:
        """unlinkat(2) of anything but a directory; nothing there is fine."""
        self.p.call("unlinkat", directory, name, 0, doing=f"remove {name}", tolerate=(ENOENT,))


def check_kind(p: Program, facts: Facts, kind: int, otherwise: Target) -> None:
    """Go to `otherwise` unless the inode that `facts` describes is of this kind (S_IFDIR, ...)."""
    p.check(facts.mode, kind, doing="", errno=ENOTDIR if kind == S_IFDIR else EEXIST, mask=S_IFMT, otherwise=otherwise)


def emit_failure(p: Program, errno: int, *, doing: str = "", says: str = "") -> None:
    """An operation that always fails."""
    p.check(p.constant(b"\0"), 1, doing=doing, errno=errno, says=says)


def clean_path(path: str) -> str:
    """`path` from "/", without empty, "." and ".." components and without a slash at the end.

    Lexical, as in runc: "/a/../b" is "/b" even where /a is a link.  A last slash would make the kernel follow a link
    that O_NOFOLLOW forbids (Go's CVE-2026-39822).
    """
    if path[:1] == "/" and path[-1] != "/" and "//" not in path and "/." not in path:
        return path  # nearly all are clean
    components: list[str] = []
    for component in path.split("/"):
        if component == "..":
            if components:
                components.pop()
        elif component not in ("", "."):
            components.append(component)
    return "/" + "/".join(components)
