"""New file systems: fsopen(2), fsconfig(2), fsmount(2).

fsconfig(2) takes values of at most 255 bytes (lowerdir= of an overlay is often longer), and there is no word for
iversion: such mounts go through mount(2), see `emit_mount_by_path`.
"""

from __future__ import annotations

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    FSCONFIG_CMD_CREATE,
    FSCONFIG_CMD_RECONFIGURE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC,
    FSPICK_EMPTY_PATH,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_RDONLY,
    MS_SYNCHRONOUS,
    O_CLOEXEC,
)
from pyrunc.rootfs.host import emit_enter_slash, own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register, Target
    from pyrunc.rootfs.options import MountOptions

MAX_VALUE = 255  # fsconfig(2)
MAX_DATA = 4095  # mount(2): one page with its NUL
_MOUNT_FLAGS = {
    "ro": MS_RDONLY,
    "sync": MS_SYNCHRONOUS,
    "dirsync": MS_DIRSYNC,
    "lazytime": MS_LAZYTIME,
    "iversion": MS_I_VERSION,
}
_OFF = {"sync": "async", "lazytime": "nolazytime", "ro": "rw"}  # fsconfig(2)'s words for the opposite


class FileSystem:
    """A file system to be made: its type, source, and what it is told."""

    __slots__ = ("data", "flags", "source", "type")

    def __init__(
        self, kind: str, source: str = "", data: tuple[tuple[str, str | None], ...] = (), flags: tuple[str, ...] = ()
    ) -> None:
        self.type = kind
        self.source = source
        self.data = data
        self.flags = flags  # of the super block: ro, sync, dirsync, lazytime, iversion

    @property
    def needs_mount(self) -> bool:
        """Whether only mount(2) can say it."""
        longest = max((len(_bytes(value or "")) for _key, value in self.data), default=0)
        return max(longest, len(_bytes(self.source))) > MAX_VALUE or "iversion" in self.flags


def emit_file_system(
    p: Program,
    wanted: FileSystem,
    attributes: int,
    *,
    tolerate: tuple[int, ...] = (),
    otherwise: Target | None = None,
) -> Register:
    """A detached mount of a new file system, with these MOUNT_ATTR_ flags.

    Errnos in `tolerate` say that it cannot be had and go to `otherwise`, the register then unset.
    """
    doing = f"mount {wanted.type}"
    context = p.result("fsopen", wanted.type, FSOPEN_CLOEXEC, doing=doing, tolerate=tolerate, otherwise=otherwise)
    _emit_configuration(p, context, wanted)
    p.call("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0, doing=doing, tolerate=tolerate, otherwise=otherwise)
    tree = p.result(
        "fsmount", context, FSMOUNT_CLOEXEC, attributes, doing=doing, tolerate=tolerate, otherwise=otherwise
    )
    p.close(context)
    return tree


def emit_reconfiguration(p: Program, mounted: Register, options: MountOptions) -> None:
    """What a remount tells the file system itself."""
    words = [word if on else _OFF.get(word, "") for word, on in _super_flags(options)]
    wanted = FileSystem("", "", tuple(options.data), tuple(word for word in words if word))
    context = p.result("fspick", mounted, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC, doing="remount")
    _emit_configuration(p, context, wanted)
    p.call("fsconfig", context, FSCONFIG_CMD_RECONFIGURE, 0, 0, 0, doing="remount")
    p.close(context)


def _super_flags(options: MountOptions) -> list[tuple[str, bool]]:
    asked = list(options.super_flags.items())
    if options.is_read_only:
        asked.append(("ro", True))
    elif options.says_writable:
        asked.append(("ro", False))
    return asked


def _emit_configuration(p: Program, context: Register, wanted: FileSystem) -> None:
    doing = f"mount {wanted.type}: " if wanted.type else "remount: "
    _main, _dot, subtype = wanted.type.partition(".")
    if wanted.source:
        _emit_string(p, context, "source", wanted.source, doing)
    if subtype:
        _emit_string(p, context, "subtype", subtype, doing)  # fuse.sshfs: what mount(2) does by itself
    for word in wanted.flags:
        p.call("fsconfig", context, FSCONFIG_SET_FLAG, word, 0, 0, doing=f"{doing}option {word}")
    for key, value in wanted.data:
        if value is None:
            p.call("fsconfig", context, FSCONFIG_SET_FLAG, key, 0, 0, doing=f"{doing}option {key}")
        else:
            _emit_string(p, context, key, value, doing)


def _emit_string(p: Program, context: Register, key: str, value: str, doing: str) -> None:
    p.call("fsconfig", context, FSCONFIG_SET_STRING, key, value, 0, doing=f"{doing}option {key}={value}")


def emit_mount_by_path(p: Program, wanted: FileSystem, target: Register, spare_fd: int, proc: int | None) -> None:
    """mount(2) on what `target` stands for.

    The path it wants is one of the host's procfs, which nothing in the container can reach before pivot_root(2), and
    leads to the descriptor and nowhere else.  mount(2) takes no directory descriptor: where the host's /proc is one
    (`proc`, rootfs/host.py), it is the current directory for the one call.
    """
    words = [key if value is None else f"{key}={_quoted(value)}" for key, value in wanted.data]
    data = ",".join(words)
    if len(_bytes(data)) > MAX_DATA:
        raise ConfigError(f"mount options of {wanted.type} are longer than {MAX_DATA} bytes")
    flags = 0
    for word in wanted.flags:
        flags |= _MOUNT_FLAGS[word]
    doing = f"mount {wanted.type}"
    p.call("dup3", target, spare_fd, O_CLOEXEC, doing=doing)
    if proc is not None:
        p.call("fchdir", proc, doing=doing)
    _directory, path = own(f"fd/{spare_fd}", proc)
    p.call("mount", wanted.source or "none", path, wanted.type, flags, data, doing=doing)
    if proc is not None:
        emit_enter_slash(p)
    p.call("close", spare_fd, doing=doing)


def _quoted(value: str) -> str:
    return f'"{value}"' if "," in value else value


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
