"""Facts about the host that a plan depends on: values, read once by whoever fills them in."""

from __future__ import annotations

from ocispec.record import Record

ALL_CAPABILITIES = (1 << 64) - 1


class CgroupHierarchy(Record):
    """One mounted cgroup tree, as /proc/self/cgroup and the mounts under /sys/fs/cgroup show it."""

    version: int  # 1 or 2
    controllers: tuple[str, ...]  # v1: ("cpu", "cpuacct"), ("name=systemd",); v2: its cgroup.controllers
    mountpoint: str  # /sys/fs/cgroup/cpu
    own_path: str  # where pyrunc itself is, from the tree's root as seen here: "/" or "/user.slice/x"


class Host(Record):
    """What `compile` may know about this machine."""

    euid: int
    egid: int
    machine: str  # uname -m: "x86_64", "aarch64"
    in_user_namespace: bool  # pyrunc itself is in a user namespace that does not map everything one to one
    cgroups: tuple[CgroupHierarchy, ...]
    ignored_signals: tuple[int, ...] = ()  # dispositions that execve(2) would carry into the container
    last_capability: int = 40
    capabilities: int = ALL_CAPABILITIES  # a mask: what can be handed on to the container's process
    has_apparmor: bool = False
    has_selinux: bool = False
