"""linux.sysctl: only what belongs to a namespace of the container's own (ocispec.checks_of_linux has checked that).

Written by the stage through the host's procfs, in which every task sees the values of its own namespaces: nothing that
the container's image or a volume puts on /proc/sys is in the way (CVE-2025-52881).
"""

from __future__ import annotations

from _struct import Struct
from errno import EUCLEAN

from pyrunc.kernel.constants import (
    AT_FDCWD,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
    O_WRONLY,
    PROC_SUPER_MAGIC,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.program.builder import Program

_OPEN_HOW = Struct("<QQQ")  # flags, mode, resolve: openat2(2)
_STATFS_SIZE = 120  # statfs(2); f_type is its first word


def sysctl_path(key: str) -> str:
    """The path below /proc/sys of a dotted key: dots separate, a slash stands for a dot in a name (sysctl.d(5))."""
    return key.translate({ord("."): "/", ord("/"): "."})


def emit_sysctls(p: Program, config: Config) -> None:
    """Before pivot_root, while /proc is the host's; dotted keys that ocispec has checked."""
    sysctls = config.linux.sysctl
    if not sysctls:
        return
    how = p.constant(_OPEN_HOW.pack(O_WRONLY | O_CLOEXEC, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH))
    with p.at("linux.sysctl"):
        proc = p.result("openat", AT_FDCWD, "/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC, doing="open /proc/sys")
        found = p.scratch(_STATFS_SIZE)
        p.call("fstatfs", proc, found, doing="ask what /proc/sys is")
        p.check(found.field(0, 8), PROC_SUPER_MAGIC, doing="check that /proc/sys is procfs", errno=EUCLEAN)
    for key, value in sysctls.items():
        with p.at("linux.sysctl", key):
            setting = p.result("openat2", proc, sysctl_path(key), how, how.size, doing="open")
            p.call("write", setting, value, len(value.encode("utf-8", "surrogateescape")), doing=f"write '{value}'")
            p.close(setting)
    p.close(proc)
