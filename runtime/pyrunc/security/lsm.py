"""The label that execve(2) of the container's program takes on: AppArmor profile or SELinux context.

Written to /proc/self/attr by the stage itself (the kernel takes it from nobody else), through a descriptor of the
host's procfs, before pivot_root.  It is looked at that it is a procfs and its root, and below it no mount is crossed:
another file in the attribute's place, of a procfs even, would swallow the label (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

from _struct import Struct
from errno import ENOENT, EUCLEAN

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    O_CLOEXEC,
    O_DIRECTORY,
    O_PATH,
    O_WRONLY,
    PROC_SUPER_MAGIC,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_XDEV,
    STATX_INO,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Process
    from pyrunc.kernel.host import Host
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register

_STATFS_SIZE = 120  # statfs(2); f_type is its first word
_STATX_SIZE, _STX_INO = 256, 0x20  # statx(2)
_PROC_ROOT_INO = 1
_OPEN_HOW = Struct("<QQQ")  # flags, mode, resolve: openat2(2)
_RESOLVE = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH
# Below /proc.
_APPARMOR = "self/attr/apparmor/exec"  # Linux 5.8; before that, and still, shared with other modules:
_SHARED = "self/attr/exec"
_KEY = "self/attr/keycreate"


def check_labels(process: Process, host: Host) -> None:
    """Raises ConfigError for a label that nothing on this host would enforce."""
    if process.apparmor_profile and not host.has_apparmor:
        raise ConfigError("apparmor: config provided but apparmor not supported")
    if process.selinux_label and not host.has_selinux:
        raise ConfigError("selinux label is specified in config, but selinux is disabled or not supported")


def emit_label(p: Program, process: Process, host: Host) -> None:
    """Set the label of the next execve(2).  After the hooks (they would take it on), before pivot_root."""
    check_labels(process, host)
    if process.apparmor_profile:
        with p.at("process.apparmorProfile", process.apparmor_profile):
            _emit_write(p, (_APPARMOR, _SHARED), f"exec {process.apparmor_profile}")
    if process.selinux_label:
        with p.at("process.selinuxLabel", process.selinux_label):
            _emit_write(p, (_SHARED,), process.selinux_label)


def emit_key_label(p: Program, process: Process) -> None:
    """SELinux: the session keyring made next belongs to the container's context, not to the runtime's."""
    if process.selinux_label:
        with p.at("process.selinuxLabel", process.selinux_label):
            _emit_write(p, (_KEY,), process.selinux_label)


def _emit_write(p: Program, names: tuple[str, ...], text: str) -> None:
    """Write `text` to the first of the attributes that exists."""
    proc = _emit_open_proc(p)
    attribute, opened = p.register(), p.target()
    how = p.constant(_OPEN_HOW.pack(O_WRONLY | O_CLOEXEC, 0, _RESOLVE))
    for name in names[:-1]:
        missing = p.target()
        arguments = (proc, name, how, how.size)
        doing = f"open /proc/{name}"
        p.call("openat2", *arguments, doing=doing, into=attribute, tolerate=[ENOENT], otherwise=missing)
        p.jump(opened)
        p.here(missing)
    p.call("openat2", proc, names[-1], how, how.size, doing=f"open /proc/{names[-1]}", into=attribute)
    p.here(opened)
    # podman looks for the path in backquotes (reference: engines.md, "Errors").
    says = f"write `/proc/{names[0]}`: {{errno}}"
    p.call("write", attribute, text, len(text.encode("utf-8", "surrogateescape")), doing="set the label", says=says)
    p.close(attribute)
    p.close(proc)


def _emit_open_proc(p: Program) -> Register:
    """The root of a procfs: a bind of /proc/PID, or of anything else of one, has another inode (linux/proc_fs.h)."""
    proc = p.result("openat", AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, doing="open /proc")
    found, status = p.scratch(_STATFS_SIZE), p.scratch(_STATX_SIZE)
    p.call("fstatfs", proc, found, doing="ask which file system that is")
    p.check(found.field(0, 8), PROC_SUPER_MAGIC, doing="check that it is procfs", errno=EUCLEAN)
    p.call("statx", proc, "", AT_EMPTY_PATH, STATX_INO, status, doing="ask for its inode")
    p.check(status.field(_STX_INO, 8), _PROC_ROOT_INO, doing="check that it is procfs' root", errno=EUCLEAN)
    return proc
