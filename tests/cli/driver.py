"""How the tests' containers get their cgroups: CGROUP_DRIVER=systemd makes each a scope (conformance/vm)."""

from __future__ import annotations

import os

SYSTEMD = os.environ.get("CGROUP_DRIVER") == "systemd"
FLAGS = ("--systemd-cgroup",) if SYSTEMD else ()
IS_ROOT = os.geteuid() == 0
SLICE = "system.slice" if IS_ROOT else "user.slice"


def cgroups_path(container_id: str) -> str | None:
    """linux.cgroupsPath for a test that gives none (None: nothing is needed)."""
    return f"{SLICE}:clitest:{container_id}" if SYSTEMD else None


def is_cgroup(path: str, name: str) -> bool:
    """Whether it is the cgroup of that name; a scope has a prefix before it."""
    return path.endswith(_end(name))


def is_in_cgroup(path: str, name: str) -> bool:
    """Whether it is that one or below it."""
    return f"{_end(name)}/" in f"{path}/"


def _end(name: str) -> str:
    return f"-{name}.scope" if SYSTEMD else f"/{name}"
