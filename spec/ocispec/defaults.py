"""The config.json to start from: what `runc spec` and `runc spec --rootless` write, as JSON-ready dicts."""

from __future__ import annotations

from ocispec import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")

# (destination, type, source, options), mounted in this order
_MOUNTS = (
    ("/proc", "proc", "proc", ()),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),  # noqa: S108
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("nosuid", "noexec", "nodev", "relatime", "ro")),
)

# Without a network namespace sysfs cannot be mounted, and with one id mapped there is no group 5.
_ROOTLESS_MOUNTS = {
    "/dev/pts": ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
    "/sys": ("/sys", "none", "/sys", ("rbind", "nosuid", "noexec", "nodev", "ro")),
}

_MASKED_PATHS = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"),
)
_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_config(
    *, rootless: bool = False, uid: int = 0, gid: int = 0, cgroup_namespace: bool = False
) -> dict[str, Any]:
    """`uid` and `gid` are who root of a rootless container is on the host.

    `cgroup_namespace` is for hosts with cgroup v2 alone, where runc adds one.
    """
    return {
        "ociVersion": SPEC_VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "runc",
        "mounts": [_mount(*(_ROOTLESS_MOUNTS.get(mount[0], mount) if rootless else mount)) for mount in _MOUNTS],
        "linux": _linux(rootless=rootless, uid=uid, gid=gid, cgroup_namespace=cgroup_namespace),
    }


def _process() -> dict[str, Any]:
    sets = ("bounding", "effective", "permitted", "ambient")
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: list(_CAPABILITIES) for name in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mount(destination: str, kind: str, source: str, options: tuple[str, ...]) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = list(options)
    return mount


def _linux(*, rootless: bool, uid: int, gid: int, cgroup_namespace: bool) -> dict[str, Any]:
    namespaces = ["pid", "ipc", "uts", "mount"] if rootless else ["pid", "network", "ipc", "uts", "mount"]
    namespaces += ["cgroup"] if cgroup_namespace else []
    section: dict[str, Any] = {}
    if rootless:  # no right to limit anything: no resources
        namespaces.append("user")
        section["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
        section["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    else:
        section["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    section["namespaces"] = [{"type": kind} for kind in namespaces]
    section["maskedPaths"] = list(_MASKED_PATHS)
    section["readonlyPaths"] = list(_READONLY_PATHS)
    return section
