"""`restore`: podman calls it with a flag that lacks its argument; the command itself is not in this build."""

from __future__ import annotations

from pyrunc.commands.checkpoint import NO_CRIU
from pyrunc.errors import Unsupported


def run(_arguments: object) -> int:
    raise Unsupported(f"restore: {NO_CRIU}")
