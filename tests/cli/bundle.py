"""Bundles for the black-box tests: busybox-static's root filesystem and a config.json that can be changed."""

from __future__ import annotations

import copy
import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cli import driver

BUSYBOX = Path("/bin/busybox")  # Debian: busybox-static
APPLETS = (
    "sh", "ash", "cat", "chmod", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "find", "grep", "head",
    "hostname", "id", "ifconfig", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "nproc", "od", "printf", "ps",
    "pwd", "readlink", "rm", "rmdir", "sed", "sleep", "sort", "stat", "stty", "sync", "tail", "test", "touch", "tr",
    "true", "tty", "ulimit", "umount", "uname", "wc", "whoami", "xargs",
)  # fmt: skip
DIRECTORIES = ("bin", "dev", "etc", "home/user", "proc", "root", "run", "sys", "tmp", "usr/bin", "var", "work")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = [
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": [DEFAULT_PATH, "TERM=xterm"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}


def make_rootfs(rootfs: Path) -> None:
    """A root filesystem of one static busybox; hard-linked from `rootfs`' neighbour when there is one."""
    for directory in DIRECTORIES:
        (rootfs / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, rootfs / "bin/busybox")
    for applet in APPLETS:
        (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "tmp").chmod(0o1777)
    (rootfs / "home/user").chmod(0o755)
    if driver.IS_ROOT:
        os.chown(rootfs / "home/user", 1000, 1000)
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    (rootfs / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")


def default_config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


class Bundle:
    """A bundle directory; `config` is written by `save`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        self.config = default_config()

    @property
    def process(self) -> dict[str, Any]:
        process: dict[str, Any] = self.config["process"]
        return process

    @property
    def linux(self) -> dict[str, Any]:
        linux: dict[str, Any] = self.config["linux"]
        return linux

    @property
    def mounts(self) -> list[dict[str, Any]]:
        mounts: list[dict[str, Any]] = self.config["mounts"]
        return mounts

    def args(self, *words: str) -> None:
        self.process["args"] = list(words)

    def shell(self, script: str) -> None:
        self.args("sh", "-c", script)

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Add a namespace, or give an existing one its path."""
        self.without_namespace(kind)
        self.linux["namespaces"].append({"type": kind} | ({"path": path} if path else {}))

    def without_namespace(self, kind: str) -> None:
        self.linux["namespaces"] = [row for row in self.linux["namespaces"] if row["type"] != kind]

    def save(self, container_id: str = "") -> None:
        """With systemd the container's scope has its name, unless the test has given a path."""
        config = self.config
        if container_id and (path := driver.cgroups_path(container_id)) and "cgroupsPath" not in self.linux:
            config = {**config, "linux": {**self.linux, "cgroupsPath": path}}
        (self.path / "config.json").write_text(json.dumps(config))


def of_a_user(bundle: Bundle) -> None:
    """Root there is the caller, the others are his subordinate ids (newuidmap(1))."""
    bundle.namespace("user")
    for name, own, file in (("uidMappings", os.getuid(), "/etc/subuid"), ("gidMappings", os.getgid(), "/etc/subgid")):
        user = pwd.getpwuid(os.getuid()).pw_name
        line = next(line for line in Path(file).read_text().splitlines() if line.startswith(f"{user}:"))
        _user, first, size = line.split(":")
        bundle.linux[name] = [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": int(first), "size": int(size)},
        ]


def in_user_namespace(bundle: Bundle, host_id: int = 100000, size: int = 65536) -> None:
    bundle.namespace("user")
    mapping = [{"containerID": 0, "hostID": host_id, "size": size}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mapping
    # busybox is a hard link that other tests use
    busybox = bundle.rootfs / "bin/busybox"
    content = busybox.read_bytes()
    busybox.unlink()
    busybox.write_bytes(content)
    busybox.chmod(0o755)
    subprocess.run(["chown", "-hR", f"{host_id}:{host_id}", str(bundle.rootfs)], check=True)
    for directory in bundle.path.resolve().parents:
        if str(directory).startswith("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    bundle.path.chmod(0o755)
