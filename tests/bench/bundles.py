"""The bundles that every runtime gets: one config a kind, one rootfs for all.

A kind is `plain`, `seccomp` (what Docker allows, on three architectures) or `mounts` (50 bind mounts more).
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("plain", "seccomp", "mounts")
BINDS = 50
LONG, SHORT = ["/bin/sleep", "1000"], ["/bin/true"]
ENVIRONMENT = ["PATH=/bin", "HOME=/"]
KEPT = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
CAPABILITIES = dict.fromkeys(("bounding", "effective", "permitted"), KEPT)
PROFILE = "/usr/share/containers/seccomp.json"  # Debian's golang-github-containers-common
# What Docker keeps, which decides which rules of the profile hold (containers-common's "includes" and "excludes").
DOCKER = set(
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP "
    "CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE".split()
)
NO = ["nosuid", "noexec", "nodev"]
MOUNTS = [
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", [*NO, "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", NO),
    ("/sys", "sysfs", "sysfs", [*NO, "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", [*NO, "relatime", "ro"]),
]
MASKED = (
    "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats "
    "/proc/sched_debug /sys/firmware /proc/scsi".split()
)
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def process(args: list[str]) -> dict[str, Any]:
    """`process` of config.json, and what `exec --process` reads."""
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ENVIRONMENT,
        "cwd": "/",
        "capabilities": CAPABILITIES,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def config(kind: str, version: int, rootfs: str, args: list[str], profile: dict[str, Any]) -> dict[str, Any]:
    """What `runc spec` writes, without a terminal, plus what `kind` adds.

    version: of the cgroups.  On 2 there are no device rules (crun needs CAP_SYS_RESOURCE to load their program), and
    a cgroup namespace; profile: Docker's filter, see `docker_profile`.
    """
    mounts = [{"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in MOUNTS]
    linux: dict[str, Any] = {
        "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")],
        "maskedPaths": MASKED,
        "readonlyPaths": READONLY,
    }
    if version == 1:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    else:
        linux["namespaces"].append({"type": "cgroup"})
    if kind == "seccomp":
        linux["seccomp"] = profile
    if kind == "mounts":
        options = ["rbind", "ro", "nosuid", "nodev"]
        mounts += [
            {"destination": f"/mnt/{number}", "type": "bind", "source": "/etc", "options": options}
            for number in range(BINDS)
        ]
    return {
        "ociVersion": "1.0.2",
        "process": process(args),
        "root": {"path": rootfs, "readonly": True},
        "hostname": "bench",
        "mounts": mounts,
        "linux": linux,
    }


def docker_profile(source: dict[str, Any]) -> dict[str, Any]:
    """`linux.seccomp` of a containers-common profile, for x86 with Docker's capabilities."""
    rules = [rule for rule in source["syscalls"] if _holds(rule)]
    return {
        "defaultAction": source["defaultAction"],
        "defaultErrnoRet": source["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key)} for rule in rules
        ],
    }


def _holds(rule: dict[str, Any]) -> bool:
    """`includes` must all be so (a list of architectures: one of them), `excludes` none."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    here = {"amd64", "x86", "x32"}
    return (
        DOCKER.issuperset(includes.get("caps", []))
        and not DOCKER.intersection(excludes.get("caps", []))
        and bool(here.intersection(includes.get("arches", here)))
        and not here.intersection(excludes.get("arches", []))
    )


def write_rootfs(rootfs: Path) -> None:
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "mnt"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin/busybox")
    for name in ("sleep", "true"):
        (rootfs / "bin" / name).symlink_to("busybox")


def write_bundles(top: Path, kind: str, version: int, profile: dict[str, Any]) -> None:
    """top/KIND/long and top/KIND/short, and top/process.json; the rootfs is top/rootfs."""
    for name, args in (("long", LONG), ("short", SHORT)):
        bundle = top / kind / name
        os.makedirs(bundle)
        text = json.dumps(config(kind, version, str(top / "rootfs"), args, profile))
        (bundle / "config.json").write_text(text)
    (top / "process.json").write_text(json.dumps(process(SHORT)))
