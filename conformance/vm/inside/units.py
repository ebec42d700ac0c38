"""What systemd and the kernel know of a unit."""

from __future__ import annotations

import subprocess
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
IS_V2 = (CGROUPS / "cgroup.controllers").exists()


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True).stdout


def show(unit: str, *names: str, manager: tuple[str, ...] = ()) -> dict[str, str]:
    """Properties of a unit; a list in several lines is joined by a blank."""
    found: dict[str, str] = {}
    for line in systemctl(*manager, "show", unit, *(f"--property={name}" for name in names)).splitlines():
        name, _equals, value = line.partition("=")
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def is_known(unit: str, manager: tuple[str, ...] = ()) -> bool:
    """Whether systemd has such a unit, failed ones included."""
    return bool(systemctl(*manager, "list-units", "--all", "--plain", "--no-legend", unit).strip())


def memberships(pid: int) -> dict[str, str]:
    """Controllers -> path."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {names: path for _number, names, path in (line.split(":", 2) for line in lines)}


def directories(path: str) -> list[Path]:
    """Of a cgroup, in all hierarchies."""
    tops = [CGROUPS] if IS_V2 else [top for top in CGROUPS.iterdir() if top.is_dir() and not top.is_symlink()]
    return [found for top in tops if (found := top / path.lstrip("/")).is_dir()]


def value_of(path: str, controller: str, file: str) -> str:
    return ((CGROUPS if IS_V2 else CGROUPS / controller) / path.lstrip("/") / file).read_text().strip()
