"""Write what the rehearsal of warm.py reads: two bundles, and a state root with one container that has stopped.

usage: rehearsal.py DIRECTORY
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "spec"))

from ocispec.defaults import default_config  # noqa: E402 - sys.path comes first

CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETUID")
CALLS = """
accept access bind brk capget chdir chmod clone close connect dup epoll_wait execve exit fchmod fcntl fork fstat futex
getdents64 getpid ioctl kill listen lseek mkdir mmap mprotect munmap nanosleep open openat pipe poll pread64 prctl read
readlink recvmsg rename rt_sigaction select sendmsg setuid socket stat uname unlink wait4 write
"""


def plain() -> dict[str, Any]:
    config = default_config()
    config["process"] |= {"terminal": False, "args": ["/bin/sh"]}
    return config


def engine() -> dict[str, Any]:
    """What an engine adds."""
    config = plain()
    binds = [(f"/etc/{name}", "/dev/null", ["rbind", "rprivate"]) for name in ("hosts", "hostname", "resolv.conf")]
    config["mounts"] += [
        {"destination": path, "type": "bind", "source": source, "options": options} for path, source, options in binds
    ]
    config["process"] |= {
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [10]},
        "noNewPrivileges": True,
        "oomScoreAdj": 100,
        "capabilities": {kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
    }
    config["annotations"] = {"org.example.name": "rehearsal"}
    config["linux"]["cgroupsPath"] = "/rehearsal/x"
    config["linux"]["resources"] |= {"memory": {"limit": 1 << 26}, "cpu": {"shares": 512}, "pids": {"limit": 100}}
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": CALLS.split(), "action": "SCMP_ACT_ALLOW"},
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
            },
        ],
    }
    return config


def stopped() -> dict[str, Any]:
    """A state.json (container/record.py) of a container from another boot."""
    return {
        "version": 1,
        "id": "stopped",
        "ociVersion": "1.0.2",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "created": "2026-11-25T00:00:00.000000000Z",
        "owner": 0,
        "pid": 1,
        "startTime": 1,
        "bootId": "rehearsal",
        "annotations": {},
        "cgroup": {"hierarchies": [], "made": []},
        "privatePidNamespace": True,
        "poststart": [],
        "poststop": [],
        "config": {},
        "startFailures": {"600": "x: {words}"},
    }


def main() -> None:
    top = Path(sys.argv[1])
    for name, config in (("plain", plain()), ("engine", engine())):
        (top / name / "rootfs").mkdir(parents=True, exist_ok=True)
        (top / name / "config.json").write_text(json.dumps(config))
    (top / "state/stopped").mkdir(parents=True, exist_ok=True)
    (top / "state/stopped/state.json").write_text(json.dumps(stopped()))


if __name__ == "__main__":
    main()
