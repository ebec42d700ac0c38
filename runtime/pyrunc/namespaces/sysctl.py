"""linux.sysctl: what may be set, and setting it.

Only what belongs to a namespace of the container's own may be set; the rest is the host's.  Written by the stage
through the host's procfs, in which every task sees the values of its own namespaces, so nothing that the container's
image or a volume puts on /proc/sys is in the way (CVE-2025-52881).
"""

from __future__ import annotations

from _struct import Struct
from errno import EUCLEAN

from pyrunc.errors import ConfigError
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
    from pyrunc.namespaces.plan import NamespacePlan
    from pyrunc.program.builder import Program

_OPEN_HOW = Struct("<QQQ")  # flags, mode, resolve: openat2(2)
_STATFS_SIZE = 120  # statfs(2); f_type is its first word
_MAX_VALUE = 4096  # a page: proc_sys_call_handler takes more, but no value here has it

# The first part of each key, by the namespace that the setting belongs to (ipc_namespaces(7) and the kernel's
# ipc/ipc_sysctl.c, net/sysctl_net.c, kernel/ucount.c).  Keys with a slash at the end stand for all below.
_OWNERS = {
    "kernel/msgmax": "ipc",
    "kernel/msgmnb": "ipc",
    "kernel/msgmni": "ipc",
    "kernel/msg_next_id": "ipc",
    "kernel/sem": "ipc",
    "kernel/sem_next_id": "ipc",
    "kernel/shmall": "ipc",
    "kernel/shmmax": "ipc",
    "kernel/shmmni": "ipc",
    "kernel/shm_next_id": "ipc",
    "kernel/shm_rmid_forced": "ipc",
    "kernel/domainname": "uts",
    "fs/mqueue/": "ipc",
    "net/": "network",
    "user/": "user",
}


def sysctl_path(key: str) -> str:
    """The path below /proc/sys.  As in sysctl.d(5): the first separator is the separator, the other one is a letter.

    `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding` are the same.
    """
    dot, slash = key.find("."), key.find("/")
    path = key.translate({ord("."): "/", ord("/"): "."}) if dot != -1 and (slash == -1 or dot < slash) else key
    parts = path.split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise ConfigError(f"linux.sysctl: '{key}' is no sysctl")
    return path


def check_sysctls(config: Config, plan: NamespacePlan) -> None:
    """Raises ConfigError for what would change the host, or another setting of config.json."""
    for key, value in config.linux.sysctl.items():
        path = sysctl_path(key)
        if path == "kernel/hostname":
            raise ConfigError(f"linux.sysctl: '{key}' is the hostname: set that instead")
        owner = _OWNERS.get(path) or next((_OWNERS[k] for k in _OWNERS if k[-1] == "/" and path.startswith(k)), "")
        if not owner:
            raise ConfigError(f"linux.sysctl: '{key}' belongs to no namespace: it is the host's")
        if not plan.has(owner):
            raise ConfigError(f"linux.sysctl: '{key}' is the host's without a {owner} namespace")
        if len(value) > _MAX_VALUE:
            raise ConfigError(f"linux.sysctl: the value of '{key}' is longer than {_MAX_VALUE} characters")


def emit_sysctls(p: Program, config: Config) -> None:
    """Before pivot_root, while /proc is the host's; keys as `check_sysctls` has passed them."""
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
