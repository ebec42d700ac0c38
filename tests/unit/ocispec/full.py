"""A config.json that says everything the spec has for Linux, and what must come out of it."""

from __future__ import annotations

from typing import Any

ID = {"containerID": 0, "hostID": 100000, "size": 65536}
HOOK = {"path": "/bin/hook", "args": ["hook", "x"], "env": ["A=b"], "timeout": 5}
THROTTLE = [{"major": 8, "minor": 1, "rate": 2**64 - 1}]

FULL: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs", "readonly": True},
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 4294967294, "gid": 7, "umask": 18, "additionalGids": [5, 6]},
        "args": ["sh", "-c", "true"],
        "env": ["PATH=/bin", "EMPTY="],
        "cwd": "/tmp",
        "capabilities": {
            "bounding": ["CAP_CHOWN"],
            "effective": ["CAP_CHOWN"],
            "inheritable": [],
            "permitted": ["CAP_CHOWN"],
            "ambient": ["CAP_CHOWN"],
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2**64 - 1}],
        "noNewPrivileges": True,
        "apparmorProfile": "profile",
        "oomScoreAdj": -1000,
        "selinuxLabel": "a:b:c",
        "scheduler": {
            "policy": "SCHED_DEADLINE",
            "nice": 0,
            "priority": 0,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 1,
            "deadline": 2,
            "period": 3,
        },
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 7},
        "execCPUAffinity": {"initial": "0-3,7", "final": "1"},
    },
    "hostname": "host",
    "domainname": "domain",
    "mounts": [
        {
            "destination": "/data",
            "type": "none",
            "source": "/srv",
            "options": ["bind", "idmap"],
            "uidMappings": [ID],
            "gidMappings": [ID],
        }
    ],
    "hooks": {
        "prestart": [HOOK],
        "createRuntime": [HOOK],
        "createContainer": [HOOK],
        "startContainer": [HOOK],
        "poststart": [HOOK],
        "poststop": [HOOK],
    },
    "annotations": {"org.example.key": "value", "empty": ""},
    "linux": {
        "uidMappings": [ID],
        "gidMappings": [ID],
        "timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 999999999}, "boottime": {"secs": 2}},
        "namespaces": [
            {"type": "pid"},
            {"type": "network", "path": "/proc/1/ns/net"},
            *({"type": kind} for kind in ("mount", "ipc", "uts", "user", "cgroup", "time")),
        ],
        "devices": [
            {"type": "c", "path": "/dev/x", "major": 10, "minor": 229, "fileMode": 8624, "uid": 1, "gid": 2},
            {"type": "p", "path": "/run/fifo"},
        ],
        "netDevices": {"eth0": {"name": "inner0"}, "eth1": {}},
        "cgroupsPath": "/a/b",
        "resources": {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 1, "minor": -1, "access": "r"},
                {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "m"},
            ],
            "memory": {
                "limit": 2**30,
                "reservation": 1,
                "swap": -1,
                "kernel": 0,
                "kernelTCP": 0,
                "swappiness": 2**64 - 1,
                "disableOOMKiller": False,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1024,
                "quota": -1,
                "burst": 5,
                "period": 100000,
                "realtimeRuntime": 950000,
                "realtimePeriod": 1000000,
                "cpus": "0-1",
                "mems": "0",
                "idle": 1,
            },
            "pids": {"limit": 0},
            "blockIO": {
                "weight": 0,
                "leafWeight": 10,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": THROTTLE,
                "throttleWriteBpsDevice": THROTTLE,
                "throttleReadIOPSDevice": THROTTLE,
                "throttleWriteIOPSDevice": THROTTLE,
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": "max"},
        },
        "intelRdt": {
            "closID": "guaranteed",
            "schemata": ["L3:0=f"],
            "l3CacheSchema": "L3:0=ff",
            "memBwSchema": "MB:0=50",
            "enableMonitoring": True,
        },
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        "sysctl": {"net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.1/forwarding": "0"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/s",
            "listenerMetadata": "m",
            "syscalls": [
                {
                    "names": ["read", "write"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 5, "value": 2**64 - 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
        "rootfsPropagation": "rslave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "a:b:c",
        "personality": {"domain": "LINUX32", "flags": []},
    },
}
