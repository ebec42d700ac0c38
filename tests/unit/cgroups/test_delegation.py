"""Whose a container's cgroup is to be, by its config."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ocispec.config import read_config
from pyrunc.cgroups.delegation import delegated_files, owner

MAPPING = [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 2000, "hostID": 300000, "size": 10}]
CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}],
    "linux": {
        "namespaces": [{"type": "user"}, {"type": "cgroup"}, {"type": "mount"}],
        "uidMappings": MAPPING,
        "gidMappings": MAPPING,
    },
}


def owner_of(config: dict[str, Any]) -> int | None:
    return owner(read_config(config))


def changed(**keys: Any) -> dict[str, Any]:
    """The config with other keys of linux, mounts or user."""
    config = copy.deepcopy(CONFIG)
    if "options" in keys:
        config["mounts"][0]["options"] = keys["options"]
    if "mount" in keys:
        config["mounts"][0].update(keys["mount"])
    if "uid" in keys:
        config["process"]["user"]["uid"] = keys["uid"]
    if "namespaces" in keys:
        config["linux"]["namespaces"] = keys["namespaces"]
        if {"type": "user"} not in keys["namespaces"]:
            del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    return config


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG, 100000),
        (changed(uid=999), 100999),
        (changed(uid=2003), 300003),
        (changed(uid=1500), None),
        (changed(options=["ro"]), None),
        (changed(options=["ro", "rw"]), 100000),
        (changed(options=["rw", "ro"]), None),
        (changed(mount={"type": "cgroup2"}), 100000),
        (changed(mount={"destination": "/sys/fs/cgroup/"}), 100000),
        (changed(mount={"destination": "/cgroup"}), None),
        (changed(mount={"type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind"]}), None),
        (changed(namespaces=[{"type": "user"}, {"type": "mount"}]), None),
        (changed(namespaces=[{"type": "user"}, {"type": "mount"}, {"type": "cgroup", "path": "/x"}]), None),
        (changed(namespaces=[{"type": "cgroup"}, {"type": "mount"}]), None),
        (changed(namespaces=[{"type": "cgroup"}, {"type": "mount"}], uid=7), 7),
    ],
    ids=str,
)
def test_owner(config: dict[str, Any], expected: int | None) -> None:
    assert owner_of(config) == expected


def test_the_kernel_s_list() -> None:
    files = delegated_files()
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= set(files)
    assert not [name for name in files if name.endswith((".max", ".high", ".weight"))], "limits are the host's"
