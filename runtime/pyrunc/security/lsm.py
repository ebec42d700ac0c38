"""The label that execve(2) of the container's program takes on: AppArmor profile or SELinux context.

Written to /proc/self/attr by the stage itself (the kernel takes it from nobody else), before pivot_root, through a
descriptor of the host's procfs that was asked what it is (process/procfs.py).  Below it no mount is crossed: another
file in the attribute's place, of a procfs even, would swallow the label (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

from errno import ENOENT

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    O_CLOEXEC,
    O_WRONLY,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_XDEV,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocispec.config import Process
    from pyrunc.kernel.host import Host
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register

    Procfs = Callable[[Program], Register]  # emits what opens the root of a procfs that can be trusted

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


def emit_label(p: Program, process: Process, host: Host, procfs: Procfs) -> None:
    """Set the label of the next execve(2).  After the hooks (they would take it on), before pivot_root."""
    check_labels(process, host)
    if process.apparmor_profile:
        with p.at("process.apparmorProfile", process.apparmor_profile):
            _emit_write(p, procfs, (_APPARMOR, _SHARED), f"exec {process.apparmor_profile}")
    if process.selinux_label:
        with p.at("process.selinuxLabel", process.selinux_label):
            _emit_write(p, procfs, (_SHARED,), process.selinux_label)


def emit_key_label(p: Program, process: Process, procfs: Procfs) -> None:
    """SELinux: the session keyring made next belongs to the container's context, not to the runtime's."""
    if process.selinux_label:
        with p.at("process.selinuxLabel", process.selinux_label):
            _emit_write(p, procfs, (_KEY,), process.selinux_label)


def _emit_write(p: Program, procfs: Procfs, names: tuple[str, ...], text: str) -> None:
    """Write `text` to the first of the attributes that exists."""
    proc = procfs(p)
    attribute, opened = p.register(), p.target()
    how = p.open_how(O_WRONLY | O_CLOEXEC, _RESOLVE)
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
