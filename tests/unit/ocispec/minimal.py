"""Documents to start a test from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")

MINIMAL: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "linux": {
        "namespaces": [{"type": kind} for kind in NAMESPACES],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    },
}


def minimal() -> dict[str, Any]:
    return copy.deepcopy(MINIMAL)


def config_with(place: str, value: object) -> dict[str, Any]:
    """The minimal config with one value put at a place such as `process.rlimits` or `mounts`."""
    document = minimal()
    *parents, last = place.split(".")
    inner = document
    for key in parents:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return document


def config_without(*kinds: str) -> dict[str, Any]:
    """The minimal config without namespaces of these types (and without id mappings when one is user)."""
    document = minimal()
    document["linux"]["namespaces"] = [{"type": kind} for kind in NAMESPACES if kind not in kinds]
    if "user" in kinds:
        del document["linux"]["uidMappings"], document["linux"]["gidMappings"]
    return document


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_bytes())
