"""Host: the facts a plan depends on, read once."""

from __future__ import annotations

import posix

from pyrunc.cgroups.layout import read_hierarchies
from pyrunc.kernel.files import exists, read_file
from pyrunc.kernel.host import Host
from pyrunc.kernel.processes import ignored_signals

# What /proc/self/uid_map holds in the initial user namespace: user_namespaces(7).
_IDENTITY = [b"0", b"0", b"4294967295"]


def read_host() -> Host:
    """Raises OSError when /proc is not there."""
    status = read_file("/proc/self/status")
    return Host(
        euid=posix.geteuid(),
        egid=posix.getegid(),
        machine=posix.uname().machine,
        in_user_namespace=read_file("/proc/self/uid_map").split() != _IDENTITY,
        cgroups=read_hierarchies(),
        ignored_signals=ignored_signals(status),
        capabilities=_permitted(status),
        last_capability=int(read_file("/proc/sys/kernel/cap_last_cap")),
        has_apparmor=exists("/sys/kernel/security/apparmor"),
        has_selinux=exists("/sys/fs/selinux/enforce"),
    )


def _permitted(status: bytes) -> int:
    """CapPrm of proc_pid_status(5): capset(2) gives nobody more than that."""
    return int(status.partition(b"\nCapPrm:\t")[2][:16], 16)
