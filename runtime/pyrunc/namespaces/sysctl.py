"""linux.sysctl: only what belongs to a namespace of the container's own (ocispec.checks_of_linux has checked that).

Written by the stage through a procfs of its own (process/procfs.py), in which every task sees the values of its own
namespaces: nothing that the container's image or a volume puts on /proc/sys is in the way (CVE-2025-52881).
"""

from __future__ import annotations

from pyrunc.kernel.constants import (
    O_CLOEXEC,
    O_WRONLY,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register


def sysctl_path(key: str) -> str:
    """The path below /proc/sys of a dotted key: dots separate, a slash stands for a dot in a name (sysctl.d(5))."""
    return key.translate({ord("."): "/", ord("/"): "."})


def emit_sysctls(p: Program, config: Config, proc: Register) -> None:
    """`proc` is the root of a procfs; dotted keys that ocispec has checked."""
    how = p.open_how(O_WRONLY | O_CLOEXEC, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
    for key, value in config.linux.sysctl.items():
        with p.at("linux.sysctl", key):
            setting = p.result("openat2", proc, f"sys/{sysctl_path(key)}", how, how.size, doing="open")
            p.call("write", setting, value, len(value.encode("utf-8", "surrogateescape")), doing=f"write '{value}'")
            p.close(setting)
