"""The label that execve(2) of the container's program takes on: AppArmor profile or SELinux context.

Written to /proc/self/attr by the stage itself (the kernel takes it from nobody else), through the host's procfs, before
pivot_root: a file that the image or a volume put there would swallow the label (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

from errno import ENOENT, EUCLEAN

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import AT_FDCWD, O_CLOEXEC, O_WRONLY, PROC_SUPER_MAGIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Process
    from pyrunc.kernel.host import Host
    from pyrunc.program.builder import Program

_STATFS_SIZE = 120  # statfs(2); f_type is its first word
_APPARMOR = "/proc/self/attr/apparmor/exec"  # Linux 5.8; before that, and still, shared with other modules:
_SHARED = "/proc/self/attr/exec"
_KEY = "/proc/self/attr/keycreate"


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


def _emit_write(p: Program, paths: tuple[str, ...], text: str) -> None:
    """Write `text` to the first of the paths that exists."""
    attribute, opened = p.register(), p.target()
    for path in paths[:-1]:
        missing = p.target()
        flags = O_WRONLY | O_CLOEXEC
        p.call(
            "openat", AT_FDCWD, path, flags, doing=f"open {path}", into=attribute, tolerate=[ENOENT], otherwise=missing
        )
        p.jump(opened)
        p.here(missing)
    p.call("openat", AT_FDCWD, paths[-1], O_WRONLY | O_CLOEXEC, doing=f"open {paths[-1]}", into=attribute)
    p.here(opened)
    found = p.scratch(_STATFS_SIZE)
    p.call("fstatfs", attribute, found, doing="ask which file system that is")
    p.check(found.field(0, 8), PROC_SUPER_MAGIC, doing="check that it is procfs", errno=EUCLEAN)
    # podman looks for the path in backquotes (reference: engines.md, "Errors").
    says = f"write `{paths[0]}`: {{errno}}"
    p.call("write", attribute, text, len(text.encode("utf-8", "surrogateescape")), doing="set the label", says=says)
    p.close(attribute)
