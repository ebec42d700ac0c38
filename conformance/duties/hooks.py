"""Hooks for the tests: shell lines that tell where they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duties.container import Box

PATH_VARIABLE = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
# What container networks do: find the process by the state.
PID = """pid=$(printf %s "$state" | sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')"""
CREATE_KINDS = ("prestart", "createRuntime", "createContainer")
KINDS = (*CREATE_KINDS, "startContainer", "poststart", "poststop")


def hook(script: str, **more: Any) -> dict[str, Any]:
    """The state is in $state: read first, as crun 1.8 dies of a hook that does not (test_others.py)."""
    script = f"state=$(cat); {script}"
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH_VARIABLE], **more}


def add(box: Box, kind: str, script: str, **more: Any) -> None:
    box.config.setdefault("hooks", {}).setdefault(kind, []).append(hook(script, **more))


def place(box: Box, kind: str, name: str) -> str:
    """Where a hook of this kind finds the rootfs' file `name`."""
    return f"/{name}" if kind == "startContainer" else f"{box.rootfs}/{name}"


def whole_life(box: Box) -> None:
    """Create, start, let it end, delete."""
    box.shell("sleep 0.05")
    pid = box.created()
    box.start().ok()
    box.wait(pid)
    box.delete().ok()


def ran(box: Box, kind: str) -> bool:
    """Whether a hook of this kind runs in the life of a container."""
    add(box, kind, f"echo > {place(box, kind, 'ran')}")
    whole_life(box)
    return (box.rootfs / "ran").exists()
